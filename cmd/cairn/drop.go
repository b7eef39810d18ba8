package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"cairn/anchor"
	"cairn/store"
	"cairn/store/mirror"
	"cairn/store/share"
)

const (
	// dropEvery is how often the service looks whether there is something to drop.
	dropEvery = time.Hour
	// dropQuestion bounds what one question to a mirror is about: objects are made
	// again for it, and read there.
	dropQuestion = 64 << 20
)

// dropTruth is what dropping is worth.
const dropTruth = "What it does: the site deletes what stands in past quarter hours, of all devices, once enough mirrors have shown\n" +
	"that they hold it: each hashes all of it with a number that is drawn for the question. Keys, the log and what\n" +
	"proves the rest stay. What was dropped is opened and proven from a mirror: grant yourself what you need.\n\n" +
	"What it cannot know: whether a mirror still has it tomorrow, or whether two of them share a disk."

// dropRequest says what to drop.
type dropRequest struct {
	Before int64 `json:"before"` // Unix ms, rounded down to a quarter hour
	DryRun bool  `json:"dryRun,omitempty"`
}

// mirrorHolds is what a mirror showed.
type mirrorHolds struct {
	Name  string `json:"name"`
	Holds bool   `json:"holds"`
	Why   string `json:"why,omitempty"` // why not
}

// dropAnswer is what was dropped, or could be.
type dropAnswer struct {
	Before  string            `json:"before"`
	Groups  int               `json:"groups"` // sealed quarter hours that the mirrors were asked about
	Need    int               `json:"need"`   // mirrors that must hold them
	Mirrors []mirrorHolds     `json:"mirrors"`
	Enough  bool              `json:"enough"`
	Done    *store.DropReport `json:"done,omitempty"`
}

// drop asks the mirrors about all that is sealed before a time and not dropped yet,
// and drops it if enough of them hold it.
func (l *openLedger) drop(ctx context.Context, q dropRequest, say func(string)) (dropAnswer, error) {
	a := dropAnswer{Need: l.g.cfg.DropMirrors, Mirrors: []mirrorHolds{}}
	before, err := share.HourOf(q.Before)
	if err != nil {
		return a, fmt.Errorf("--before: %w", err)
	}
	a.Before = timeText(before.Start())
	if len(l.cfg.Mirrors) == 0 {
		return a, fmt.Errorf("no mirrors are configured%s: name them under mirrors in cairn.yaml", l.where())
	}
	if a.Need > len(l.cfg.Mirrors) {
		return a, fmt.Errorf("drop.mirrors wants %d mirrors, and %d %s configured%s", a.Need, len(l.cfg.Mirrors), are(len(l.cfg.Mirrors)), l.where())
	}
	groups, err := l.toDrop(ctx, before)
	if err != nil {
		return a, err
	}
	a.Groups = len(groups)
	if a.Mirrors, err = l.askHeld(ctx, groups, say); err != nil {
		return a, err
	}
	var holders []string
	for _, m := range a.Mirrors {
		if m.Holds {
			holders = append(holders, m.Name)
		}
	}
	if a.Enough = len(holders) >= a.Need; !a.Enough || q.DryRun {
		return a, nil
	}
	rep, err := l.store.Drop(ctx, store.DropOptions{Before: before, Next: groups[len(groups)-1].Next, Mirrors: holders, Progress: say})
	if err != nil {
		return a, err
	}
	a.Done = &rep
	return a, nil
}

// errNothingToDrop says that all that is there is to stay.
var errNothingToDrop = errors.New("nothing is sealed and still here")

// toDrop lists the sealed groups of hours below before that are still here. No hour
// of those may be unsealed, and all must be final where the ledger is anchored.
func (l *openLedger) toDrop(ctx context.Context, before share.Hour) (all []store.GroupRef, err error) {
	dropped, err := l.store.Dropped()
	if err != nil {
		return nil, err
	}
	for from := uint64(0); ; {
		page, err := l.store.Groups(ctx, from, mirror.MaxGroups)
		if err != nil {
			return nil, err
		}
		for _, g := range page {
			switch {
			case g.Hour >= before || g.Hour < dropped.Before && g.Next <= dropped.Next:
			case g.Live:
				return nil, fmt.Errorf("%w: what was received from %s on%s", store.ErrNotSealed, timeText(g.Hour.Start()), l.where())
			default:
				all = append(all, g)
			}
		}
		if len(page) < mirror.MaxGroups {
			break
		}
		from = page[len(page)-1].Next
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%w before %s%s", errNothingToDrop, timeText(before.Start()), l.where())
	}
	if len(l.cfg.Anchors) == 0 {
		return all, nil
	}
	final, err := l.finalSize()
	if last := all[len(all)-1]; err == nil && last.Next > final {
		err = fmt.Errorf("batches up to %d are to go, and the anchors%s are final up to %d: wait, or choose an earlier --before", last.Next, l.where(), final)
	}
	return all, err
}

