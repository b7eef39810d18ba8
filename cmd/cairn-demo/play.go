package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"cairn/anchor/proof"
)

// demo is the play and its stage.
type demo struct {
	out  io.Writer
	keep bool   // the console stays open in the end
	bin  string // folder of the programs
	dir  string // temporary
	site string // the gateway's folder

	chain   *chain
	gateway *exec.Cmd
	gone    chan error // what the gateway ended with
	logs    safeBuffer
	step    int
	since   time.Time

	sensors map[string]*sensor
	order   []string // of the sensors
	radio   string   // where they send to

	proof, policy string // files
	hurried       bool   // the audience knows why blocks come fast
}

// safeBuffer takes the gateway's log while others read it.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func (d *demo) say(format string, a ...any) { fmt.Fprintf(d.out, "    "+format+"\n", a...) }

func (d *demo) head(format string, a ...any) {
	d.step++
	fmt.Fprintf(d.out, "\n%2d. %s\n", d.step, fmt.Sprintf(format, a...))
}

func (d *demo) play(ctx context.Context) error {
	d.since = time.Now()
	fmt.Fprintln(d.out, "cairn demo: from a radio frame to a proof that anyone can check")
	for _, part := range []func(context.Context) error{d.openChain, d.openSite, d.deploy, d.begin, d.listen, d.anchorAndProve} {
		if err := part(ctx); err != nil {
			return err
		}
	}
	verdict, err := d.verifyIt(ctx)
	if err != nil {
		return err
	}
	if err := d.tamper(ctx); err != nil {
		return err
	}
	if err := d.whole(ctx); err != nil {
		return err
	}
	if d.keep {
		fmt.Fprintf(d.out, "\nVERIFIED %s\n", verdict)
		return d.stay(ctx)
	}
	d.head("The gateway is told to stop")
	if err := d.stopGateway(); err != nil {
		return err
	}
	d.say("it committed and left; the demo took %v", time.Since(d.since).Round(time.Second))
	fmt.Fprintf(d.out, "\nVERIFIED %s\n", verdict)
	return nil
}

func (d *demo) openChain(context.Context) (err error) {
	d.head("A development chain starts inside this process")
	if d.chain, err = startChain(d.dir); err != nil {
		return err
	}
	d.say("chain %d at %s, a block a second; an account with 10 test ether", chainID, d.chain.url)
	return nil
}

func (d *demo) openSite(ctx context.Context) error {
	d.head("A new gateway: cairn init --window 2s")
	text, err := d.cairn(ctx, "", "init", "--window", "2s", d.site)
	if err != nil {
		return err
	}
	for _, line := range strings.Split(text, "\n") {
		if strings.HasPrefix(line, "  ledger") {
			d.say("%s", strings.TrimSpace(line))
		}
	}
	d.say("fresh keys in an encrypted keyring, a configuration with every option explained")
	return nil
}

// deploy puts the registry on the chain, and the route into the configuration.
func (d *demo) deploy(ctx context.Context) error {
	d.head("The registry contract goes onto the chain: cairn contract deploy")
	text, err := d.cairn(ctx, "", "contract", "deploy", "--json", "--rpc", d.chain.url, "--chain-id", fmt.Sprint(chainID),
		"--keystore", d.chain.keystore, "--keystore-passphrase-file", d.chain.pass)
	if err != nil {
		return err
	}
	var a struct {
		Contract string
		Block    uint64
	}
	if err := json.Unmarshal([]byte(text), &a); err != nil {
		return fmt.Errorf("read answer of deploy: %w", err)
	}
	d.say("contract %s in block %d: one slot for each ledger, no owner", a.Contract, a.Block)
	return d.configure(a.Contract)
}

