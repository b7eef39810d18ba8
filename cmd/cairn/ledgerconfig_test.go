package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	testAccount  = "\"0x0000000000000000000000000000000000000001\""
	otherAccount = "\"0x0000000000000000000000000000000000000002\""
)

// testRoute is a route of some account, indented.
func testRoute(indent, account string) string {
	lines := []string{
		"- type: ethereum", "  rpc: http://h:1", "  chain_id: 1", "  contract: " + testAccount,
		"  signer_url: http://h:2", "  account: " + account,
	}
	return indent + strings.Join(lines, "\n"+indent) + "\n"
}

func TestLedgersRefused(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"no list", "ledgers: bakery", "is not a list"},
		{"no name", "ledgers: [{when: [a=b]}]", "ledgers[0].name: is missing"},
		{"upper case", "ledgers: [{name: Bakery}]", "no ledger's name"},
		{"path", "ledgers: [{name: ../x}]", "no ledger's name"},
		{"too long", "ledgers: [{name: " + strings.Repeat("x", 33) + "}]", "no ledger's name"},
		{"the default one", "ledgers: [{name: site}]", "default one"},
		{"twice", "ledgers: [{name: a}, {name: a}]", "two are called a"},
		{"unknown key", "ledgers: [{name: a, key: b}]", "ledgers[0].key: unknown key"},
		{"rule as a map", "ledgers: [{name: a, when: {jurisdiction: ch}}]", "ledgers[0].when: is not a list"},
		{"label without value", "ledgers: [{name: a, when: [site]}]", `"site" is no label`},
		{"label with nothing", "ledgers: [{name: a, when: [\"site=\"]}]", "is no label"},
		{"label's key", "ledgers: [{name: a, when: [Site=b]}]", "is no label"},
		{"label not a text", "ledgers: [{name: a, when: [7]}]", "is no text"},
		{"two values", "ledgers: [{name: a, when: [site=b, site=c]}]", "label site is given twice"},
		{"never reached", "ledgers: [{name: a, when: [site=b]}, {name: c, when: [x=y, site=b]}]", "no device ever gets into c: a stands before"},
		{"quorum word", "ledgers: [{name: a, quorum: most}]", "ledgers[0].quorum: \"most\" is none of"},
		{"quorum of none", "ledgers: [{name: a, quorum: 1}]", "1 of 0 routes cannot be had"},
		{"quorum 0", "quorum: 0", "none of any, all"},
		{"quorum of site", "quorum: 2\nanchors:\n" + testRoute("  ", testAccount), "2 of 1 route cannot be had"},
		{"route's key", "ledgers:\n  - name: a\n    anchors:\n" + testRoute("      ", testAccount) + "        colour: red\n", "ledgers[0].anchors[0].colour: unknown key"},
		{"one account", "anchors:\n" + testRoute("  ", testAccount) + "ledgers:\n  - name: a\n    anchors:\n" + testRoute("      ", testAccount), "the ledgers site and a share the account"},
		{"hub of no ledger", "lines: [{path: x, hub_device: bakery/1}]", "there is no ledger bakery"},
		{"hub's number", "lines: [{path: x, hub_device: 16777216}]", "no device's number"},
		{"hub's form", "lines: [{path: x, hub_device: a/b}]", "no device's number"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := readConfig(writeConfig(t, tt.text), nil, nil, nil)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q in it", err, tt.want)
			}
		})
	}
}

const twoRules = "anchors:\n  ROUTE1ledgers:\n" +
	"  - name: geneva\n    when: [jurisdiction=ch, site=Genève 2]\n    quorum: all\n    anchors:\n      ROUTE2" +
	"  - name: swiss\n    when: [jurisdiction=ch]\n" +
	"  - name: attic\n"

func twoRulesConfig(t *testing.T) *Config {
	t.Helper()
	text := strings.NewReplacer("  ROUTE1", testRoute("  ", testAccount), "      ROUTE2", testRoute("      ", otherAccount)).Replace(twoRules)
	c, err := readConfig(writeConfig(t, text), nil, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestChooseLedger(t *testing.T) {
	c := twoRulesConfig(t)
	if n := len(c.Ledgers); n != 4 || c.Ledgers[1].Quorum != "all" || len(c.Ledgers[1].Anchors) != 1 || c.Ledgers[2].Quorum != "any" {
		t.Fatalf("got %+v", c.Ledgers)
	}
	for _, tt := range []struct{ labels, want string }{
		{"jurisdiction=ch,site=Genève 2", "geneva"},
		{"site=Genève 2,jurisdiction=ch", "geneva"},
		{"jurisdiction=ch,site=Bern", "swiss"},
		{"jurisdiction=ch", "swiss"},
		{"jurisdiction=de,site=Genève 2", siteLedger},
		{"", siteLedger},
		{"jurisdicton=ch", "error"},
		{"jurisdiction=ch,room=3", "error"},
	} {
		var texts []string
		if tt.labels != "" {
			texts = strings.Split(tt.labels, ",")
		}
		labels, err := parseLabels(texts)
		if err != nil {
			t.Fatal(err)
		}
		got := "error"
		if l, err := c.choose(labels); err == nil {
			got = l.Name
		}
		if got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.labels, got, tt.want)
		}
	}
}

