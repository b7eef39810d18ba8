package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"cairn/anchor/proof"
	"cairn/ingest/reading"
	"cairn/merkle/ledger"
	"cairn/store"
)

// receiptRequest names the reading whose intake receipt is wanted.
type receiptRequest struct {
	Reading string `json:"reading"` // STREAM/SEQUENCE
}

type receiptAnswer struct {
	File []byte `json:"file"`
}

func (l *openLedger) receipt(_ context.Context, q receiptRequest) (receiptAnswer, error) {
	ids, err := parseIDs([]string{q.Reading})
	if err != nil {
		return receiptAnswer{}, err
	}
	file, err := l.receiptOf(ids[0].slot, ids[0].seq, false)
	return receiptAnswer{file}, err
}

// receiptOf makes the intake receipt of a reading that was taken lately. It shows all
// of the reading: whoever gets it has sent it. Who has sent a frame, which may not be
// theirs to open, is shown its hash and what the answer says, and nothing that is in it.
func (l *openLedger) receiptOf(slot, seq uint64, frame bool) ([]byte, error) {
	x, err := l.store.Receipt(slot, seq)
	if err != nil {
		return nil, err
	}
	r := proof.IntakeReceipt{
		Ledger: proof.Ledger{Key: [32]byte(l.store.FirstLogKey()), Nonce: l.keyring.Nonce()},
		Tag:    x.Tag, Seq: seq, Width: x.Width(), Index: x.Index, Path: x.Path, Head: x.Head, Signature: [64]byte(x.Signature),
	}
	shown := []int{}
	for i := range x.Items {
		show := i != reading.IndexReading
		if frame {
			show = i == reading.IndexReceived || i == reading.IndexSequence || i == reading.IndexOrigin || i == reading.IndexFrame
		}
		if show {
			shown = append(shown, i)
			r.Fields = append(r.Fields, proof.Field{Index: i, Item: x.Items[i], Salt: x.Salts[i]})
		}
	}
	r.Hidden = x.Cover(shown)
	if r.Handovers, err = l.handovers(); err != nil {
		return nil, err
	}
	return r.Encode()
}

// handovers are the statements by which the log's key was changed, in their order.
func (l *openLedger) handovers() (all [][]byte, err error) {
	if len(l.store.LogKeys()) == 1 {
		return nil, nil
	}
	l.shared.mu.Lock()
	defer l.shared.mu.Unlock()
	if err := l.shared.read(l); err != nil {
		return nil, err
	}
	for _, n := range l.shared.public {
		item, _, _, err := l.store.StatementAt(n, l.shared.next)
		if err != nil {
			return nil, err
		}
		if s, err := ledger.ParseStatement(item); err == nil && s.Kind == ledger.KindLogKey {
			all = append(all, item)
		}
	}
	return all, nil
}

// receiptFor makes the intake receipt of what somebody has posted for a device of intake's.
func (g *gateway) receiptFor(device uint32, slot, seq uint64, frame bool) ([]byte, error) {
	index, _ := splitNumber(device)
	if index >= len(g.ledgers) {
		return nil, store.ErrNotFound
	}
	return g.ledgers[index].receiptOf(slot, seq, frame)
}

func (c *command) receiptCommand() *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use: "receipt STREAM/SEQUENCE --out FILE", Short: "Write what shows at once that a reading was taken", Args: cobra.ExactArgs(1),
		Long: "Writes the intake receipt of a reading: all of it, its place in the group commit that it was\n" +
			"written with, and the signature over that. Senders get the same over HTTP with ?receipt=1.\n" +
			"There is one until the reading's quarter hour is sealed; then there are proofs.\n\n" +
			"cairn-verify FILE checks it; cairn-verify compare FILE PROOF says whether a proof that came\n" +
			"later contradicts it.",
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := os.Lstat(out); !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("%s is there already, and is not overwritten: give another name", out)
			}
			a, err := ask[receiptAnswer](cmd.Context(), c, "receipt", receiptRequest{args[0]})
			if err != nil {
				return err
			}
			if err := writeNew(out, a.File, 0o644); err != nil {
				return fmt.Errorf("write receipt: %w", err)
			}
			if c.json {
				return c.printJSON(map[string]any{"out": out, "bytes": len(a.File)})
			}
			fmt.Fprintf(c.Err, "%s: %d bytes\n", out, len(a.File))
			return nil
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "the file to write; it must not exist yet")
	_ = cmd.MarkFlagRequired("out")
	c.ledgerFlag(cmd, theDefaultLedger)
	c.jsonFlag(cmd)
	return cmd
}
