package mqtt

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// apart leaves out filters that another one covers, and refuses such as fit some of the
// same topics: a broker of version 5 may send a message once for each subscription that
// it fits (MQTT 5.0 section 3.3.4), and each copy would be a reading.
func apart(filters []string) ([]string, error) {
	slices.Sort(filters)
	filters = slices.Compact(filters)
	var kept []string
	for _, f := range filters {
		if !slices.ContainsFunc(filters, func(g string) bool { return g != f && covers(g, f) }) {
			kept = append(kept, f)
		}
	}
	for i, f := range kept {
		for _, g := range kept[:i] {
			if meet(strings.Split(f, "/"), strings.Split(g, "/")) {
				return nil, fmt.Errorf("mqtt: topics %s and %s overlap: a broker would send what fits both twice", g, f)
			}
		}
	}
	if len(kept) == 0 {
		return nil, errors.New("mqtt: no topic is named")
	}
	return kept, nil
}

// covers reports whether all topics of filter b are topics of a.
func covers(a, b string) bool {
	x, y := strings.Split(a, "/"), strings.Split(b, "/")
	for i, l := range x {
		switch {
		case l == "#":
			return true
		case i >= len(y), y[i] == "#", l != "+" && l != y[i]:
			return false
		}
	}
	return len(x) == len(y)
}

// meet reports whether a topic fits both filters, given by their levels. "#" stands for
// its parent too.
func meet(x, y []string) bool {
	switch {
	case len(x) > 0 && x[0] == "#", len(y) > 0 && y[0] == "#":
		return true
	case len(x) == 0 || len(y) == 0:
		return len(x) == len(y)
	}
	return (x[0] == "+" || y[0] == "+" || x[0] == y[0]) && meet(x[1:], y[1:])
}
