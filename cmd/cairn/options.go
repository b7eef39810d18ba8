package main

import (
	"slices"
	"strings"

	"cairn/ingest"
)

// option is one scalar setting. Its flag and its environment variable follow
// from its key: udp.receive_buffer, --udp-receive-buffer, CAIRN_UDP_RECEIVE_BUFFER.
type option struct {
	key  string
	def  string
	help string
}

// options are all scalar settings, in the order of the written file. The lists
// "lines", "anchors", "witnesses", "ledgers", "compartments", "senders", "mqtt", "receivers", "alerts" and
// "mirrors" stand in the file alone.
var options = []option{
	{"window", "60s", "span of a batch: whole seconds that divide 15 minutes; fixed at the ledger's first start"},
	{"udp.listen", ingest.DefaultUDPAddr, "address for frames that relays forward; empty: none"},
	{"udp.rate", "200", "datagrams a second taken from one sender; 0: no limit"},
	{"udp.receive_buffer", "4MiB", "the socket's buffer, as asked of the kernel"},
	{"http.listen", "127.0.0.1:9980", "address of /healthz, /metrics, the public log and the page /verify; empty: none"},
	{"http.console", "true", "serve the console's pages and API there, to users that \"cairn user add\" made"},
	{"http.token_file", "", "file with the bearer token that every HTTP request must carry, but for the console and /verify"},
	{"http.certificate_file", "", "file with the certificate chain (PEM) to serve HTTPS with; empty: HTTP"},
	{"http.key_file", "", "file with its key (PEM)"},
	{keyBehindProxy, "false", "a proxy in front ends TLS: take HTTP from beyond this machine"},
	{"keyring.passphrase_file", "", "file whose first line opens the keyring"},
	{"keyring.identity_file", "", "age identity file that opens the keyring"},
	{"keyring.credential", "", "name of the systemd credential that opens the keyring: a passphrase or an age identity"},
	{"storage.min_free", "64MiB", "refuse readings when less of the disk is free"},
	{"storage.pad", "4KiB", "what is sealed for others is padded to a multiple of this, so that sizes tell less"},
	{"clock", "auto", "auto (ask the kernel whether its clock is kept right) or trusted (something else keeps it right)"},
	{"ipfs.api", "", "URL of an IPFS node's RPC, at which sealed quarter hours are published; empty: nowhere"},
	{"ipfs.keep", "0s", "how long the node keeps the objects of a quarter hour; 0s: for ever"},
	{"ipfs.timeout", "2m", "the time that one request to the node may take"},
	{"drop.after", "0s", "age at which the site drops what mirrors hold, such as 400d; 0s: it keeps all"},
	{"drop.mirrors", "1", "how many of a ledger's mirrors must hold what is dropped"},
	{"quorum", "any", "how many of the default ledger's routes must hold a batch: any, all, or a number"},
	{keyWitnessQuorum, "any", "how many of the default ledger's witnesses must cosign a head before it is anchored: any, all, or a number"},
	{keyWitnessOpen, "false", "anchor a head also if the witnesses do not cosign it in time"},
	{"log.format", "auto", "auto (text on a terminal, else json), json or text"},
	{"log.level", "info", "debug, info, warn or error"},
}

// Keys of the lists.
const (
	keyLines   = "lines"
	keyAnchors = "anchors"
	keyLedgers = "ledgers"

	keyWitnesses    = "witnesses"
	keyCompartments = "compartments"
	keySenders      = "senders"
	keyMirrors      = "mirrors"
	keyMQTT         = "mqtt"
	keyReceivers    = "receivers"
	keyAlerts       = "alerts"
)

const keyBehindProxy = "http.behind_proxy"

// Keys of a ledger that stand in its section too.
const (
	keyWitnessQuorum = "witness_quorum"
	keyWitnessOpen   = "witness_fail_open"
)

const envPrefix = "CAIRN_"

// The environment variables that belong to no key of the file.
const (
	envDir        = envPrefix + "DIR"
	envPassphrase = envPrefix + "PASSPHRASE_FILE" // short for keyring.passphrase_file
)

var flagNames = strings.NewReplacer(".", "-", "_", "-")

func (o option) flag() string { return flagNames.Replace(o.key) }

func (o option) env() string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(o.key, ".", "_"))
}

func isOption(key string) bool { return slices.Contains(allKeys(), key) }

// allKeys are those of the scalar settings, then those of the lists.
func allKeys() []string {
	var all []string
	for _, o := range options {
		all = append(all, o.key)
	}
	return append(all, keyLines, keyAnchors, keyWitnesses, keyLedgers, keyCompartments, keySenders, keyMirrors, keyMQTT, keyReceivers, keyAlerts)
}

func isEnv(name string) bool {
	for _, o := range options {
		if o.env() == name {
			return true
		}
	}
	return name == envDir || name == envPassphrase
}
