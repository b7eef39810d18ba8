package store

import (
	"context"
	"reflect"
	"testing"

	"cairn/ingest/frame"
)

func TestCompartments(t *testing.T) {
	x := newSite(t, 0)
	rules := []Rule{{"occupancy", []string{"O", "occ*"}}, {DefaultClass, []string{"H"}}, {"climate", []string{"*"}}}
	b, err := x.s.AddDevice(context.Background(), NewDevice{ID: frame.ID{1}, Name: "x", Kind: "text", Rules: rules})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][]string{}
	ids := map[uint32]string{}
	for i, c := range x.s.Compartments(b.Slot) {
		if (i == 0) != (c.Class == EnvelopeClass) || c.Name != "stream/0/"+c.Class {
			t.Errorf("number %d is %+v", i, c)
		}
		got[c.Class], ids[c.ID] = c.Fields, c.Class
	}
	want := map[string][]string{EnvelopeClass: nil, DefaultClass: {"H"}, "occupancy": {"O", "occ*"}, "climate": {"*"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for name, class := range map[string]string{"O": "occupancy", "occ1": "occupancy", "H": DefaultClass, "T": "climate"} {
		if id, ok := x.s.CompartmentOf(b.Slot, name); !ok || ids[id] != class {
			t.Errorf("%s: got %s, %v, want %s", name, ids[id], ok, class)
		}
	}
	if _, ok := x.s.CompartmentOf(7, "T"); ok || x.s.Compartments(7) != nil {
		t.Error("a stream that is not there has compartments")
	}
}