// finalSize is how many batches the quorum of routes holds for good, also when the
// service does not run.
func (l *openLedger) finalSize() (uint64, error) {
	routes, err := l.routesOf()
	if err != nil {
		return 0, err
	}
	var sizes []uint64
	for _, r := range routes {
		size := uint64(0)
		for _, a := range r.Anchors() {
			if a.State == anchor.Final {
				size = max(size, a.Size)
			}
		}
		sizes = append(sizes, size)
	}
	if len(sizes) == 0 {
		return 0, nil
	}
	slices.Sort(sizes)
	return sizes[len(sizes)-min(l.cfg.need(len(sizes)), len(sizes))], nil
}

// askHeld asks each mirror about the groups, in questions of bounded size. One that
// failed once is asked no more.
func (l *openLedger) askHeld(ctx context.Context, groups []store.GroupRef, say func(string)) ([]mirrorHolds, error) {
	all := make([]mirrorHolds, len(l.cfg.Mirrors))
	sources := make([]mirror.Source, len(all))
	for i := range l.cfg.Mirrors {
		m := &l.cfg.Mirrors[i]
		var err error
		all[i] = mirrorHolds{Name: m.Name, Holds: true}
		if sources[i], err = m.source(); err != nil {
			all[i].Holds, all[i].Why = false, err.Error()
		}
	}
	for from := 0; from < len(groups); {
		say(fmt.Sprintf("ask the mirrors: %d of %d quarter hours", from, len(groups)))
		objects, n, err := l.objectsOf(ctx, groups[from:])
		if err != nil {
			return nil, err
		}
		first, next := groups[from].First, groups[from+n-1].Next
		for i := range all {
			if x := &all[i]; x.Holds {
				if err := l.heldBy(ctx, &l.cfg.Mirrors[i], sources[i], objects, first, next); err != nil {
					if ctx.Err() != nil {
						return nil, ctx.Err()
					}
					x.Holds, x.Why = false, err.Error()
				}
			}
		}
		from += n
	}
	return all, nil
}

// heldBy asks one mirror, with a nonce of this question.
func (l *openLedger) heldBy(ctx context.Context, m *MirrorConfig, src mirror.Source, objects [][]byte, first, next uint64) error {
	nonce := mirror.NewNonce()
	sum := mirror.NewHeldSum(nonce)
	for _, o := range objects {
		sum.Add(o)
	}
	answer, err := mirror.AskHeld(ctx, src, first, next, nonce)
	if errors.Is(err, mirror.ErrNotFound) {
		return fmt.Errorf("it does not have all sealed quarter hours of batches %d to %d: its grant may begin later, or it has not caught up", first, next-1)
	}
	if err != nil {
		return err
	}
	return sum.Check(answer, m.key, l.store.Origin(), first, next)
}

// objectsOf makes the objects of as many groups as one question takes, in its order:
// of each group its own first, the others by their hash.
func (l *openLedger) objectsOf(ctx context.Context, groups []store.GroupRef) (all [][]byte, n int, err error) {
	size := 0
	for n < len(groups) && n < mirror.MaxHeldGroups && size < dropQuestion {
		of, err := l.store.GroupObjects(ctx, groups[n].First, func(share.Hour, *store.ObjectRef) bool { return true })
		if err != nil {
			return nil, 0, err
		}
		type named struct {
			hash  [sha256.Size]byte
			bytes []byte
		}
		others := make([]named, 0, len(of))
		for _, o := range of[1:] {
			others = append(others, named{sha256.Sum256(o), o})
		}
		slices.SortFunc(others, func(x, y named) int { return bytes.Compare(x.hash[:], y.hash[:]) })
		all = append(all, of[0])
		size += len(of[0])
		for _, o := range others {
			all = append(all, o.bytes)
			size += len(o.bytes)
		}
		n++
	}
	return all, n, nil
}

