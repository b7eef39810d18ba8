package main

import (
	"context"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
)

// ipfsStatus is what a ledger's publishing on IPFS does.
type ipfsStatus struct {
	API     string  `json:"api"`
	Healthy bool    `json:"healthy"`
	Reason  string  `json:"reason,omitempty"`
	Folders int     `json:"folders"`            // that are published
	Batches uint64  `json:"batches"`            // under them
	Newest  string  `json:"newest,omitempty"`   // CID from which all can be found
	Time    string  `json:"time,omitempty"`     // when that was published
	Waits   float64 `json:"waitingSeconds"`     // since the end of the oldest quarter hour that is not published; 0: none
	Backlog uint64  `json:"backlogBatches"`     // that are sealed and in no folder
	Keep    string  `json:"keep,omitempty"`     // how long the node keeps objects; absent: for ever
	Through uint64  `json:"anchored,omitempty"` // batches under the newest anchor that was published
}

// tell brings the status up to what was published last.
func (p *publisher) tell() {
	waits := 0.0
	if from := p.from(); p.due(from) {
		if hour, err := p.hourOf(from); err == nil {
			waits = max(0, p.now().Sub(time.UnixMilli(hour.End())).Seconds())
		}
	}
	sealed := p.l.store.Status().SealedTo
	backlog := sealed - min(p.from(), sealed)
	p.mu.Lock()
	defer p.mu.Unlock()
	s := &p.status
	s.Backlog = backlog
	s.API, s.Waits, s.Healthy, s.Reason = p.node.URL(), waits, p.bad == nil, ""
	if p.cfg.Keep > 0 {
		s.Keep = shortDuration(p.cfg.Keep)
	}
	if p.bad != nil {
		s.Reason = fmt.Sprintf("%v (since %s)", p.bad, p.since.UTC().Format(time.RFC3339))
	}
	newest := p.head
	if newest == nil || newest.State != ipfsPublished || p.last != nil && p.last.State == ipfsPublished && p.last.From >= newest.From {
		newest = p.last
	}
	if newest != nil && (newest.State == ipfsPublished || newest.State == ipfsThinned) {
		s.Newest, s.Time, s.Through = newest.CID, timeText(newest.At), newest.Anchored
	}
}

// ipfsStatus is nil unless the ledger publishes and runs.
func (l *openLedger) ipfsStatus() *ipfsStatus {
	if l.published == nil {
		return nil
	}
	l.published.mu.Lock()
	defer l.published.mu.Unlock()
	s := l.published.status
	return &s
}

// lines says in words what publishing does.
func (s *ipfsStatus) lines(line func(name, format string, v ...any)) {
	state := "healthy"
	if !s.Healthy {
		state = "UNHEALTHY"
	}
	line("ipfs", "%s %s, %d folders with %d batches", s.API, state, s.Folders, s.Batches)
	if s.Newest != "" {
		line("", "- newest %s of %s", s.Newest, s.Time)
	}
	if s.Waits > 0 {
		line("", "- the oldest quarter hour that is not published ended %v ago; %d sealed batches wait", time.Duration(s.Waits*float64(time.Second)).Round(time.Second), s.Backlog)
	}
	if s.Reason != "" {
		line("", "- %s", s.Reason)
	}
}

