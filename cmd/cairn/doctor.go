package main

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"cairn/anchor"
	"cairn/anchor/ethereum"
	"cairn/ingest/mqtt"
	"cairn/ingest/reading"
	"cairn/store/share"
)

// How a check came out, the worst last.
const (
	wellOK   = "ok"
	wellWarn = "warn"
	wellBad  = "bad"
)

var wellRank = []string{wellOK, wellWarn, wellBad}

const (
	doctorTime = 12 * time.Second // for all that is waited for, together
	doctorDial = 5 * time.Second  // for one that is to answer; the network has this even after a service that was slow
	// A certificate that ends within this time should be renewed.
	doctorRenew = 14 * 24 * time.Hour
)

// finding is what one check found, and what to do about it.
type finding struct {
	What   string `json:"what"`
	State  string `json:"state"`
	Detail string `json:"detail"`
	Do     string `json:"do,omitempty"`
}

type doctorAnswer struct {
	State    string    `json:"state"` // the worst
	Findings []finding `json:"findings"`
}

// doctor gathers findings. It changes nothing.
type doctor struct {
	c   *command
	cfg *Config
	all []finding
}

func (d *doctor) say(what, state, detail, do string) {
	d.all = append(d.all, finding{what, state, detail, do})
}

// tell says that something is in order, or that it is not and why.
func (d *doctor) tell(what, fine, do string, err error) bool {
	if err != nil {
		d.say(what, wellBad, err.Error(), do)
		return false
	}
	d.say(what, wellOK, fine, "")
	return true
}

func (c *command) doctorCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "doctor", Short: "Look at everything that can be wrong, and say what to do",
		Long: "Looks at the configuration, the folder, keys and who may read them, the clock, the disk, the\n" +
			"routes' nodes, contracts and wallets, brokers, witnesses, mirrors and certificates: with the service\n" +
			"running by what it says, else by asking each of them once. It changes nothing, and ends within\n" +
			"20 seconds. Exit code 1: something is bad.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			d := &doctor{c: c}
			d.examine(cmd.Context())
			return d.report()
		},
	}
	c.jsonFlag(cmd)
	return cmd
}

func (d *doctor) report() error {
	a := doctorAnswer{State: wellOK, Findings: d.all}
	for _, f := range d.all {
		a.State = worse(wellRank, a.State, f.State)
	}
	if d.c.json {
		if err := d.c.printJSON(a); err != nil {
			return err
		}
	} else {
		for _, f := range d.all {
			fmt.Fprintf(d.c.Out, "%-5s %-14s %s\n", f.State, f.What, strings.ReplaceAll(f.Detail, "\n", "\n"+strings.Repeat(" ", 21)))
			if f.Do != "" {
				fmt.Fprintf(d.c.Out, "%-5s %-14s → %s\n", "", "", f.Do)
			}
		}
	}
	if a.State == wellBad {
		n := len(slices.DeleteFunc(slices.Clone(d.all), func(f finding) bool { return f.State != wellBad }))
		return falseError{fmt.Errorf("%d %s bad", n, plural(n, "finding"))}
	}
	return nil
}

// examine looks at one thing after the other, as far as the one before lets it.
func (d *doctor) examine(ctx context.Context) {
	cfg, err := loadConfig(d.c.dir, nil, os.Environ())
	if !d.tell("configuration", filepath.Join(d.c.dir, configFile), "mend what it names: the comments in the file are the reference", err) {
		return
	}
	d.cfg = cfg
	d.folder()
	d.keys(ctx)
	d.secrets()
	d.clock()
	d.wait(ctx, func(ctx context.Context) (statusAnswer, error) {
		return ask[statusAnswer](ctx, d.c, "status", nothing{})
	}, d.questions())
}

// wait asks for the status, and where no service runs that would know the network, all of the questions.
func (d *doctor) wait(ctx context.Context, status func(context.Context) (statusAnswer, error), questions []question) {
	soon, cancel := context.WithTimeout(ctx, doctorTime)
	defer cancel()
	s, err := status(soon)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		d.say("service", wellBad, fmt.Sprintf("it does not answer within %v", doctorTime), "start it again: systemctl restart cairn, or end it and `cairn run`")
		return
	case errors.Is(err, errNoData):
		d.say("store", wellWarn, "nothing was taken yet", "`cairn device add`, and `cairn run`")
	case errors.Is(err, errInUse):
		d.say("store", wellBad, err.Error(), "ask again when that command has ended; a service that starts or leaves, and does not end doing so, tells why in its log")
	case err != nil:
		d.say("store", wellBad, err.Error(), "`cairn fsck` reads everything again; `cairn run` tells why it does not start")
	default:
		d.service(&s)
		d.disk(&s)
	}
	if err == nil && s.Running {
		return
	}
	if end, _ := soon.Deadline(); time.Until(end) < doctorDial {
		soon, cancel = context.WithTimeout(ctx, doctorDial)
		defer cancel()
	}
	d.all = append(d.all, answers(soon, questions)...)
}