// keepDropping drops by the schedule until ctx ends.
func (l *openLedger) keepDropping(ctx context.Context) {
	if l.g.cfg.DropAfter == 0 || len(l.cfg.Mirrors) == 0 {
		return
	}
	tick := time.NewTicker(dropEvery)
	defer tick.Stop()
	for {
		l.dropByAge(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// dropByAge drops what is older than the schedule says, a day or more at once.
func (l *openLedger) dropByAge(ctx context.Context) {
	before, err := l.dueBefore(time.Now())
	if err != nil {
		l.log.Warn("nothing was dropped", "error", err)
		return
	}
	dropped, err := l.store.Dropped()
	if before.IsZero() || err == nil && dropped.Before.Start() >= before.UnixMilli() {
		return
	}
	a, err := l.drop(ctx, dropRequest{Before: before.UnixMilli()}, func(string) {})
	switch {
	case ctx.Err() != nil, errors.Is(err, errNothingToDrop):
	case err != nil:
		l.log.Warn("nothing was dropped", "before", a.Before, "error", err)
	case a.Done == nil:
		l.log.Warn("nothing was dropped: too few mirrors hold it", "before", a.Before, "why", a.whyNot())
	default:
		l.log.Info("dropped what mirrors hold", "before", a.Before, "readings", a.Done.Readings, "bytes", a.Done.Bytes, "statement", a.Done.Statement)
	}
}

// dueBefore is the midnight before which the schedule drops; zero: nothing is due. As
// with keys, a clock that is not known to be right counts no further than what is
// sealed: one that is ahead would drop what is young.
func (l *openLedger) dueBefore(now time.Time) (time.Time, error) {
	end, err := l.released(now)
	if err != nil || end == 0 {
		return time.Time{}, err
	}
	if known := time.UnixMilli(end.Start()); known.Before(now) {
		now = known
	}
	return now.Add(-l.g.cfg.DropAfter).UTC().Truncate(24 * time.Hour), nil
}

// whyNot says which mirrors do not hold it.
func (a *dropAnswer) whyNot() string {
	var all []string
	for _, m := range a.Mirrors {
		if !m.Holds {
			all = append(all, m.Name+": "+m.Why)
		}
	}
	return strings.Join(all, "; ")
}

func (c *command) dropCommand() *cobra.Command {
	var q dropRequest
	var before string
	cmd := &cobra.Command{
		Use: "drop --before TIME [--dry-run]", Short: "Delete past quarter hours that mirrors hold",
		Long: dropTruth + "\n\nThe mirrors, and how many of them must hold it, are in cairn.yaml (mirrors, drop.mirrors); with\n" +
			"drop.after the service does it by itself. Exit code 1: too few of them hold it.\n\n" + timesHelp,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if q.Before, err = parseTime(before, time.Now()); err != nil {
				return fmt.Errorf("--before: %w", err)
			}
			return c.drop(cmd, q)
		},
	}
	cmd.Flags().StringVar(&before, "before", "", "quarter hours that end by this time")
	cmd.Flags().BoolVar(&q.DryRun, "dry-run", false, "ask the mirrors, and drop nothing")
	_ = cmd.MarkFlagRequired("before")
	c.ledgerFlag(cmd, theDefaultLedger)
	c.jsonFlag(cmd)
	return cmd
}

func (c *command) drop(cmd *cobra.Command, q dropRequest) error {
	a, err := ask[dropAnswer](cmd.Context(), c, "drop", q)
	if err != nil {
		return err
	}
	var short error
	if !a.Enough {
		short = falseError{fmt.Errorf("too few mirrors hold what came before %s, nothing was dropped: %s", a.Before, a.whyNot())}
	}
	if c.json {
		return cmp.Or(c.printJSON(a), short)
	}
	for _, m := range a.Mirrors {
		if m.Holds {
			fmt.Fprintf(c.Out, "%s holds all %d quarter hours before %s\n", m.Name, a.Groups, a.Before)
		} else {
			fmt.Fprintf(c.Out, "%s does not: %s\n", m.Name, m.Why)
		}
	}
	switch {
	case short != nil:
		return short
	case a.Done == nil:
		fmt.Fprintln(c.Out, "nothing was dropped: leave out --dry-run")
	default:
		fmt.Fprintf(c.Out, "dropped here, by statement %d: %d readings, %d bytes of sealed content\n", a.Done.Statement, a.Done.Readings, a.Done.Bytes)
	}
	return nil
}

// gone reports whether an error says that something was shredded or dropped.
func gone(err error) bool {
	return errors.Is(err, store.ErrShredded) || errors.Is(err, store.ErrDropped)
}
