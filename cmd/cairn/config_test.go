package main

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"cairn/anchor/ethereum"
)

func writeConfig(t *testing.T, text string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, configFile), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// The written file says every option, and reading it gives what an empty file
// gives.
func TestWrittenConfigIsTheDefault(t *testing.T) {
	text := renderConfig(nil)
	if strings.Contains(text, "{{") {
		t.Errorf("the template names an option that does not exist:\n%s", text)
	}
	for _, o := range options {
		if !strings.Contains(configTemplate, "{{"+o.key+"}}") {
			t.Errorf("the written file leaves out %s", o.key)
		}
	}
	for list, keys := range partKeys {
		for _, key := range keys {
			if !strings.Contains(text, key) {
				t.Errorf("the written file does not explain %s of %s", key, list)
			}
		}
	}
	written, err := loadConfig(writeConfig(t, text), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	empty, err := loadConfig(writeConfig(t, ""), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	written.Dir, empty.Dir, written.Ledgers[0].Dir, empty.Ledgers[0].Dir = "", "", "", ""
	if !reflect.DeepEqual(written, empty) {
		t.Errorf("got %+v from the written file, %+v from an empty one", written, empty)
	}
}

// The examples in the written file are valid once their dashes count.
func TestWrittenExamplesAreValid(t *testing.T) {
	var text strings.Builder
	inList := false
	for line := range strings.Lines(renderConfig(nil)) {
		head, list := strings.CutSuffix(line, ": []\n")
		example, comment := strings.CutPrefix(line, "#")
		switch {
		case list:
			line = head + ":\n"
		case inList && comment:
			line = example
		}
		inList = list || inList && comment
		text.WriteString(line)
	}
	// An example of a sender has a certificate, which takes HTTPS.
	https := strings.NewReplacer(`certificate_file: ""`, "certificate_file: server.pem", `key_file: ""`, "key_file: server.key").Replace(text.String())
	c, err := readConfig(writeConfig(t, https), nil, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Receivers) != 2 || len(c.Alerts) != 2 || len(c.Senders) != 2 {
		t.Errorf("got %d receivers, %d rules and %d senders, want two of each", len(c.Receivers), len(c.Alerts), len(c.Senders))
	}
	if len(c.Lines) != 1 || len(c.Ledgers) != 2 || len(c.Ledgers[0].Anchors) != 3 || len(c.Ledgers[1].Anchors) != 1 {
		t.Fatalf("got %d line sources and the ledgers %+v, want 1, and 2 with three routes and one", len(c.Lines), c.Ledgers)
	}
	want := AnchorConfig{
		Type: "ethereum", Every: defaultEvery, Jitter: defaultEvery / 4, Poll: pollOf[typeEthereum],
		Ethereum: EthereumConfig{ChainID: 1, Contract: "x", FinalTag: "finalized", Gas: "eip1559", MaxFeeGwei: defaultMaxFee},
	}
	for _, l := range c.Ledgers {
		got := l.Anchors[len(l.Anchors)-1]
		got.Ethereum.RPC, got.Ethereum.Contract, got.Ethereum.Account = nil, "x", EthereumAccount{}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("ledger %s: got %+v from the example, want the defaults %+v", l.Name, got, want)
		}
	}
}

func TestEveryGasRuleCanBeConfigured(t *testing.T) {
	for _, rule := range []ethereum.GasRule{ethereum.GasEIP1559, ethereum.GasLegacy, ethereum.GasOPStack} {
		c, err := loadConfig(writeConfig(t, "anchors: [{type: ethereum, rpc: http://h:1, chain_id: 1, contract: "+testAccount+", signer_url: http://h:2, account: "+testAccount+", gas: "+string(rule)+"}]"), nil, nil)
		if err != nil {
			t.Errorf("%s: %v", rule, err)
		} else if got := c.Ledgers[0].Anchors[0].Ethereum.Gas; got != string(rule) {
			t.Errorf("got %q, want %q", got, rule)
		}
	}
}

func TestConfigRefuses(t *testing.T) {
	route := "anchors:\n  - type: ethereum\n    rpc: http://h:1\n    chain_id: 1\n    contract: \"0x0000000000000000000000000000000000000001\"\n"
	signed := route + "    signer_url: http://h:2\n    account: \"0x0000000000000000000000000000000000000001\"\n"
	tests := []struct{ name, text, want string }{
		{"window without unit", "window: 60", `"60" is no duration`},
		{"window of 0", "window: 0s", "does not divide"},
		{"half a second", "window: 500ms", "does not divide"},
		{"list for a value", "window: [60s]", "a list or a section"},
		{"value for a list", "lines: ttyUSB0", "is not a list"},
		{"section for a list", "anchors: {type: ethereum}", "anchors.type: unknown key"},
		{"line without path", "lines: [{baud: 4800}]", "lines[0].path: is missing"},
		{"standard input twice", "lines: [{path: \"-\"}, {path: \"-\"}]", "read 2 times"},
		{"size", "storage: {min_free: 64 megs}", "is no size"},
		{"size too large", "udp: {receive_buffer: 2TiB}", "is no size"},
		{"rate", "udp: {rate: -1}", "is no whole number"},
		{"beyond loopback", "http: {listen: \":9980\"}", "set http.token_file"},
		{"beyond loopback in the clear", "http: {listen: \":9980\", token_file: t}", "in the clear"},
		{"no token behind a proxy", "http: {listen: \":9980\", behind_proxy: true}", "set http.token_file"},
		{"no token behind a proxy on this machine", "http: {listen: \"127.0.0.1:9980\", behind_proxy: true}", "the proxy passes on what comes from beyond this machine: set http.token_file"},
		{"TLS that ends twice", "http: {certificate_file: c, key_file: k, behind_proxy: true}", "TLS ends in one place"},
		{"certificate without a key", "http: {certificate_file: c}", "goes with http.key_file"},
		{"sender's certificate behind a proxy", "http: {behind_proxy: true}\nsenders: [{name: a, certificate_file: c}]", "takes HTTPS"},
		{"sender without token and certificate", "senders: [{name: a}]", "senders[0].token_file: is missing"},
		{"age", "drop: {after: 90 days}", "drop.after: \"90 days\" is no age such as 90d or 12h"},
		{"age that is too small", "drop: {after: 0.5d}", "is no number of days"},
		{"what would go too soon", "drop: {after: 2h}", "is too soon"},
		{"days without mirrors", "drop: {after: 400d}", "no mirrors are configured"},
		{"log level", "log: {level: loud}", "none of debug"},
		{"neither key nor signer", route, "keystore: is missing"},
		{"same route twice", signed + strings.TrimPrefix(signed, "anchors:\n"), "route ethereum:1 twice"},
		{"keystore without passphrase", route + "    keystore: k\n", "keystore_passphrase_file: is missing"},
		{"jitter", signed + "    every: 1m\n    jitter: 2m\n", "longer than every"},
		{"finality", signed + "    finality: soon\n", "neither finalized nor safe nor a number"},
		{"account without signer", route + "    keystore: k\n    keystore_passphrase_file: p\n    account: x\n", "belongs to signer_url"},
		{"ots without calendars", "anchors: [{type: ots}]", "calendars: is missing"},
		{"calendar in the clear", "anchors: [{type: ots, calendars: [http://example.org]}]", "is no URL such as https"},
		{"calendar with a password", "anchors: [{type: ots, calendars: [\"https://u:p@example.org\"]}]", "holds a user or password"},
		{"successor by halves", signed + "    next_keystore_passphrase_file: p\n", "next_keystore: is missing"},
		{"too many calendars needed", "anchors: [{type: ots, calendars: [https://h], need: 2}]", "2 of 1 calendars"},
		{"budget of a free route", "anchors: [{type: ots, calendars: [https://h], budget: 5 sat}]", "is no key of a route of type ots"},
		{"depth without a node", "anchors: [{type: ots, calendars: [https://h], finality: 3}]", "needs a node"},
		{"bitcoin without a key", "anchors: [{type: bitcoin, network: regtest, rpc: http://h}]", "key: is missing"},
		{"bitcoin without birthday", "anchors: [{type: bitcoin, network: regtest, rpc: http://h, key: k, key_passphrase_file: p}]", "birthday: is missing"},
		{"password in a URL", "anchors: [{type: bitcoin, network: regtest, rpc: http://u:p@h}]", "holds a user or password"},
		{"password in the clear", "anchors: [{type: bitcoin, network: regtest, rpc: http://192.0.2.1, rpc_user: u, rpc_password_file: p}]", "in the clear"},
		{"cookie and user", "anchors: [{type: bitcoin, network: regtest, rpc: http://127.0.0.1, rpc_user: u, rpc_password_file: p, rpc_cookie_file: c}]", "leave out one"},
		{"amount in another unit", signed + "    budget: 5 btc\n", "is no amount"},
		{"budget above the month's", signed + "    budget: 2 ether\n    monthly_budget: 1 ether\n", "above monthly_budget"},
		{"other type", strings.Replace(signed, "ethereum", "dogecoin", 1), "none of ethereum, bitcoin, ots"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := loadConfig(writeConfig(t, tt.text), nil, nil)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q in it", err, tt.want)
			}
		})
	}
	if _, err := loadConfig(writeConfig(t, signed), nil, nil); err != nil {
		t.Errorf("got %v from a route that is in order", err)
	}
}

