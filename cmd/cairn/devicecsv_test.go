package main

import (
	"errors"
	"strings"
	"testing"
)

func TestParseDevices(t *testing.T) {
	key := func(file string) (string, error) {
		if file != "a.key" {
			return "", errors.New("there is no " + file)
		}
		return "00112233445566778899aabbccddeeff", nil
	}
	all, err := parseDevices(strings.NewReader("\ufeffid,name,place,labels,key_file,number,until\n"+
		"80c1a29384b5d6e7,\"probe, left\",kitchen,site=b jurisdiction=ch,a.key,7,\n"+
		"80c1a29384b5d6e8,ended,,,,8,2026-01-01T00:00:00Z\n"), key)
	if err != nil || len(all) != 1 {
		t.Fatalf("got %d, %v", len(all), err)
	}
	d := all[0]
	if d.Line != 2 || d.ID != "80c1a29384b5d6e7" || d.Name != "probe, left" || d.Place != "kitchen" || d.Kind != "secure" || len(d.Labels) != 2 || len(d.Key) != 32 {
		t.Errorf("got %+v", d)
	}
	for text, want := range map[string]string{
		"":                       "columns' names",
		"id,colour\n":            "column 2: \"colour\"",
		"id,id\n":                "column 2: id is there twice",
		"id\n":                   "no device",
		"name\nx\n":              "line 2: neither id nor address",
		"id,key_file\nx,b.key\n": "line 2, column key_file: there is no b.key",
		"id,name\nx\n":           "record on line 2",
		"id,name\nx,\"y\n":       "line",
		"id\nx\n" + strings.Repeat("y\n", maxImported): "at most",
	} {
		if _, err := parseDevices(strings.NewReader(text), key); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.30q: got %v, want %s", text, err, want)
		}
	}
}

func FuzzParseDevices(f *testing.F) {
	f.Add("labels\n\"")
	f.Add("id,name,labels\n80c1a29384b5d6e7,\"a\nb\",x=y z\n")
	f.Add("\ufeffaddress,kind\nfridge,vouched\n")
	f.Fuzz(func(t *testing.T, text string) {
		all, err := parseDevices(strings.NewReader(text), func(string) (string, error) { return "", nil })
		if err == nil && (len(all) == 0 || len(all) > maxImported) {
			t.Errorf("%d devices", len(all))
		}
		for _, d := range all {
			if d.ID == "" && d.Address == "" || d.Kind == "" || d.Line < 2 {
				t.Errorf("got %+v", d)
			}
		}
	})
}