// unpublished says why health is red for want of publishing, or "".
func (l *openLedger) unpublished() string {
	p := l.published
	if p == nil {
		return ""
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bad == nil || p.now().Sub(p.since) < publishedRed {
		return ""
	}
	return fmt.Sprintf("publishing on IPFS fails: %s", p.status.Reason)
}

var (
	metricIPFSOK      = metric("ipfs_healthy", "1 if the last step of publishing on IPFS succeeded.", "ledger")
	metricIPFSBatches = metric("ipfs_batches", "Batches under the folders that are published on IPFS.", "ledger")
	metricIPFSBacklog = metric("ipfs_backlog_batches", "Sealed batches that are not published on IPFS.", "ledger")
	metricIPFSWaits   = metric("ipfs_waiting_seconds", "Time since the end of the oldest quarter hour that is not published on IPFS; 0 if none.", "ledger")
)

// collectPublished gives what the ledger's publishing does.
func (l *openLedger) collectPublished(gauge func(d *prometheus.Desc, v float64, labels ...string)) {
	s := l.ipfsStatus()
	if s == nil {
		return
	}
	gauge(metricIPFSOK, one(s.Healthy))
	gauge(metricIPFSBatches, float64(s.Batches))
	gauge(metricIPFSWaits, s.Waits)
	gauge(metricIPFSBacklog, float64(s.Backlog))
}

// listIPFSRequest asks for the newest folders, or all.
type listIPFSRequest struct {
	All bool `json:"all"`
}

type ipfsList struct {
	Newest string       `json:"newest,omitempty"` // CID from which all can be found
	Head   *ipfsFolder  `json:"head,omitempty"`
	All    []ipfsFolder `json:"folders"` // oldest first
	More   int          `json:"more"`    // older ones that are not listed
}

type ipfsFolder struct {
	First uint64 `json:"first"` // batch
	Next  uint64 `json:"next"`
	Hour  string `json:"hour"` // when the quarter hour began
	State string `json:"state"`
	CID   string `json:"cid"`
	Bytes uint64 `json:"bytes"`
}

func folderOf(r *publishedRow) ipfsFolder {
	return ipfsFolder{r.From, r.Next, timeText(r.Hour.Start()), r.State, r.CID, r.Bytes}
}

// listedFolders is how many folders a list has that is not of all.
const listedFolders = 20

// listIPFS lists what is published.
func (l *openLedger) listIPFS(_ context.Context, q listIPFSRequest) (a ipfsList, err error) {
	j := l.store.Journal(ipfsJournal)
	a.All = []ipfsFolder{}
	err = eachPublished(j, func(r publishedRow) error {
		if len(a.All) == listedFolders && !q.All {
			a.All, a.More = a.All[1:], a.More+1
		}
		a.All = append(a.All, folderOf(&r))
		if r.State == ipfsPublished || r.State == ipfsThinned {
			a.Newest = r.CID
		}
		return nil
	})
	if err != nil {
		return a, err
	}
	head, err := readRow(j, rowHead)
	if head != nil && head.State == ipfsPublished && (len(a.All) == 0 || head.From >= a.All[len(a.All)-1].Next) {
		of := folderOf(head)
		a.Head, a.Newest = &of, head.CID
	}
	return a, err
}

// ipfsCommand shows what is published on IPFS.
func (c *command) ipfsCommand() *cobra.Command {
	parent := &cobra.Command{
		Use: "ipfs", Short: "Show what is published on IPFS",
		Long: "A gateway with ipfs.api in its configuration has an IPFS node keep a folder for each sealed quarter\n" +
			"hour, and a head that leads to the newest of them. Whoever has a mirror's grant restores a copy from\n" +
			"that alone: `cairn mirror --ipfs CID`.",
	}
	parent.AddCommand(c.ipfsListCommand())
	return parent
}

func (c *command) ipfsListCommand() *cobra.Command {
	var q listIPFSRequest
	cmd := &cobra.Command{
		Use: "list", Short: "List the folders on IPFS, and the CID that leads to all of them", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			a, err := ask[ipfsList](cmd.Context(), c, "ipfs/list", q)
			if err != nil {
				return err
			}
			if c.json {
				return c.printJSON(a)
			}
			if a.Newest == "" {
				fmt.Fprintln(c.Out, "nothing is published on IPFS")
				return nil
			}
			if a.More > 0 {
				fmt.Fprintf(c.Out, "%d older ones: --all lists them\n", a.More)
			}
			w := tabwriter.NewWriter(c.Out, 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "BATCHES\tQUARTER HOUR\tSTATE\tBYTES\tCID")
			for _, f := range a.All {
				fmt.Fprintf(w, "%d–%d\t%s\t%s\t%d\t%s\n", f.First, f.Next-1, f.Hour, f.State, f.Bytes, f.CID)
			}
			if f := a.Head; f != nil {
				fmt.Fprintf(w, "%d–%d\t%s\thead\t%d\t%s\n", f.First, f.Next-1, f.Hour, f.Bytes, f.CID)
			}
			if err := w.Flush(); err != nil {
				return err
			}
			_, err = fmt.Fprintf(c.Out, "newest %s\n", a.Newest)
			return err
		},
	}
	cmd.Flags().BoolVar(&q.All, "all", false, "list all, not the newest alone")
	c.ledgerFlag(cmd, theDefaultLedger)
	c.jsonFlag(cmd)
	return cmd
}