func TestConfigTellsAllErrorsAtOnce(t *testing.T) {
	_, err := loadConfig(writeConfig(t, "window: 7s\nlog: {level: x, form: y}\n"), nil, []string{"CAIRN_NO=1", "HOME=/"})
	var all configError
	if !errors.As(err, &all) || len(all.errs) != 4 {
		t.Errorf("got %v, want 4 errors", err)
	}
}

func TestParseTime(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.FixedZone("", 7200))
	tests := []struct {
		text string
		want string // RFC 3339; "" for an error
	}{
		{"2026-05-01T09:00:00Z", "2026-05-01T09:00:00Z"},
		{"2026-05-01 11:00", "2026-05-01T09:00:00Z"},
		{"2026-05-01 11:00:30", "2026-05-01T09:00:30Z"},
		{"2026-05-01", "2026-04-30T22:00:00Z"},
		{"-90m", "2026-05-01T08:30:00Z"},
		{"1777618800000", "2026-05-01T07:00:00Z"},
		{"90m", ""}, {"yesterday", ""}, {"", ""}, {"17", ""},
	}
	for _, tt := range tests {
		ms, err := parseTime(tt.text, now)
		if got := time.UnixMilli(ms).UTC().Format(time.RFC3339); (err != nil) != (tt.want == "") || err == nil && got != tt.want {
			t.Errorf("%q: got %s, %v; want %s", tt.text, got, err, tt.want)
		}
	}
}

func TestIsLoopback(t *testing.T) {
	for address, want := range map[string]bool{
		"127.0.0.1:1": true, "[::1]:1": true, "localhost:1": true, "127.9.9.9:1": true,
		":1": false, "0.0.0.0:1": false, "[::]:1": false, "10.0.0.1:1": false, "host:1": false, "nonsense": false,
	} {
		if got := isLoopback(address); got != want {
			t.Errorf("%s: got %t want %t", address, got, want)
		}
	}
}