// folder checks who may go into the gateway's folder.
func (d *doctor) folder() {
	info, err := os.Stat(d.cfg.Dir)
	if err == nil && info.Mode().Perm()&0o022 != 0 {
		err = fmt.Errorf("%s may be written by others than its owner", d.cfg.Dir)
	}
	if err == nil {
		var f *os.File
		if f, err = os.CreateTemp(d.cfg.Dir, ".doctor-*"); err == nil {
			f.Close()
			err = os.Remove(f.Name())
		}
	}
	d.tell("folder", d.cfg.Dir+" can be written", "give it to the user that runs the service, and to nobody else: chown, chmod 700", err)
}

// keys opens the keyrings, and the routes' keys, as `cairn run --check` does.
func (d *doctor) keys(ctx context.Context) {
	if d.cfg.PassphraseFile == "" && d.cfg.IdentityFile == "" && d.cfg.Credential == "" {
		d.say("keyring", wellWarn, "its passphrase is typed when the service starts: it is not tried here", "set keyring.passphrase_file for a service that starts by itself")
		return
	}
	if d.cfg.Credential != "" && os.Getenv(envCredentials) == "" {
		d.say("keyring", wellWarn, "its credential is given to the service alone: it is not tried here", "")
		return
	}
	w, err := d.c.wrap(ctx, d.cfg)
	if err == nil && d.cfg.IdentityFile != "" {
		_, err = os.Stat(d.cfg.IdentityFile)
	}
	if !d.tell("keyring", "what opens it is there", "put the file back, readable by its owner alone: without it nothing opens the data", err) {
		return
	}
	defer forget(w)
	of := wallets{}
	for i := range d.cfg.Ledgers {
		l := &d.cfg.Ledgers[i]
		d.ledgerKeys(ctx, l, w, of)
	}
	if d.cfg.IdentityFile != "" && within(d.cfg.Dir, filepath.Base(d.cfg.IdentityFile)) == d.cfg.IdentityFile {
		d.say("keyring", wellWarn, "what opens it lies beside it: whoever has the whole folder has everything", "move the identity to a medium of its own, or use a passphrase")
	}
}

func (d *doctor) ledgerKeys(ctx context.Context, l *LedgerConfig, w share.Wrap, of wallets) {
	k, err := openKeyring(d.cfg, l, w)
	if err == nil && len(k.Compartments()) == 0 {
		err = errors.New("it has no compartments")
	}
	if !d.tell("keyring", fmt.Sprintf("ledger %s opens", l.Name), "put back the newest copy of the keyring", err) {
		return
	}
	if len(l.Anchors) == 0 {
		d.say("anchoring", wellWarn, fmt.Sprintf("ledger %s has no route: nobody outside can check anything", l.Name), "add one to anchors in "+configFile+": calendars cost nothing")
	}
	for i := range l.Anchors {
		a := &l.Anchors[i]
		d.tell("route's key", a.Route()+" of ledger "+l.Name, "put the key file and its passphrase back, readable by their owner alone", checkRoute(ctx, a, l.Name, of))
	}
}

// secrets reads what the configuration names besides.
func (d *doctor) secrets() {
	token, err := readToken(d.cfg.HTTPTokenFile)
	if err == nil {
		_, err = d.cfg.readSenders(token)
	}
	var logins []brokerLogin
	if err == nil {
		logins, err = d.cfg.readBrokers()
	}
	if err == nil {
		_, err = d.cfg.readReceivers(logins)
	}
	d.tell("secrets", "tokens and passwords can be read, by their owner alone", "mend the file that it names: mode 600, one line", err)
	if _, err := d.cfg.serverTLS(nil); d.cfg.HTTPCertFile != "" {
		d.certificate(err)
	}
}

