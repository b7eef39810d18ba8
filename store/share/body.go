package share

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/fxamacker/cbor/v2"
)

// A body is of the third version while there is an old local key, else of the
// second while there is more than one log key.
const (
	bodyType    = "cairn/keyring-body/1"
	rotatedType = "cairn/keyring-body/2"
	renewedType = "cairn/keyring-body/3"

	rotatedHead = 0x88 // of an array of eight: the first byte of a body of the second version
	renewedHead = 0x89
)

type (
	// bodyItem is the first version.
	bodyItem struct {
		_ struct{} `cbor:",toarray"`

		Type                             string
		LogSeed, Nonce, TagKey, LocalKey [32]byte

		Compartments []compartmentItem
		Secrets      []secretItem
	}
	// rotatedItem is the second version: the first, and the later log seeds.
	rotatedItem struct {
		_ struct{} `cbor:",toarray"`

		Type                             string
		LogSeed, Nonce, TagKey, LocalKey [32]byte

		Compartments []compartmentItem
		Secrets      []secretItem
		LaterSeeds   [][32]byte
	}
	// renewedItem is the third version: the second, where later seeds may be none,
	// and the old local key.
	renewedItem struct {
		_ struct{} `cbor:",toarray"`

		Type                             string
		LogSeed, Nonce, TagKey, LocalKey [32]byte

		Compartments []compartmentItem
		Secrets      []secretItem
		LaterSeeds   [][32]byte
		OldLocalKey  [32]byte
	}
	compartmentItem struct {
		_    struct{} `cbor:",toarray"`
		ID   uint32
		Name string
		Tree []byte
	}
	secretItem struct {
		_     struct{} `cbor:",toarray"`
		Name  string
		Value []byte
	}
)

var bodyEncoding, bodyDecoding = func() (cbor.EncMode, cbor.DecMode) {
	eo := cbor.CoreDetEncOptions()
	eo.NilContainers = cbor.NilContainerAsEmpty // null is never written, so it is never accepted
	enc, err := eo.EncMode()
	if err != nil {
		panic("share: " + err.Error())
	}
	dec, err := cbor.DecOptions{
		IndefLength:      cbor.IndefLengthForbidden,
		TagsMd:           cbor.TagsForbidden,
		DupMapKey:        cbor.DupMapKeyEnforcedAPF,
		MaxArrayElements: max(maxCompartments, maxSecrets),
		MaxMapPairs:      16,
		MaxNestedLevels:  4,
	}.DecMode()
	if err != nil {
		panic("share: " + err.Error())
	}
	return enc, dec
}()

// encode returns the body. It holds every secret: the caller overwrites it.
func (s *state) encode() ([]byte, error) {
	b := rotatedItem{
		Type: rotatedType, LogSeed: s.logSeed, Nonce: s.nonce, TagKey: s.tagKey, LocalKey: s.localKey, LaterSeeds: s.laterSeeds,
	}
	for _, c := range s.compartments {
		tree := c.Tree.Append(nil)
		defer clear(tree)
		b.Compartments = append(b.Compartments, compartmentItem{ID: c.ID, Name: c.Name, Tree: tree})
	}
	for name, value := range s.secrets {
		b.Secrets = append(b.Secrets, secretItem{Name: name, Value: value})
	}
	slices.SortFunc(b.Secrets, func(x, y secretItem) int { return strings.Compare(x.Name, y.Name) })
	var out []byte
	var err error
	switch {
	case s.oldLocalKey != [32]byte{}:
		out, err = bodyEncoding.Marshal(&renewedItem{
			Type: renewedType, LogSeed: b.LogSeed, Nonce: b.Nonce, TagKey: b.TagKey, LocalKey: b.LocalKey,
			Compartments: b.Compartments, Secrets: b.Secrets, LaterSeeds: b.LaterSeeds, OldLocalKey: s.oldLocalKey,
		})
	case len(b.LaterSeeds) > 0:
		out, err = bodyEncoding.Marshal(&b)
	default:
		out, err = bodyEncoding.Marshal(&bodyItem{
			Type: bodyType, LogSeed: b.LogSeed, Nonce: b.Nonce, TagKey: b.TagKey, LocalKey: b.LocalKey,
			Compartments: b.Compartments, Secrets: b.Secrets,
		})
	}
	if err != nil {
		return nil, fmt.Errorf("encode keyring: %w", err)
	}
	return out, nil
}

