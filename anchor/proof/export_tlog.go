package proof

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"strings"

	"cairn/merkle"
	"cairn/merkle/ledger"

	"github.com/fxamacker/cbor/v2"
)

// LogEntry is a batch header in a ledger's log, under one checkpoint.
type LogEntry struct {
	Header []byte        // the entry: its leaf is SHA256(00 ‖ header)
	Index  uint64        // of the entry
	Path   []merkle.Hash // from the leaf up, RFC 9162 section 2.1.3
	Note   []byte        // the checkpoint with its signatures
}

// check returns the checkpoint, if the path leads to its root. Signatures are
// not looked at.
func (e *LogEntry) check() (merkle.Checkpoint, error) {
	cp, err := checkpointOf(e.Note)
	if err == nil {
		err = merkle.VerifyInclusion(merkle.LeafHash(e.Header), e.Index, cp.Size, e.Path, cp.Root)
	}
	if err != nil {
		return cp, fmt.Errorf("%w: entry %d: %w", ErrExportFalse, e.Index, err)
	}
	return cp, nil
}

// TlogProof returns the entry's C2SP tlog-proof: the text
//
//	c2sp.org/tlog-proof@v1
//	index <decimal>
//	<base64 hash>        for each of the path, from the leaf up
//	                     an empty line, and then the checkpoint as it is
//
// It does not hold the entry itself.
func (e *LogEntry) TlogProof() ([]byte, error) {
	if _, err := e.check(); err != nil {
		return nil, err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "c2sp.org/tlog-proof@v1\nindex %d\n", e.Index)
	for _, h := range e.Path {
		b.WriteString(h.Base64() + "\n")
	}
	return append([]byte(b.String()+"\n"), e.Note...), nil
}

// Labels and values of COSE and of RFC 9942, section 4 and 5.2.
const (
	coseSign1   = 18 // tag
	coseAlg     = 1
	coseKid     = 4
	coseEdDSA   = -8
	coseVDS     = 395 // protected: which verifiable data structure
	coseVDP     = 396 // unprotected: its proofs
	vdsRFC9162  = 1   // RFC9162_SHA256
	vdpIncluded = -1  // inclusion proofs
)

// COSEReceipt returns the entry's receipt of inclusion by RFC 9942, a
// COSE_Sign1 (RFC 9052, tagged) whose payload, the log's root, is detached:
//
//	18([<<{1: -8, 4: bytes kid, 395: 1}>>,
//	    {396: {-1: [<<[uint tree size, uint leaf index, [+ bytes32 hash]]>>]}},
//	    null, bytes64 signature])
//
// where << >> is the deterministic encoding as bytes. The signature is Ed25519
// by the log's key over ["Signature1", protected, empty bytes, root]; no
// checkpoint begins so, and no intake head. kid is the log's verifier key up to
// its second plus sign, which names key and log. sign is called once, for an
// entry that the checkpoint holds. RFC 9942 knows no path without a hash: in a
// log of one entry there is nothing that could be written.
func (e *LogEntry) COSEReceipt(key ed25519.PublicKey, sign func(message []byte) ([]byte, error)) ([]byte, error) {
	cp, err := e.check()
	if err != nil {
		return nil, err
	}
	if len(e.Path) == 0 {
		return nil, fmt.Errorf("%w: in a log of one entry the path is empty, and RFC 9942 has no empty path: wait for the next batch", ErrUnexportable)
	}
	kid := merkle.VerifierKey(cp.Origin, key)[:len(cp.Origin)+len("+01234567")]
	var errs []error
	encode := func(v any) []byte {
		b, err := marshal(v)
		errs = append(errs, err)
		return b
	}
	protected := encode(map[int]any{coseAlg: coseEdDSA, coseKid: []byte(kid), coseVDS: vdsRFC9162})
	path := make([][]byte, len(e.Path))
	for i := range path {
		path[i] = e.Path[i][:]
	}
	included := encode([]any{cp.Size, e.Index, path})
	message := encode([]any{"Signature1", protected, []byte{}, cp.Root[:]})
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	signature, err := sign(message)
	if err != nil {
		return nil, fmt.Errorf("sign receipt: %w", err)
	}
	if !ed25519.Verify(key, message, signature) {
		return nil, errors.New("sign receipt: the signature is not the log key's")
	}
	proofs := map[int]any{coseVDP: map[int]any{vdpIncluded: [][]byte{included}}}
	return marshal(cbor.Tag{Number: coseSign1, Content: []any{protected, proofs, nil, signature}})
}

// logEntry is the batch of what was chosen under the head that most have
// signed; of several such the oldest, which has the earliest anchors.
func (f *File) logEntry(what Selection) (*LogEntry, error) {
	trails, err := f.trails(what)
	if err != nil {
		return nil, err
	}
	batch := trails[0].batch
	covers, err := f.covers(batch)
	if err != nil {
		return nil, err
	}
	best, most := covers[0], 0
	for _, c := range covers {
		signed := strings.Count(string(f.Heads[c.head].Note), "\n\u2014 ")
		if signed > most || signed == most && c.cp.Size < best.cp.Size {
			best, most = c, signed
		}
	}
	return &LogEntry{f.Batches[batch].Header, best.index, best.path, f.Heads[best.head].Note}, nil
}

// ExportTlogProof writes the place of a batch header in its ledger's log as a
// C2SP tlog-proof, with checkpoint and cosignatures verbatim: the header of the
// batch that what was chosen is in. entry is that header, which the proof does
// not hold. Errors are ErrSelection and ErrExportFalse.
func ExportTlogProof(f *File, what Selection) (entry, proof []byte, err error) {
	e, err := f.logEntry(what)
	if err != nil {
		return nil, nil, err
	}
	proof, err = e.TlogProof()
	return e.Header, proof, err
}

// ExportCheckpoint returns the checkpoint that ExportTlogProof would take.
func ExportCheckpoint(f *File, what Selection) ([]byte, error) {
	e, err := f.logEntry(what)
	if err != nil {
		return nil, err
	}
	return e.Note, nil
}

// VerifierKeyOf returns the verifier key by which the checkpoint that
// ExportTlogProof takes is signed: the log's first, or one that took over by a
// statement in the file.
func (f *File) VerifierKeyOf(what Selection) (string, error) {
	e, err := f.logEntry(what)
	if err != nil {
		return "", err
	}
	cp, err := checkpointOf(e.Note)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrExportFalse, err)
	}
	keys := [][32]byte{f.Ledger.Key}
	for i := range f.Statements {
		if st, err := ledger.ParseStatement(f.Statements[i].Item); err == nil && st.Kind == ledger.KindLogKey {
			if k, err := ledger.LogKeyFrom(st); err == nil {
				keys = append(keys, k.New)
			}
		}
	}
	for _, k := range keys {
		if _, err := merkle.OpenCheckpoint(e.Note, cp.Origin, k[:]); err == nil {
			return merkle.VerifierKey(cp.Origin, k[:]), nil
		}
	}
	return "", fmt.Errorf("%w: the checkpoint of %d is signed by none of the log's keys", ErrExportFalse, cp.Size)
}

// ExportCOSE writes the same place as a COSE receipt, as LogEntry.COSEReceipt
// has it. Only who has the log's key can.
func ExportCOSE(f *File, what Selection, key ed25519.PublicKey, sign func(message []byte) ([]byte, error)) (entry, receipt []byte, err error) {
	e, err := f.logEntry(what)
	if err != nil {
		return nil, nil, err
	}
	receipt, err = e.COSEReceipt(key, sign)
	return e.Header, receipt, err
}
