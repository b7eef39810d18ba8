package ask

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// teller is a node that answers as it is told.
type teller struct {
	chain, number, final, time uint64
	hash, word                 string
	raw                        string // answers everything, if set
}

func (n teller) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if n.raw != "" {
		fmt.Fprint(w, n.raw)
		return
	}
	var q struct {
		Method string `json:"method"`
		Params []any  `json:"params"`
	}
	json.NewDecoder(r.Body).Decode(&q)
	answer := "null"
	block := `{"number":"0x%x","hash":%q,"timestamp":"0x%x","extra":[]}`
	switch {
	case q.Method == "eth_chainId":
		answer = fmt.Sprintf(`"0x%x"`, n.chain)
	case q.Method == "eth_getStorageAt":
		answer = fmt.Sprintf("%q", n.word)
	case q.Params[0] == "finalized":
		answer = fmt.Sprintf(block, n.final, "0x00", n.time+100)
	case q.Params[0] == fmt.Sprintf("0x%x", n.number):
		answer = fmt.Sprintf(block, n.number, n.hash, n.time)
	}
	fmt.Fprintf(w, `{"jsonrpc":"2.0","id":1,"result":%s}`, answer)
}

// nodes starts nodes and returns those who ask them.
func nodes(t *testing.T, agree int, all ...teller) *Nodes {
	t.Helper()
	var urls []string
	for i := range all {
		srv := httptest.NewServer(all[i])
		t.Cleanup(srv.Close)
		urls = append(urls, srv.URL+"/secret-key")
	}
	n, err := New(urls, agree)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestBlockTime: the time of a block, which no hash in the answer holds, is
// known only if as many nodes give the same.
func TestBlockTime(t *testing.T) {
	hash := [32]byte{1}
	good := teller{chain: 1, number: 7, final: 9, hash: fmt.Sprintf("0x%x", hash), time: 5}
	liar := good
	liar.time = 6
	for _, c := range []struct {
		name  string
		nodes []teller
		agree int
		want  bool
	}{
		{"all alike", []teller{good, good}, 2, true},
		{"the last lies", []teller{good, liar}, 2, false},
		{"one of three lies", []teller{good, good, liar}, 2, true},
		{"one of three lies first", []teller{liar, good, good}, 2, true},
		{"one is asked for, two differ", []teller{good, liar}, 1, false},
	} {
		n := nodes(t, c.agree, c.nodes...)
		if _, ok, err := n.Trusted("ethereum:1", 7, hash); !ok || err != nil {
			t.Fatalf("%s: %v, %v", c.name, ok, err)
		}
		ms, ok := n.BlockTime("ethereum:1", hash)
		if ok != c.want || ok && ms != 5000 {
			t.Errorf("%s: time %d %v, want known %v", c.name, ms, ok, c.want)
		}
		if _, ok := n.BlockTime("ethereum:2", hash); ok {
			t.Errorf("%s: it has the time of another chain's block", c.name)
		}
	}
}

func TestTrusted(t *testing.T) {
	hash := [32]byte{1}
	good := teller{chain: 1, number: 7, final: 9, hash: fmt.Sprintf("0x%x", hash), time: 5}
	broken := teller{raw: "{}"}
	with := func(change func(*teller)) teller { n := good; change(&n); return n }
	for _, c := range []struct {
		name   string
		route  string
		nodes  []teller
		agree  int
		ok     bool
		failed bool
		want   string
	}{
		{"all agree", "ethereum:1", []teller{good, good}, 2, true, false, "2 of 2 nodes"},
		{"one is broken, one is enough", "ethereum:1", []teller{good, broken}, 1, true, false, "1 of 2 nodes"},
		{"one is broken, two are wanted", "ethereum:1", []teller{good, broken}, 2, false, true, "no result"},
		{"another block", "ethereum:1", []teller{with(func(n *teller) { n.hash = "0x02" })}, 1, false, false, "has hash"},
		{"not final", "ethereum:1", []teller{with(func(n *teller) { n.final = 6 })}, 1, false, false, "not final yet"},
		{"another chain", "ethereum:1", []teller{with(func(n *teller) { n.chain = 5 })}, 1, false, false, "it serves chain 5, not 1"},
		{"no Ethereum", "bitcoin:mainnet", []teller{good}, 1, false, false, ""},
		{"no number", "ethereum:01", []teller{good}, 1, false, false, ""},
	} {
		n := nodes(t, c.agree, c.nodes...)
		how, ok, err := n.Trusted(c.route, 7, hash)
		if err != nil {
			how = err.Error()
		}
		if ok != c.ok || (err != nil) != c.failed || (n.Failed() != nil) != c.failed || !strings.Contains(how, c.want) {
			t.Errorf("%s: got %v, %q, %v; want %v with %q", c.name, ok, how, err, c.ok, c.want)
		}
		if strings.Contains(how, "secret-key") {
			t.Errorf("%s: the URL is told: %s", c.name, how)
		}
		if n.Begin(t.Context()); n.Failed() != nil {
			t.Errorf("%s: a new round begins with an old failure", c.name)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	n := nodes(t, 1, good)
	n.Begin(ended)
	if _, ok, err := n.Trusted("ethereum:1", 7, hash); ok || !errors.Is(err, n.Failed()) || err == nil {
		t.Errorf("whoever asks has gone, and got %v, %v", ok, err)
	}
}

func TestStorage(t *testing.T) {
	word := func(w string) teller { return teller{chain: 1, word: w} }
	one := [32]byte{31: 1}
	n := nodes(t, 1, word("0x"+strings.Repeat("0", 63)+"1"), word("0x1"), word("0x02"), word("2"), word("0x"+strings.Repeat("0", 65)), teller{chain: 5, word: "0x1"})
	values, err := n.Storage(t.Context(), 1, [20]byte{}, [32]byte{})
	if len(values) != 2 || values[0] != one || values[1] != [32]byte{31: 2} {
		t.Errorf("got %x, want 1 and 2", values)
	}
	if err == nil || strings.Count(err.Error(), "no word of storage") != 2 || !strings.Contains(err.Error(), "chain 5, not 1") || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v", err)
	}
}

func TestNewRefuses(t *testing.T) {
	for _, urls := range [][]string{{"node"}, {"ftp://node"}, {"http://"}, {"http://a/x", "HTTP://A/x"}, {}} {
		if _, err := New(urls, 1); err == nil {
			t.Errorf("%q is taken", urls)
		}
	}
	if _, err := New([]string{"http://a"}, 2); err == nil {
		t.Error("two of one node are to agree")
	}
}

// FuzzAnswer holds that whatever a node answers is a block, a number or an error.
func FuzzAnswer(f *testing.F) {
	for _, s := range []string{
		`{"jsonrpc":"2.0","id":1,"result":{"number":"0x7","hash":"0x01","timestamp":"0x5"}}`, `{"result":"0x1a"}`, `{"result":null}`, `{}`,
		`{"error":{"code":-32000,"message":"\u001b[31m"}}`, `{"result":{"number":"0x8000000000000000"}}`, `[`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var at *block
		if err := readAnswer(b, &at, "m"); err != nil && strings.ContainsFunc(err.Error(), func(r rune) bool { return r == 0x1b || r == '\n' }) {
			t.Errorf("an error with control characters: %q", err)
		}
		var q *quantity
		if err := readAnswer(b, &q, "m"); err == nil && q != nil && *q > 1<<63-1 {
			t.Errorf("got the number %d", *q)
		}
	})
}
