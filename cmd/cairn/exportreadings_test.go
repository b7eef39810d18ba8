package main

import (
	"encoding/json"
	"reflect"
	"testing"

	"cairn/merkle/ledger"
	"cairn/store"
)

// TestExportedReading: a reading comes through the control socket as it is, bytes
// that are no text among its values.
func TestExportedReading(t *testing.T) {
	for _, want := range openedForTest() {
		want.Hidden = 0
		f := &store.Found{Reading: want.Reading, Slot: want.Slot, Batch: want.Batch, Shredded: []string{"occupancy"}}
		b, err := json.Marshal(exportedOf(f, ledger.Binding{Name: want.Name, Place: want.Place, Thing: want.Thing}))
		if err != nil {
			t.Fatal(err)
		}
		var r exportedReading
		if err := json.Unmarshal(b, &r); err != nil {
			t.Fatal(err)
		}
		got, err := r.opened()
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
		if len(f.Measurements) > 0 && f.Measurements[0].Value.Kind == 0 {
			t.Error("the store's reading was changed")
		}
		if len(r.Shredded) != 1 {
			t.Errorf("shredded: %v", r.Shredded)
		}
		r.Values = append(r.Values, nil)
		if _, err := r.opened(); err == nil {
			t.Error("a value too many is taken")
		}
	}
}