func (d *demo) configure(contract string) error {
	path := filepath.Join(d.site, "cairn.yaml")
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("configure: %w", err)
	}
	route := fmt.Sprintf("anchors:\n  - type: ethereum\n    rpc: %s\n    chain_id: %d\n    contract: %q\n    keystore: %s\n    keystore_passphrase_file: %s\n    every: 4s\n    jitter: 0s\n    poll: 500ms",
		d.chain.url, chainID, contract, d.chain.keystore, d.chain.pass)
	changed := bytes.Replace(text, []byte("anchors: []"), []byte(route), 1)
	if bytes.Equal(changed, text) {
		return errors.New("configure: the written configuration has no empty list of anchors")
	}
	if d.keep {
		changed = bytes.Replace(changed, []byte("alerts: []"), []byte("alerts:\n  - name: freezer warm\n    devices: [freezer]\n    field: T\n    above: -15\n    clear: -16\n    for: 2s"), 1)
	}
	if err := os.WriteFile(path, changed, 0o600); err != nil {
		return fmt.Errorf("configure: %w", err)
	}
	return nil
}

func (d *demo) begin(ctx context.Context) error {
	d.head("The gateway runs: cairn run (process of its own)")
	if err := d.startGateway(ctx); err != nil {
		return err
	}
	s, err := d.until(ctx, "it has looked at the chain", func(s status) bool { return s.Health.Status == "green" })
	if err != nil {
		return err
	}
	d.say("pid %d, %s, log and health at http://%s", d.gateway.Process.Pid, s.Sources[0], s.HTTP)
	return nil
}

// listen registers the nodes and lets them speak.
func (d *demo) listen(ctx context.Context) error {
	sensors, order, err := makeSensors()
	if err != nil {
		return err
	}
	d.sensors, d.order = sensors, order
	d.head("Five radio nodes are registered: cairn device add --key-stdin")
	for _, name := range order {
		s := sensors[name]
		if _, err := d.cairn(ctx, keyText(s.known)+"\n", "device", "add", "--id", s.id.String(), "--name", name, "--key-stdin", "--place", "canteen kitchen", "--thing", s.thing); err != nil {
			return err
		}
		d.say("%-9s %s  %s", name, s.id, s.note)
	}
	st, err := d.status(ctx)
	if err != nil {
		return err
	}
	d.head("They send secure frames (AES-128-GCM) over UDP")
	_, d.radio, _ = strings.Cut(st.Sources[0], " ")
	conn, err := net.Dial("udp", d.radio)
	if err != nil {
		return fmt.Errorf("reach the gateway: %w", err)
	}
	defer conn.Close()
	sent, err := d.speak(ctx, air{conn}, sensors, order)
	if err != nil {
		return err
	}
	st, err = d.until(ctx, "every frame is judged", func(s status) bool { return s.Intake.Received >= sent && s.Intake.Pending == 0 })
	if err != nil {
		return err
	}
	v := st.Intake.Verdicts
	d.say("%d frames: %d authenticated, %d replays refused, %d with a wrong key refused", sent, v["authenticated"], v["replay"]+v["duplicate"], v["bad-tag"])
	if v["authenticated"] != 4*rounds || v["bad-tag"] != rounds || v["replay"]+v["duplicate"] != rounds-1 {
		return fmt.Errorf("the gateway judged otherwise than it should: %v", v)
	}
	return nil
}

// speak sends all rounds, and plays the first frame of echo back in each later
// one. It returns the number of datagrams.
func (d *demo) speak(ctx context.Context, a air, sensors map[string]*sensor, order []string) (sent uint64, err error) {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	var recorded []byte
	for round := range rounds {
		for _, name := range order {
			wire, err := sensors[name].Next(sensors[name].body(round))
			if err != nil {
				return sent, err
			}
			frames := [][]byte{wire}
			if name == "echo" && recorded != nil {
				frames = append(frames, recorded)
			} else if name == "echo" {
				recorded = wire
			}
			for _, f := range frames {
				if err := a.send(f); err != nil {
					return sent, err
				}
				sent++
			}
		}
		select {
		case <-ctx.Done():
			return sent, ctx.Err()
		case <-tick.C:
		}
	}
	return sent, nil
}

