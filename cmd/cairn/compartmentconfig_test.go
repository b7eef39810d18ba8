package main

import (
	"reflect"
	"strings"
	"testing"
)

func readText(t *testing.T, text string) (*Config, error) {
	t.Helper()
	return loadConfig(writeConfig(t, text), nil, nil)
}

func TestCompartmentRules(t *testing.T) {
	c, err := readText(t, `
window: 60s
keyring: {identity_file: identity.age-key}
clock: trusted
storage: {pad: 1KiB}
compartments:
  - name: occupancy
    fields: [occ*, O]
  - name: food
    when: [site=bakery]
    device: "80c1*"
  - name: rooms
    device: room-*
`)
	if err != nil {
		t.Fatal(err)
	}
	if c.clock().String() != "synced" || c.Pad != 1024 {
		t.Errorf("got clock %v, pad %d", c.clock(), c.Pad)
	}
	bakery := []Label{{"site", "bakery"}}
	for _, x := range []struct {
		labels   []Label
		name, id string
		want     string
	}{
		{nil, "oven", "80c1a29384b5d6e7", "occupancy"},
		{bakery, "oven", "80c1a29384b5d6e7", "occupancy food"},
		{bakery, "oven", "90c1a29384b5d6e7", "occupancy"},
		{nil, "room-3", "90c1a29384b5d6e7", "occupancy rooms"},
	} {
		var got []string
		for _, r := range c.rulesFor(x.labels, x.name, x.id) {
			got = append(got, r.Name)
			if len(r.Fields) == 0 {
				t.Errorf("%s: a rule without fields takes none", r.Name)
			}
		}
		if !reflect.DeepEqual(strings.Join(got, " "), x.want) {
			t.Errorf("%v %s: got %v, want %s", x.labels, x.name, got, x.want)
		}
	}
	if err := c.checkLabels(bakery); err != nil {
		t.Error(err)
	}
	if err := c.checkLabels([]Label{{"siet", "bakery"}}); err == nil {
		t.Error("a label that no rule asks for is taken")
	}
}

func TestCompartmentRulesRefused(t *testing.T) {
	_, err := readText(t, `
window: 60s
keyring: {identity_file: a, credential: b/c}
clock: perhaps
storage: {pad: 3}
compartments:
  - name: envelope
  - name: Occupancy
  - device: "[a"
    colour: red
  - name: x
    fields: ["[", ""]
    when: [bakery]
`)
	if err == nil {
		t.Fatal("it is taken")
	}
	for _, want := range []string{
		"clock: ", "storage.pad: ", "compartments[0].name: envelope is where", `compartments[1].name: "Occupancy"`,
		"compartments[2].name: is missing", "compartments[2].device", "compartments[2].colour: unknown key",
		`compartments[3].fields: "["`, `compartments[3].fields: ""`, "compartments[3].when", "keyring: ", "keyring.credential: ",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("nothing is said of %s:\n%v", want, err)
		}
	}
}
