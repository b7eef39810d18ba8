package proof

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
)

var siteScript = append([]byte{0, 20}, bytes.Repeat([]byte{7}, 20)...)

// policy2 is the site's policy with a route of each kind, two of three being
// enough.
func (s *site) policy2() *Policy {
	p := s.policy()
	p.Routes = []Route{
		{"eth", s.place()},
		{"btc", BitcoinRoute{Network: "regtest", Script: siteScript, Depth: 3}},
		{"calendars", OTSRoute{Network: "regtest", Depth: 3}},
	}
	p.Groups = []Group{{"bitcoin", 1, []string{"btc", "calendars"}}, {"both", 2, []string{"eth", "bitcoin"}}}
	p.Quorum = "both"
	return p
}

func TestPolicy2(t *testing.T) {
	p := newSite("a").policy2()
	text := p.Append(nil)
	got, err := ParsePolicy(text)
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	if again := got.Append(nil); !bytes.Equal(again, text) {
		t.Errorf("read and written again:\n%s, want\n%s", again, text)
	}
	for i, want := range []string{"ethereum:1", "bitcoin:regtest", "ots"} {
		if chain := got.Routes[i].Place.Chain(); chain != want {
			t.Errorf("route %d is of %q, want %q", i, chain, want)
		}
	}
	short := strings.Split(string(text), "\n")
	one := strings.Join([]string{short[0], short[1], "route x ots"}, "\n")
	got, err = ParsePolicy([]byte(one))
	if err != nil || got.Quorum != "x" || !got.Routes[0].Place.same(OTSRoute{Network: "mainnet"}) {
		t.Errorf("one route without quorum: %+v, %v", got, err)
	}
	for _, g := range []Group{{"g", 1, []string{"a", "b", "c"}}, {"g", 2, []string{"a", "b", "c"}}, {"g", 3, []string{"a", "b", "c"}}, {"g", 1, []string{"a"}}} {
		p := newSite("a").policy()
		p.Routes = []Route{{"a", OTSRoute{Network: "signet"}}, {"b", OTSRoute{Network: "regtest"}}, {"c", OTSRoute{Network: "mainnet"}}}
		p.Groups, p.Quorum = []Group{g}, QuorumNone
		got, err := ParsePolicy(p.Append(nil))
		if err != nil || got.Groups[0].Need != g.Need || got.Quorum != QuorumNone {
			t.Errorf("%d of %d: %+v, %v", g.Need, len(g.Members), got, err)
		}
	}
}

func TestPolicy2Refuses(t *testing.T) {
	s := newSite("a")
	lines := strings.Split(strings.TrimSpace(string(s.policy2().Append(nil))), "\n")
	head, eth, btc, ots := lines[0]+"\n"+lines[1]+"\n", lines[2]+"\n", lines[3]+"\n", lines[4]+"\n"
	all := head + eth + btc + ots
	cases := []struct {
		name, text, want string
	}{
		{"no quorum", all, "3 routes and no quorum"},
		{"no route and no quorum", head, "0 routes and no quorum"},
		{"two quorums", all + "quorum eth\nquorum eth", "line 7: second quorum"},
		{"quorum of nothing", all + "quorum", "line 6: want: quorum"},
		{"quorum unknown", all + "quorum moon", `line 6: no route or group "moon"`},
		{"quorum before its route", head + "quorum eth\n" + eth, `line 3: no route or group "eth"`},
		{"group before its member", head + eth + "group g any eth btc\n" + btc, `line 4: no route or group "btc"`},
		{"group of itself", all + "group g any g", `line 6: no route or group "g"`},
		{"group of nobody", all + "group g all", "line 6: want: group"},
		{"none of a group", all + "group g 0 eth", "line 6: \"0\""},
		{"more than a group has", all + "group g 3 eth btc", "line 6: \"3\""},
		{"group of a word", all + "group g some eth", "line 6: \"some\""},
		{"group of 01", all + "group g 01 eth", "line 6: \"01\""},
		{"member twice", all + "group g all eth eth", "line 6: eth is a member of group g"},
		{"member of two groups", all + "group g any eth\ngroup h any eth", "line 7: eth is a member of group g"},
		{"name of a route for a group", all + "group eth any btc", "line 6: the name eth again"},
		{"name of a route twice", head + eth + strings.Replace(btc, "btc", "eth", 1), "line 4: the name eth again"},
		{"a name none", head + "route none ots", `line 3: "none" is no name`},
		{"a name with a space in it", head + "route a\u00a0b ots", "line 3"},
		{"a long name", head + "route " + strings.Repeat("x", maxName+1) + " ots", "line 3"},
		{"one place with two names", all + "route other " + strings.SplitN(ots, " ", 3)[2], "line 6: the same route again"},
		{"one script with two depths", all + "route other bitcoin network=regtest script=" + fmt.Sprintf("%x", siteScript) + " depth=9", "line 6: the same route again"},
		{"route without a name", head + "route ots", "line 3: want: route <name>"},
		{"route of version 1", head + "route " + strings.SplitN(eth, " ", 3)[2], "line 3"},
		{"route of an unknown kind", head + "route x moon", `line 3: "moon" is none of`},
		{"unknown network", head + "route x ots network=testnet3", "line 3: network"},
		{"no script", head + "route x bitcoin network=mainnet", "line 3: no script="},
		{"short script", head + "route x bitcoin network=mainnet script=00", "line 3: script"},
		{"depth zero", head + "route x ots depth=0", "line 3: depth"},
		{"depth endless", head + "route x ots depth=10001", "line 3: depth"},
		{"out of order", head + "route x ots depth=6 network=mainnet", "line 3: \"network=mainnet\" is too much"},
		{"words after", head + "route x ots depth=6 really", "line 3: \"really\" is too much"},
		{"group in version 1", strings.Replace(head, policyMagic2, policyMagic1, 1) + "group g any x", `line 3: unknown word "group"`},
		{"quorum in version 1", strings.Replace(head, policyMagic2, policyMagic1, 1) + "quorum none", `line 3: unknown word "quorum"`},
		{"what looks like a line of its own in a comment", all + "# so\rquorum eth\n", "line 6: it has a character that cannot be seen"},
		{"another end of line in a comment", all + "# so\u2028quorum eth\n", "line 6: it has a character that cannot be seen"},
		{"a comment that runs backwards", all + "# \u202equorum eth\n", "line 6: it has a character that cannot be seen"},
		{"a name with nothing in it", all + "quorum e\u200bth\n", "line 6: it has a character that cannot be seen"},
		{"many groups", all + groups(maxGroups+1), fmt.Sprintf("over %d groups", maxGroups)},
	}
	for _, c := range cases {
		_, err := ParsePolicy([]byte(c.text))
		if !errors.Is(err, ErrPolicy) || !strings.Contains(fmt.Sprint(err), c.want) {
			t.Errorf("%s: got %v, want %q in it", c.name, err, c.want)
		}
	}
}

// groups are n groups, each of the one before.
func groups(n int) string {
	text := "group g0 any eth\n"
	for i := 1; i < n; i++ {
		text += fmt.Sprintf("group g%d any g%d\n", i, i-1)
	}
	return text
}
