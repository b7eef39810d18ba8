package main

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"

	"cairn/anchor/proof"
	"cairn/merkle"
)

// exportHead writes a checkpoint, or the place of a batch in the log under it.
func (l *openLedger) exportHead(q exportRequest) (exportAnswer, error) {
	if q.Format == formatCheckpoint && q.Batch != nil {
		return exportAnswer{}, errors.New("--batch is of a proof, and a checkpoint is of all batches: --batches says of how many")
	}
	size, err := l.headFor(q)
	if err != nil {
		return exportAnswer{}, err
	}
	note, cosigned, err := l.cosignedNote(size)
	if err != nil {
		return exportAnswer{}, err
	}
	cp, err := l.store.OpenCheckpoint(note)
	if err != nil {
		return exportAnswer{}, err
	}
	key, err := l.keyOf(note)
	if err != nil {
		return exportAnswer{}, err
	}
	a := exportAnswer{
		File: note, Batches: size, Root: cp.Root.String(), Signed: cosigned,
		Key: merkle.VerifierKey(l.store.Origin(), key),
	}
	if q.Format == formatCheckpoint {
		return a, nil
	}
	index := size - 1
	if q.Batch != nil {
		index = *q.Batch
	}
	e := proof.LogEntry{Index: index, Note: note}
	if e.Header, err = l.store.Header(index); err != nil {
		return exportAnswer{}, err
	}
	if e.Path, err = l.store.LogPath(index, size); err != nil {
		return exportAnswer{}, fmt.Errorf("path of batch %d in a log of %d: %w", index, size, err)
	}
	a.Shown, a.Batch = e.Header, &index
	if q.Format == formatTlogProof {
		a.File, err = e.TlogProof()
		return a, err
	}
	private, ok := l.keyring.LogKeyOf(key)
	if !ok {
		return exportAnswer{}, fmt.Errorf("the keyring lacks log key %x", []byte(key))
	}
	a.File, err = e.COSEReceipt(key, func(message []byte) ([]byte, error) { return ed25519.Sign(private, message), nil })
	return a, err
}

// headFor returns the size of the head to write: the one asked for or, of those
// that hold the batch, the newest that a witness cosigned, else the newest.
func (l *openLedger) headFor(q exportRequest) (uint64, error) {
	_, newest, ok := l.store.Checkpoint()
	least := uint64(1)
	if q.Batch != nil {
		least = *q.Batch + 1
	}
	switch {
	case !ok || newest < max(least, q.Batches) || least == 0:
		why := fmt.Sprintf("the newest signed head is of %d batches", newest)
		if held := l.store.Held(); held != "" {
			why += ": " + held
		}
		return 0, againError{errors.New(why)}
	case q.Batches != 0 && q.Batches < least:
		return 0, fmt.Errorf("a head of %d batches does not hold batch %d", q.Batches, *q.Batch)
	case q.Batches != 0:
		return q.Batches, nil
	}
	cosigned, err := l.newestCosigned(least, newest)
	if err != nil || cosigned == 0 {
		return newest, err
	}
	return cosigned, nil
}

// cosignedNote is the head of a size with what witnesses signed of it, and how
// many did.
func (l *openLedger) cosignedNote(size uint64) ([]byte, int, error) {
	note, err := l.store.CheckpointAt(size)
	if err != nil {
		return nil, 0, err
	}
	lines, err := l.cosignaturesOf(size)
	if err != nil {
		return nil, 0, err
	}
	return append(note, bytes.Join(lines, nil)...), len(lines), nil
}

// keyOf returns the log key that signed a note.
func (l *openLedger) keyOf(note []byte) (key ed25519.PublicKey, err error) {
	for _, key = range l.store.LogKeys() {
		if _, err = merkle.OpenCheckpoint(note, l.store.Origin(), key); err == nil {
			return key, nil
		}
	}
	return nil, fmt.Errorf("the head is signed by none of the log's keys: %w", err)
}
