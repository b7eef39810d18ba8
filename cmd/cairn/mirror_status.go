package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"cairn/store/mirror"
)

const (
	mirrorStatusFile = "status.json"
	mirrorAlarmsFile = "alarms.log" // lines of JSON, one when an alarm begins and one when it ends; only ever longer
)

// mirrorStatus is what a mirror says of itself: status.json, /healthz, and the
// answer of `cairn mirror status`.
type mirrorStatus struct {
	Status  string               `json:"status"` // green or red
	Ledger  string               `json:"ledger"`
	Source  string               `json:"source"`
	Grant   uint64               `json:"grant"`
	Through string               `json:"keysThrough"`        // end of the last hour that the grant's keys open
	Pass    string               `json:"lastPass,omitempty"` // RFC 3339; of the last one that came to an end
	Every   int64                `json:"every,omitempty"`    // seconds from one to the next; 0: of --once
	Error   string               `json:"error,omitempty"`    // what that could not do
	Batches uint64               `json:"batches"`
	Root    string               `json:"root,omitempty"`
	From    uint64               `json:"groupsFrom"` // first batch whose group is here
	Next    uint64               `json:"groupsNext"` // first one whose sealed group is not
	Groups  int                  `json:"groups"`     // sealed
	Live    int                  `json:"liveGroups"`
	Missing int                  `json:"missingObjects"`
	Alarms  []*mirror.Alarm      `json:"alarms"`
	Anchors *mirror.AnchorReport `json:"anchors,omitempty"` // by the mirror's own access to the chains
	Unasked []string             `json:"notChecked"`        // routes that it has no access to; "all" without a policy
	Key     string               `json:"key"`               // verifier key of what it says that it holds
	Witness string               `json:"witness"`           // verifier key of its cosignatures
	Signed  uint64               `json:"cosigned"`          // batches of the newest checkpoint that it cosigned
}

// begin sets what does not change.
func (m *mirrorStatus) begin(s *mirrorService) {
	m.Status, m.Ledger, m.Source, m.Grant = red, s.copy.Identity().Ledger.String(), s.url, s.keys.Grant()
	if s.ipfs != "" {
		m.Source = "ipfs:" + s.ipfs
	}
	if !s.once {
		m.Every = int64(s.every / time.Second)
	}
	m.Unasked = append([]string{}, s.chain.unasked()...)
	m.Alarms, m.Key, m.Witness = []*mirror.Alarm{}, s.own.vkey, s.own.witness.Key.String()
}

// stalledAfter is how much longer than three times its pause a mirror may take for a
// pass.
const stalledAfter = 10 * time.Minute

// at is the status at a time: without a pass for long a mirror knows nothing of what
// it stands for, whether it has stopped or its source keeps it from coming to an end.
func (m mirrorStatus) at(now time.Time) mirrorStatus {
	last, err := time.Parse(time.RFC3339, m.Pass)
	if err != nil || m.Every == 0 || now.Sub(last) < 3*time.Duration(m.Every)*time.Second+stalledAfter {
		return m
	}
	m.Status = red
	m.Error = strings.TrimPrefix(m.Error+"; no pass has come to its end since "+m.Pass, "; ")
	return m
}

// settle takes down what a pass came to: in status.json, the log of alarms, and for
// those who ask.
func (s *mirrorService) settle(alarms []*mirror.Alarm, report *mirror.AnchorReport, failed error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := &s.status
	now := time.Now().UTC().Format(time.RFC3339)
	alarms = s.sameAlarms(alarms, now)
	m.Pass, m.Error, m.Alarms, m.Anchors, m.Status = now, "", alarms, report, green
	if failed != nil {
		m.Error = failed.Error()
	}
	if len(alarms) > 0 || failed != nil {
		m.Status = red
	}
	if head, _, ok := s.copy.Head(); ok {
		m.Batches, m.Root = head.Size, head.Root.String()
	}
	m.From, m.Next, m.Groups = s.copy.Sealed()
	m.Live, _ = s.copy.Live()
	m.Missing = s.copy.Lacking()
	m.Through = time.UnixMilli(s.keys.Bundle().Through.Start()).UTC().Format(time.RFC3339)
	b, err := json.MarshalIndent(m, "", "  ")
	if err == nil {
		err = replaceStatus(filepath.Join(s.dir, mirrorStatusFile), append(b, '\n'))
	}
	if err != nil {
		s.log.Error("the status is not written", "error", err)
	}
	if failed != nil {
		s.log.Error("a pass failed", "error", failed)
	}
}

// sameAlarms gives alarms that go on the time at which they began, and logs those
// that begin or end. s.mu is held.
func (s *mirrorService) sameAlarms(alarms []*mirror.Alarm, now string) []*mirror.Alarm {
	all := []*mirror.Alarm{}
	same := func(a *mirror.Alarm) func(*mirror.Alarm) bool {
		return func(b *mirror.Alarm) bool {
			return a.Kind == b.Kind && (a.File == b.File && a.Text == b.Text || a.File == "")
		}
	}
	for _, a := range alarms {
		if slices.ContainsFunc(all, func(b *mirror.Alarm) bool { return a.Kind == b.Kind && a.Text == b.Text }) {
			continue
		}
		at := a.At
		if i := slices.IndexFunc(s.status.Alarms, same(a)); i >= 0 {
			at = s.status.Alarms[i].At
		} else {
			s.log.Error("alarm", "kind", string(a.Kind), "what", a.Text, "evidence", a.File)
			s.logAlarm(now, "begins", a)
		}
		if at == "" {
			at = now
		}
		all = append(all, &mirror.Alarm{Kind: a.Kind, Text: a.Text, File: a.File, At: at})
	}
	for _, a := range s.status.Alarms {
		if !slices.ContainsFunc(all, same(a)) {
			s.log.Info("alarm is over", "kind", string(a.Kind))
			s.logAlarm(now, "ends", a)
		}
	}
	return all
}