// The folder has the last word on which ledgers there are.
func TestFindLedgers(t *testing.T) {
	dir := writeConfig(t, "ledgers: [{name: listed, when: [a=b]}]")
	if _, err := loadConfig(dir, nil, nil); err == nil || !strings.Contains(err.Error(), "cairn ledger add listed") {
		t.Errorf("got %v for a ledger that is not there, want how to make it", err)
	}
	for _, name := range []string{"listed", "other", "other.bak", ".new-1", "site"} {
		at := filepath.Join(dir, ledgersDir, name)
		if err := os.MkdirAll(at, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(at, keyringFile), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, ledgersDir, "empty"), 0o700); err != nil {
		t.Fatal(err)
	}
	c, err := loadConfig(dir, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for i := range c.Ledgers {
		l := &c.Ledgers[i]
		got = append(got, l.Name)
		if l.Unlisted != (l.Name == "other") {
			t.Errorf("%s: unlisted %t", l.Name, l.Unlisted)
		}
	}
	if want := []string{siteLedger, "listed", "other"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// A hub's own device may be in any ledger.
func TestHubDevice(t *testing.T) {
	for text, want := range map[string]uint32{"0": 0, "3": 3, "bakery/3": 1<<numberBits | 3} {
		c, err := readConfig(writeConfig(t, "lines: [{path: x, hub_device: "+text+"}]\nledgers: [{name: bakery}]"), nil, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		s := &service{gateway: &gateway{cfg: c}}
		for i := range c.Ledgers {
			s.ledgers = append(s.ledgers, &openLedger{cfg: &c.Ledgers[i]})
		}
		if got, err := s.hubNumber(&c.Lines[0]); err != nil || got != want {
			t.Errorf("%s: got %d, %v, want %d", text, got, err, want)
		}
	}
}

// What a policy allows fits every route that stands in it, also those that are
// configured no more.
func TestLateFitsAllRoutesOfThePolicy(t *testing.T) {
	eth := AnchorConfig{Type: typeEthereum, Every: 10 * time.Minute, Ethereum: EthereumConfig{ChainID: 1}}
	ots := AnchorConfig{Type: typeOTS, Every: 2 * time.Hour}
	both := []string{"ethereum:1", "ots"}
	for name, c := range map[string]struct {
		anchors []AnchorConfig
		quorum  string
		text    string
		want    time.Duration
	}{
		"both":               {[]AnchorConfig{eth, ots}, "any", "", 28 * time.Hour},
		"one is gone":        {[]AnchorConfig{eth}, "any", "", 26 * time.Hour},
		"all are gone":       {nil, "all", "", 26 * time.Hour},
		"gone, and needless": {[]AnchorConfig{eth, {Type: typeBitcoin, Every: time.Hour}}, "all", "", 50 * time.Minute},
		"asked for":          {[]AnchorConfig{eth, ots}, "any", "90m", 90 * time.Minute},
	} {
		l := LedgerConfig{Anchors: c.anchors, Quorum: c.quorum}
		if got, err := l.lateOf(c.text, both); err != nil || got != c.want {
			t.Errorf("%s: got %v, %v; want %v", name, got, err, c.want)
		}
	}
}

func TestNeedIsNeverNothing(t *testing.T) {
	for quorum, want := range map[string][3]int{"any": {1, 1, 1}, "": {1, 1, 1}, "all": {1, 1, 3}, "2": {1, 1, 2}, "9": {1, 1, 3}} {
		l := LedgerConfig{Quorum: quorum}
		if got := [3]int{l.need(0), l.need(1), l.need(3)}; got != want {
			t.Errorf("quorum %q of 0, 1 and 3 routes: got %v, want %v", quorum, got, want)
		}
	}
}

// What a start would refuse --check refuses too.
func TestCheckMakesTheChain(t *testing.T) {
	for name, a := range map[string]AnchorConfig{
		"a calendar's URL that no proof can hold": {Type: typeOTS, OTS: OTSConfig{Calendars: []string{"https://a.example/x,y z"}, Need: 1, Node: BitcoinNode{Network: "mainnet"}}},
		"a calendar twice":                        {Type: typeOTS, OTS: OTSConfig{Calendars: []string{"https://a.example", "https://a.example/"}, Need: 1, Node: BitcoinNode{Network: "mainnet"}}},
		"a depth out of reach":                    {Type: typeOTS, Depth: 1 << 20, OTS: OTSConfig{Calendars: []string{"https://a.example"}, Need: 1, Node: BitcoinNode{Network: "mainnet"}}},
		"a node twice": {Type: typeEthereum, Ethereum: EthereumConfig{
			RPC: []string{"http://127.0.0.1:1", "http://127.0.0.1:1"}, ChainID: 1, Account: EthereumAccount{SignerURL: "http://127.0.0.1:1", Account: "0x0000000000000000000000000000000000000001"},
		}},
	} {
		if err := checkRoute(t.Context(), &a, siteLedger, wallets{}); err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
}
