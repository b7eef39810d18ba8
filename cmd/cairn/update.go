package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"cairn/anchor"
	"cairn/anchor/proof"
	"cairn/merkle"
	"cairn/store"
)

// maxUpdated is how many heads one update is for.
const maxUpdated = 1024

// updateRequest names heads that somebody's proof rests on.
type updateRequest struct {
	Heads []updateHead `json:"heads"`
}

type updateHead struct {
	Size uint64 `json:"size"`
	Root string `json:"root,omitempty"` // hexadecimal; "": whichever this log had
}

type updateAnswer struct {
	File   []byte   `json:"file,omitempty"`
	Heads  int      `json:"heads"`  // that were asked for
	Routes []string `json:"routes"` // with a final anchor
	Size   uint64   `json:"size"`   // of the greatest head in it
}

// updateFlags are those of export that are of an update.
type updateFlags struct {
	update  bool
	proof   string
	batches []uint // sizes of heads
}

// flags adds them.
func (u *updateFlags) flags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&u.update, "update", false, "write what completes a proof that was made before its anchors were final, for cairn-verify upgrade")
	cmd.Flags().StringVar(&u.proof, "for", "", "update: the proof file")
	cmd.Flags().UintSliceVar(&u.batches, "size", nil, "update: instead of the file, the size of a head that it rests on (may be repeated)")
	cmd.MarkFlagsMutuallyExclusive("for", "size")
	for _, other := range []string{"format", "batches", "route", "batch", "shown"} {
		cmd.MarkFlagsMutuallyExclusive("update", other)
	}
}

// asked reports whether the flags ask for an update.
func (u *updateFlags) asked() (bool, error) {
	switch {
	case u.update && u.proof == "" && len(u.batches) == 0:
		return true, errors.New("--update wants to know what for: --for PROOF, or --size N")
	case !u.update && (u.proof != "" || len(u.batches) != 0):
		return false, errors.New("--for and --size are of --update")
	}
	return u.update, nil
}

// exportUpdate writes an update.
func (c *command) exportUpdate(ctx context.Context, u updateFlags, out string) error {
	if _, err := os.Lstat(out); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is there already, and is not overwritten: give another name", out)
	}
	q, err := u.request()
	if err != nil {
		return err
	}
	a, err := ask[updateAnswer](ctx, c, "export/update", q)
	if err != nil {
		return err
	}
	if err := writeNew(out, a.File, 0o644); err != nil {
		return fmt.Errorf("write update: %w", err)
	}
	if c.json {
		a.File = nil
		return c.printJSON(a)
	}
	fmt.Fprintf(c.Out, "%s: an update to %d batches, anchored by %s\n", out, a.Size, strings.Join(a.Routes, ", "))
	fmt.Fprintf(c.Out, "  next   cairn-verify upgrade --from %s --out NEW PROOF\n", out)
	return nil
}

// request reads the proof here, so that its readings are not sent anywhere.
func (u *updateFlags) request() (q updateRequest, err error) {
	for _, size := range u.batches {
		q.Heads = append(q.Heads, updateHead{Size: uint64(size)})
	}
	if u.proof == "" {
		return q, nil
	}
	b, err := os.ReadFile(u.proof)
	if err != nil {
		return q, err
	}
	f, err := proof.Decode(b)
	if err != nil {
		return q, fmt.Errorf("%s: %w", u.proof, err)
	}
	heads, err := proof.HeadsOf(f)
	if err != nil {
		return q, fmt.Errorf("%s: %w", u.proof, err)
	}
	for _, h := range heads {
		q.Heads = append(q.Heads, updateHead{h.Size, h.Root.String()})
	}
	return q, nil
}