// certificate says until when the HTTP server's certificate holds.
func (d *doctor) certificate(err error) {
	const renew = "renew it: the service reads the files again when they change"
	if err != nil {
		d.say("certificate", wellBad, err.Error(), renew)
		return
	}
	b, err := os.ReadFile(d.cfg.HTTPCertFile)
	block, _ := pem.Decode(b)
	if err == nil && block == nil {
		err = errors.New("no certificate is in it")
	}
	var cert *x509.Certificate
	if err == nil {
		cert, err = x509.ParseCertificate(block.Bytes)
	}
	switch {
	case err != nil:
		d.say("certificate", wellBad, fmt.Sprintf("%s: %v", d.cfg.HTTPCertFile, err), renew)
	case time.Now().After(cert.NotAfter):
		d.say("certificate", wellBad, "it ended "+timeText(cert.NotAfter.UnixMilli()), renew)
	case time.Until(cert.NotAfter) < doctorRenew:
		d.say("certificate", wellWarn, "it ends "+timeText(cert.NotAfter.UnixMilli()), renew)
	default:
		d.say("certificate", wellOK, "holds until "+timeText(cert.NotAfter.UnixMilli()), "")
	}
}

func (d *doctor) clock() {
	if d.cfg.clock() == reading.Synced {
		d.say("clock", wellOK, "something keeps it right", "")
		return
	}
	d.say("clock", wellWarn, "nothing that this machine knows of keeps it right: readings say so, and audiences get no keys of new hours",
		"have the system keep it right (timedatectl set-ntp true), or set clock: trusted where something else does")
}

// service says what a running one says of itself.
func (d *doctor) service(s *statusAnswer) {
	if !s.Running {
		d.say("service", wellWarn, "it does not run", "`cairn run`, or systemctl start cairn")
		return
	}
	if len(s.Health.Reasons) == 0 {
		d.say("service", wellOK, "runs since "+s.Since+", nothing needs you", "")
	}
	for _, r := range s.Health.Reasons {
		d.say("service", wellBad, r, "`cairn status` says more; the README has what to do about each")
	}
	for _, l := range append([]ledgerStatus{s.ledgerStatus}, s.Ledgers...) {
		for _, r := range l.Routes {
			d.route(&r)
		}
	}
}

func (d *doctor) route(r *routeStatus) {
	switch m := r.Money; {
	case m != nil && m.TopUp != nil:
		d.say("wallet", wellWarn, fmt.Sprintf("%s: the money runs out", r.Route), fmt.Sprintf("send %s to %s", m.TopUp.Text, m.TopUp.Address))
	case m != nil && m.RunwayDays != nil:
		d.say("wallet", wellOK, fmt.Sprintf("%s: the money lasts about %.0f days", r.Route, *m.RunwayDays), "")
	}
	if r.Healthy {
		d.say("route", wellOK, r.Route+" anchors", "")
	}
}

func (d *doctor) disk(s *statusAnswer) {
	free, need := s.Store.DiskFree, d.cfg.MinFree
	text := fmt.Sprintf("%d MB free", free>>20)
	switch {
	case s.Store.DiskFull, free > 0 && free < need:
		d.say("disk", wellBad, fmt.Sprintf("%s, below %d MB readings are refused", text, need>>20), "free some space; `cairn drop` deletes what mirrors hold")
	case free > 0 && free < 4*need:
		d.say("disk", wellWarn, fmt.Sprintf("%s: below %d MB readings are refused", text, need>>20), "free some space soon")
	case free > 0:
		d.say("disk", wellOK, text, "")
	}
}

// question asks somebody over the network. It ends soon after its context does.
type question func(context.Context) finding

// questions are what a running service would know the answers to.
func (d *doctor) questions() (asks []question) {
	for i := range d.cfg.Ledgers {
		l := &d.cfg.Ledgers[i]
		for j := range l.Anchors {
			asks = append(asks, func(ctx context.Context) finding { return askRoute(ctx, &l.Anchors[j]) })
		}
		for _, w := range l.Witnesses {
			asks = append(asks, func(ctx context.Context) finding {
				return askAddress(ctx, "witness", w.URL, "is the address right, and does the witness run?")
			})
		}
		for _, m := range l.Mirrors {
			asks = append(asks, func(ctx context.Context) finding {
				return askAddress(ctx, "mirror", m.URL, "is the address right, and does the mirror run? Nothing is dropped without it")
			})
		}
	}
	for i := range d.cfg.Brokers {
		asks = append(asks, func(ctx context.Context) finding { return askBroker(ctx, &d.cfg.Brokers[i]) })
	}
	return asks
}