// anchorAndProve waits for a final anchor, hurrying the chain, and writes the
// proof of the freezer's newest reading.
func (d *demo) anchorAndProve(ctx context.Context) error {
	d.head("The freezer's last reading is proven: cairn prove --device freezer --wait")
	d.say("its window closes, the log is signed, its root goes onto the chain, the block becomes final")
	hurrying, stop := context.WithCancel(ctx)
	var hurried sync.WaitGroup
	hurried.Go(func() { d.hurry(hurrying) })
	d.proof, d.policy = filepath.Join(d.dir, "freezer.cairn-proof"), filepath.Join(d.dir, "ledger.policy")
	text, err := d.cairn(ctx, "", "prove", "--device", "freezer", "--wait", "--timeout", "90s", "--out", d.proof, "--json")
	stop()
	hurried.Wait()
	if err != nil {
		return err
	}
	var a struct {
		Bytes    int
		State    string
		Readings []struct {
			ID     string
			Values []string
		}
	}
	if err := json.Unmarshal([]byte(text), &a); err != nil || len(a.Readings) != 1 {
		return fmt.Errorf("read answer of prove: %q: %v", text, err)
	}
	d.say("reading %s, %s: %d bytes, anchor %s", a.Readings[0].ID, strings.Join(a.Readings[0].Values, ", "), a.Bytes, a.State)
	policy, err := d.cairn(ctx, "", "policy")
	if err != nil {
		return err
	}
	if err := os.WriteFile(d.policy, []byte(policy), 0o600); err != nil {
		return fmt.Errorf("write policy: %w", err)
	}
	d.say("whose ledger it is, is in a policy file (cairn policy), handed out another way")
	return nil
}

// hurry makes the block of each anchor final as soon as it is in one: a real
// chain takes a quarter of an hour for that.
func (d *demo) hurry(ctx context.Context) {
	for ctx.Err() == nil {
		block := uint64(0)
		_, err := d.until(ctx, "an anchor is in a block", func(s status) bool {
			for _, r := range s.Routes {
				if r.Pending != nil && r.Pending.State == "included" {
					block = r.Pending.Block
				}
			}
			return block > 0
		})
		if err != nil {
			return
		}
		if !d.hurried {
			d.hurried = true
			d.say("an anchor is in block %d; real finality takes 15 minutes, here blocks are added until it is final", block)
		}
		if d.chain.hurry(ctx, block) != nil {
			return
		}
	}
}

// verifyIt checks the proof in a fresh process that knows the policy and asks a
// node about the block, and nothing else.
func (d *demo) verifyIt(ctx context.Context) (string, error) {
	d.head("A fresh process checks it: cairn-verify --policy … --rpc …")
	v, text, err := d.verifier(ctx, d.proof)
	if err != nil {
		return "", err
	}
	if v.Outcome != "verified" {
		return "", fmt.Errorf("the proof was not verified: %s\n%s", v.Reason, text)
	}
	r, a := v.Readings[0], v.Anchors[0]
	shown := ""
	for _, f := range r.Fields {
		d.say("%-9s %s %s", f.Name, f.Value, f.Unit)
		if f.Name == "T" {
			shown = f.Value + " " + f.Unit
		}
	}
	d.say("level %s: in block %d of %s, not later than %s", v.Level, a.Block, a.Route, v.NotAfter.Time)
	d.say("it also lists %d things that it did not check", len(v.NotChecked))
	return fmt.Sprintf("freezer %s, reading %d/%d, anchored in block %d", shown, r.Stream, r.Sequence, a.Block), nil
}

type verdict struct {
	Outcome, Level, Code, Reason string
	Readings                     []struct {
		Stream, Sequence uint64
		Fields           []struct{ Name, Unit, Value string }
	}
	Anchors []struct {
		Route string
		Block uint64
	}
	Ranges []struct {
		Complete   bool
		KnownUntil string
	}
	NotAfter   *struct{ Time string }
	NotChecked []string
}

