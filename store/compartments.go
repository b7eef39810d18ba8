package store

import "slices"

// StreamCompartment is one of the compartments of a stream.
type StreamCompartment struct {
	ID    uint32 // in the keyring
	Name  string // there; its last part is Class
	Class string // EnvelopeClass, DefaultClass or that of a rule
	// Fields are the globs of the rules of this class, in order. A measurement is of
	// the class of the first rule of the stream that fits it, so not all that these
	// fit is here.
	Fields []string
}

// Compartments lists the compartments of a stream, the envelope first; nil if there
// is no such stream.
func (s *Store) Compartments(slot uint64) []StreamCompartment {
	x, ok := s.view.Load().streamAt(slot)
	if !ok {
		return nil
	}
	out := []StreamCompartment{{ID: x.envelope, Class: EnvelopeClass}}
	for _, c := range x.classes.list {
		in := StreamCompartment{ID: c.compartment, Class: c.name}
		for _, r := range x.classes.rules {
			if r.Class == c.name {
				in.Fields = append(in.Fields, r.Fields...)
			}
		}
		out = append(out, in)
	}
	for i := range out {
		if c, ok := s.opt.Keyring.Compartment(out[i].ID); ok {
			out[i].Name = c.Name
		}
	}
	return out
}

// CompartmentOf tells which compartment of a stream holds a measurement of this
// name, whether there ever was one or not; false if there is no such stream.
func (s *Store) CompartmentOf(slot uint64, measurement string) (id uint32, ok bool) {
	x, ok := s.view.Load().streamAt(slot)
	if !ok {
		return 0, false
	}
	return x.classes.list[x.classes.of(measurement)].compartment, true
}

// streamAt finds the stream of a slot.
func (v *view) streamAt(slot uint64) (*streamInfo, bool) {
	i := slices.IndexFunc(v.streams, func(x streamInfo) bool { return x.slot == slot })
	if i < 0 {
		return nil, false
	}
	return &v.streams[i], true
}