// update makes the update for some heads: for each, that it is the beginning of
// the head of the first final anchor on each route that holds it, that head,
// its receipt, and what witnesses signed.
func (l *openLedger) update(_ context.Context, q updateRequest) (updateAnswer, error) {
	if len(q.Heads) == 0 || len(q.Heads) > maxUpdated {
		return updateAnswer{}, fmt.Errorf("an update of %d heads: want 1 to %d", len(q.Heads), maxUpdated)
	}
	routes, err := l.routesOf()
	if err != nil {
		return updateAnswer{}, err
	}
	if len(routes) == 0 {
		return updateAnswer{}, errors.New("the ledger has no route: nothing anchors it, so that nothing came later")
	}
	p := &prover{
		l: l, routes: routes, state: stateFinal, batches: map[uint64]*provenBatch{}, heads: map[uint64]int{},
		streamBatches: map[uint64][]*provenBatch{}, b: proof.NewBuilder([32]byte(l.store.FirstLogKey()), l.keyring.Nonce()),
	}
	for _, h := range q.Heads {
		if err := p.updated(h); err != nil {
			return updateAnswer{}, err
		}
	}
	if len(p.used) == 0 {
		return updateAnswer{}, againError{errors.New("no final anchor holds those batches yet")}
	}
	if err := p.followable(); err != nil {
		return updateAnswer{}, err
	}
	if err := p.cosigned(); err != nil {
		return updateAnswer{}, err
	}
	if err := p.extend(); err != nil {
		return updateAnswer{}, err
	}
	a := updateAnswer{Heads: len(q.Heads), Routes: p.used, Size: p.newest}
	if a.File, err = p.b.File().Encode(); err != nil {
		return updateAnswer{}, fmt.Errorf("write update: %w", err)
	}
	return a, nil
}

// updated adds one head, and the final anchors that hold it.
func (p *prover) updated(h updateHead) error {
	note, err := p.l.store.CheckpointAt(h.Size)
	if errors.Is(err, store.ErrNotFound) || h.Size == 0 {
		_, signed, _ := p.l.store.Checkpoint()
		return fmt.Errorf("no head of %d batches was signed here: the newest has %d; is it of this ledger?", h.Size, signed)
	}
	if err != nil {
		return err
	}
	if err := p.ownHead(h); err != nil {
		return err
	}
	if _, err := p.head(note, h.Size); err != nil {
		return err
	}
	for _, r := range p.routes {
		a, ok, err := r.Lookup(h.Size)
		if err != nil {
			return fmt.Errorf("anchors of %s: %w", r.name, err)
		}
		if !ok || len(a.Receipt) == 0 {
			continue
		}
		if err := p.final(r.name, &a); err != nil {
			return err
		}
	}
	return nil
}

// ownHead holds that a head that somebody has is one of this log. If it is not,
// either the file is of another ledger or the log has two histories.
func (p *prover) ownHead(h updateHead) error {
	if h.Root == "" {
		return nil
	}
	want, err := hex.DecodeString(h.Root)
	if err != nil || len(want) != merkle.HashSize {
		return fmt.Errorf("root %.80q is not %d bytes in hexadecimal", h.Root, merkle.HashSize)
	}
	root, err := p.l.store.RootAt(h.Size)
	if err != nil {
		return err
	}
	if root != merkle.Hash(want) {
		return fmt.Errorf("the head of %d batches in that file is not this log's, whose root is %v: it is of another ledger, or of another history of this one, "+
			"which cairn-verify compare tells", h.Size, root)
	}
	return nil
}

// final adds a final anchor's head and receipt.
func (p *prover) final(route string, a *anchor.Anchor) error {
	head, err := p.head(a.Note, a.Size)
	if err != nil {
		return err
	}
	p.newest = max(p.newest, a.Size)
	p.receipt(proof.Receipt{Route: route, Head: head, Kind: receiptKind(route), Data: a.Receipt})
	if at := (placedAnchor{route, stateFinal, a.Size}); !slices.Contains(p.anchors, at) {
		p.anchors = append(p.anchors, at)
	}
	return nil
}