// verifier runs cairn-verify on a file. Its exit code must fit what it says.
func (d *demo) verifier(ctx context.Context, file string) (v verdict, text string, err error) {
	var out, errs bytes.Buffer
	cmd := d.command(ctx, "cairn-verify", "--json", "--policy", d.policy, "--rpc", d.chain.url, file)
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return v, "", fmt.Errorf("cairn-verify: %w", err)
	}
	text = out.String() + errs.String()
	if err := json.Unmarshal(out.Bytes(), &v); err != nil {
		return v, text, fmt.Errorf("cairn-verify answers %q: %w", text, err)
	}
	want := map[string]int{"verified": 0, "refused": 1, "unchecked": 2}[v.Outcome]
	if got := cmd.ProcessState.ExitCode(); got != want {
		return v, text, fmt.Errorf("cairn-verify says %s and exits with %d", v.Outcome, got)
	}
	return v, text, nil
}

// tamper changes one bit of the file as it lies there, and then one digit of the
// shown temperature with a whole file written around it.
func (d *demo) tamper(ctx context.Context) error {
	d.head("The temperature is changed in the file, -6.5 to -6.6")
	file, err := os.ReadFile(d.proof)
	if err != nil {
		return fmt.Errorf("read proof: %w", err)
	}
	f, err := proof.Decode(file)
	if err != nil {
		return fmt.Errorf("read proof: %w", err)
	}
	// In CBOR: "T", "Cel", then the decimal fraction -65·10^-1.
	shown, at := []byte("\x61T\x63Cel\xc4\x82\x20\x38\x40"), -1
	for i := range f.Readings[0].Fields {
		item := f.Readings[0].Fields[i].Item
		if at = bytes.Index(item, shown); at >= 0 {
			item[at+len(shown)-1] ^= 1
			break
		}
	}
	if at < 0 {
		return errors.New("the proof does not show -6.5 Cel")
	}
	file[len(file)/2] ^= 1
	if err := d.refused(ctx, file, "with any bit of the file flipped"); err != nil {
		return err
	}
	return d.refusedFile(ctx, f, "with a whole file written around it")
}

// whole proves that nothing was left out: all readings of the freezer, and then
// all but one.
func (d *demo) whole(ctx context.Context) error {
	d.head("All of the freezer's readings are proven: cairn prove --complete --device freezer")
	path := filepath.Join(d.dir, "all.cairn-proof")
	if _, err := d.cairn(ctx, "", "prove", "--complete", "--device", "freezer", "--out", path); err != nil {
		return err
	}
	v, text, err := d.verifier(ctx, path)
	if err != nil {
		return err
	}
	if v.Outcome != "verified" || len(v.Ranges) != 1 || !v.Ranges[0].Complete {
		return fmt.Errorf("the range was not verified as complete: %s\n%s", v.Reason, text)
	}
	d.say("%d readings, complete as numbered by the gateway, known until %s", len(v.Readings), v.Ranges[0].KnownUntil)
	file, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read proof: %w", err)
	}
	f, err := proof.Decode(file)
	if err != nil {
		return fmt.Errorf("read proof: %w", err)
	}
	r := &f.Ranges[0]
	r.Readings = slices.Delete(r.Readings, 2, 3)
	return d.refusedFile(ctx, f, "with one reading taken out")
}

func (d *demo) refusedFile(ctx context.Context, f *proof.File, how string) error {
	b, err := f.Encode()
	if err != nil {
		return fmt.Errorf("write changed proof: %w", err)
	}
	return d.refused(ctx, b, how)
}

func (d *demo) refused(ctx context.Context, file []byte, how string) error {
	path := filepath.Join(d.dir, "changed.cairn-proof")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		return fmt.Errorf("write changed proof: %w", err)
	}
	v, text, err := d.verifier(ctx, path)
	if err != nil {
		return err
	}
	if v.Outcome != "refused" {
		return fmt.Errorf("a changed proof is %s\n%s", v.Outcome, text)
	}
	d.say("%s: REFUSED (%s) %s", how, v.Code, v.Reason)
	return nil
}