// logAlarm appends a line to the log of alarms.
func (s *mirrorService) logAlarm(now, what string, a *mirror.Alarm) {
	line, err := json.Marshal(struct {
		Time  string `json:"time"`
		What  string `json:"what"`
		Alarm any    `json:"alarm"`
	}{now, what, a})
	if err != nil {
		return
	}
	f, err := os.OpenFile(filepath.Join(s.dir, mirrorAlarmsFile), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = f.Write(append(line, '\n'))
		err = errors.Join(err, f.Sync(), f.Close())
	}
	if err != nil {
		s.log.Error("the log of alarms is not written", "error", err)
	}
}

// replaceStatus replaces a file that may be lost by a crash, but never be half there.
func replaceStatus(path string, b []byte) error {
	if err := os.WriteFile(path+".new", b, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// conclude is how one pass ends.
func (s *mirrorService) conclude() error {
	s.mu.Lock()
	m := s.status
	s.mu.Unlock()
	if m.Pass == "" {
		return context.Canceled
	}
	if err := s.c.printMirror(&m); err != nil {
		return err
	}
	return m.verdict()
}

// verdict is the exit code that the status stands for.
func (m *mirrorStatus) verdict() error {
	unreachable := 0
	for _, a := range m.Alarms {
		if a.Kind == mirror.Unreachable || a.Kind == mirror.UncheckedAnchors || a.Kind == mirror.NoMore {
			unreachable++
		}
	}
	switch {
	case len(m.Alarms) > unreachable:
		return falseError{fmt.Errorf("%d alarms", len(m.Alarms))}
	case unreachable > 0:
		return errors.New("not all could be checked")
	case m.Error != "":
		return errors.New(m.Error)
	}
	return nil
}

func (c *command) printMirror(m *mirrorStatus) error {
	if c.json {
		return c.printJSON(m)
	}
	fmt.Fprintf(c.Out, "ledger %s\n", m.Ledger)
	fmt.Fprintf(c.Out, "  %s  last pass %s\n", strings.ToUpper(m.Status), m.Pass)
	fmt.Fprintf(c.Out, "  source   %s, grant %d, keys up to %s\n", m.Source, m.Grant, m.Through)
	fmt.Fprintf(c.Out, "  log      %d batches\n", m.Batches)
	fmt.Fprintf(c.Out, "  groups   %d sealed, of batches %d to %d; %d live; %d objects missing\n", m.Groups, m.From, m.Next, m.Live, m.Missing)
	if m.Anchors == nil {
		fmt.Fprintln(c.Out, "  anchors  not checked: give --policy, and --rpc, --bitcoin-rpc or --headers")
	} else {
		fmt.Fprintf(c.Out, "  anchors  %d batches are anchored as the policy asks\n", m.Anchors.Size)
		for _, r := range m.Anchors.Routes {
			switch {
			case slices.Contains(m.Unasked, r.Route):
				fmt.Fprintf(c.Out, "    %s: not checked: this mirror has no access to that chain\n", r.Route)
			case r.Size == 0:
				fmt.Fprintf(c.Out, "    %s: no anchor that is final there; %d receipts of other blocks\n", r.Route, r.Waiting)
			default:
				fmt.Fprintf(c.Out, "    %s: %d batches in block %d; %s\n", r.Route, r.Size, r.Block, r.How)
			}
			if r.Moved != "" {
				fmt.Fprintf(c.Out, "    %s: %s\n", r.Route, r.Moved)
			}
		}
	}
	fmt.Fprintf(c.Out, "  cosigned %d batches\n", m.Signed)
	for _, a := range m.Alarms {
		fmt.Fprintf(c.Out, "  ALARM    %v, since %s\n", a, a.At)
	}
	if m.Error != "" {
		fmt.Fprintf(c.Out, "  FAILED   %s\n", m.Error)
	}
	fmt.Fprintf(c.Out, "  key      %s\n  witness  %s\n", m.Key, m.Witness)
	return nil
}

func (c *command) mirrorStatusCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "status --dir DIR", Short: "Show how the mirror in DIR is, also while it runs (exit code 1 if there is an alarm)",
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			b, err := os.ReadFile(filepath.Join(c.dir, mirrorStatusFile))
			if errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("%s holds no mirror that has come to the end of a pass", c.dir)
			}
			if err != nil {
				return err
			}
			var m mirrorStatus
			if err := json.Unmarshal(b, &m); err != nil {
				return fmt.Errorf("%s: %w", mirrorStatusFile, err)
			}
			m = m.at(time.Now())
			if err := c.printMirror(&m); err != nil {
				return err
			}
			return m.verdict()
		},
	}
	c.jsonFlag(cmd)
	return cmd
}