// parseBody reads a body of any version, the first as one without later log
// seeds, the first and second with a blank old local key.
func parseBody(body []byte) (b rotatedItem, oldLocalKey [32]byte, err error) {
	want := rotatedType
	head := byte(0)
	if len(body) > 0 {
		head = body[0]
	}
	switch head {
	case rotatedHead:
		err = bodyDecoding.Unmarshal(body, &b)
	case renewedHead:
		var three renewedItem
		err = bodyDecoding.Unmarshal(body, &three)
		want, oldLocalKey = renewedType, three.OldLocalKey
		b = rotatedItem{
			Type: three.Type, LogSeed: three.LogSeed, Nonce: three.Nonce, TagKey: three.TagKey, LocalKey: three.LocalKey,
			Compartments: three.Compartments, Secrets: three.Secrets, LaterSeeds: three.LaterSeeds,
		}
	default:
		var one bodyItem
		err = bodyDecoding.Unmarshal(body, &one)
		want = bodyType
		b = rotatedItem{
			Type: one.Type, LogSeed: one.LogSeed, Nonce: one.Nonce, TagKey: one.TagKey, LocalKey: one.LocalKey,
			Compartments: one.Compartments, Secrets: one.Secrets,
		}
	}
	if err != nil {
		return b, oldLocalKey, fmt.Errorf("%w: body is not a keyring", ErrDamaged)
	}
	if b.Type != want {
		return b, oldLocalKey, fmt.Errorf("%w: body does not begin with %q", ErrDamaged, want)
	}
	return b, oldLocalKey, nil
}

// parseState reads a body strictly: what it accepts encodes to the same bytes.
// Errors name the place, never a value.
func parseState(body []byte) (*state, error) {
	b, oldLocalKey, err := parseBody(body)
	if err != nil {
		return nil, err
	}
	s := &state{
		logSeed: b.LogSeed, nonce: b.Nonce, tagKey: b.TagKey, localKey: b.LocalKey, laterSeeds: b.LaterSeeds,
		oldLocalKey: oldLocalKey,
		secrets:     make(map[string][]byte, len(b.Secrets)),
	}
	if err := s.checkLocalKeys(b.Type == renewedType); err != nil {
		return nil, err
	}
	if err := s.checkSeeds(); err != nil {
		return nil, err
	}
	if err := s.takeCompartments(b.Compartments); err != nil {
		return nil, err
	}
	if err := s.takeSecrets(b.Secrets); err != nil {
		return nil, err
	}
	again, err := s.encode()
	if err != nil {
		return nil, err
	}
	defer clear(again)
	if !bytes.Equal(again, body) {
		return nil, fmt.Errorf("%w: body is not in its shortest form", ErrDamaged)
	}
	return s, nil
}

func (s *state) checkSeeds() error {
	if len(s.laterSeeds) >= maxLogKeys {
		return fmt.Errorf("%w: %d log keys", ErrDamaged, 1+len(s.laterSeeds))
	}
	seen := map[[32]byte]bool{s.logSeed: true}
	for i, seed := range s.laterSeeds {
		if seen[seed] {
			return fmt.Errorf("%w: log key %d comes twice", ErrDamaged, i+2)
		}
		seen[seed] = true
	}
	return nil
}

func (s *state) takeCompartments(items []compartmentItem) error {
	if len(items) < 2 || len(items) > maxCompartments || items[0].Name != "ledger" || items[1].Name != "site" {
		return fmt.Errorf("%w: compartments ledger and site are not in place", ErrDamaged)
	}
	names := make(map[string]bool, len(items))
	for i, c := range items {
		if c.ID != uint32(i+1) || !validName(c.Name) || names[c.Name] {
			return fmt.Errorf("%w: compartment %d: id or name", ErrDamaged, i+1)
		}
		names[c.Name] = true
		t, err := ParseTree(c.Tree)
		clear(c.Tree)
		if err != nil {
			return fmt.Errorf("%w: compartment %d: %w", ErrDamaged, i+1, err)
		}
		t.owned = true
		s.compartments = append(s.compartments, Compartment{ID: c.ID, Name: c.Name, Tree: t})
	}
	return nil
}

func (s *state) takeSecrets(items []secretItem) error {
	if len(items) > maxSecrets {
		return fmt.Errorf("%w: %d secrets", ErrDamaged, len(items))
	}
	for i, v := range items {
		if !validName(v.Name) || len(v.Value) > maxSecret || i > 0 && v.Name <= items[i-1].Name {
			return fmt.Errorf("%w: secret %d: name, order or length", ErrDamaged, i+1)
		}
		s.secrets[v.Name] = v.Value
	}
	return nil
}