// answers asks all at the same time.
func answers(ctx context.Context, asks []question) []finding {
	out := make([]finding, len(asks))
	var waiting sync.WaitGroup
	for i, ask := range asks {
		waiting.Go(func() { out[i] = ask(ctx) })
	}
	waiting.Wait()
	return out
}

// askRoute asks a route's chain whether an anchor could be sent.
func askRoute(ctx context.Context, a *AnchorConfig) finding {
	f := finding{What: "route", State: wellOK, Detail: a.Route()}
	bad := wellBad
	var err error
	switch a.Type {
	case typeEthereum:
		err = askEthereum(ctx, a)
	case typeBitcoin:
		err = askBitcoinNode(ctx, a.Bitcoin.Node)
	default:
		f.Detail += ": " + strings.Join(a.OTS.Calendars, ", ")
		var asks []question
		for _, url := range a.OTS.Calendars {
			asks = append(asks, func(ctx context.Context) finding { return askAddress(ctx, "route", url, "") })
		}
		there := 0
		for _, one := range answers(ctx, asks) {
			if one.State == wellOK {
				there++
			} else {
				err = errors.Join(err, errors.New(one.Detail))
			}
		}
		if there >= a.OTS.Need {
			bad = wellWarn // it anchors without the others
		}
		if a.OTS.Node.RPC != "" {
			if nerr := askBitcoinNode(ctx, a.OTS.Node); nerr != nil {
				bad, err = wellBad, errors.Join(err, nerr)
			}
		}
	}
	if err != nil {
		f.State, f.Detail, f.Do = bad, fmt.Sprintf("%s: %v", a.Route(), err), routeHelp(err)
	}
	return f
}

// askBroker logs in at a broker, and leaves.
func askBroker(ctx context.Context, b *BrokerConfig) finding {
	f := askAddress(ctx, "broker", b.URL, "does it run, and may this machine reach it?")
	if f.State != wellOK {
		return f
	}
	login, err := b.login()
	if err != nil {
		return f // which the secrets tell
	}
	c := mqtt.Config(b.source(""))
	c.ClientID, c.Password, c.TLS = "", login.password, login.tls // another identifier: what waits for the service's own stays
	ctx, cancel := context.WithTimeout(ctx, doctorDial)
	defer cancel()
	if err := mqtt.Check(ctx, c); err != nil {
		return finding{"broker", wellBad, fmt.Sprintf("%s: %v", f.Detail, err), "do username, password_file and the certificates fit the broker's?"}
	}
	f.Detail += ", and takes the login"
	return f
}

func routeHelp(err error) string {
	switch {
	case errors.Is(err, anchor.ErrWrongChain):
		return "the node is of another chain than the configuration says: mend rpc or chain_id"
	case errors.Is(err, anchor.ErrContract):
		return "mend contract, or deploy one: `cairn contract deploy`"
	case errors.Is(err, anchor.ErrFunds):
		return "send it some money: `cairn status` says how much, while the service runs"
	case errors.Is(err, anchor.ErrLocked):
		return "put the key and its passphrase back"
	}
	return "does the node run, and may this machine reach it? Readings are taken all the same"
}

func askEthereum(ctx context.Context, a *AnchorConfig) error {
	cfg, err := ethereumConfig(a, a.Ethereum.Account)
	if err != nil {
		return err
	}
	c, err := ethereum.Dial(ctx, cfg)
	if err != nil {
		return err
	}
	defer c.Close()
	return c.Ready(ctx)
}

func askBitcoinNode(ctx context.Context, n BitcoinNode) error {
	password, err := n.password()
	if err != nil {
		return err
	}
	node, err := dialNode(n, password)
	if err != nil {
		return err
	}
	defer node.Close()
	return node.CheckNetwork(ctx)
}

// askAddress finds out whether anybody listens where a URL leads.
func askAddress(ctx context.Context, what, text, do string) finding {
	f := finding{What: what, State: wellBad, Detail: text + " is no address", Do: do}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return f
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443", "mqtt": "1883", "tcp": "1883", "mqtts": "8883", "ssl": "8883"}[u.Scheme]
	}
	dialer := net.Dialer{Timeout: doctorDial}
	conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		f.Detail = fmt.Sprintf("%s does not answer: %v", u.Redacted(), err)
		return f
	}
	conn.Close()
	return finding{What: what, State: wellOK, Detail: u.Redacted() + " answers"}
}
