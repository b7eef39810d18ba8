package message

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"cairn/ingest/reading"
)

// maxMembers is how many members of one object are looked at.
const maxMembers = 1024

// member is a scalar in an object, at a path such as "DS18B20.Temperature".
type member struct {
	path  string
	value reading.Value // KindNone: null, an array, or what no reading can hold
	text  string        // of a string, however long
}

// flatten gives the scalars of a JSON object in their order.
func flatten(body []byte) ([]member, error) {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, fmt.Errorf("%w: not a JSON object", ErrFormat)
	}
	all, err := walk(d, nil, "", 1)
	if err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: something follows the object", ErrFormat)
	}
	return all, nil
}

// walk reads what is left of an object.
func walk(d *json.Decoder, all []member, prefix string, depth int) ([]member, error) {
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrFormat, err)
		}
		path := prefix + t.(string)
		if len(all) == maxMembers {
			return nil, fmt.Errorf("%w: over %d members", ErrLimit, maxMembers)
		}
		if t, err = d.Token(); err != nil {
			return nil, fmt.Errorf("%w: %.40q: %w", ErrFormat, path, err)
		}
		switch x := t.(type) {
		case json.Delim:
			if depth == maxDepth {
				return nil, fmt.Errorf("%w: %.40q: over %d objects within one another", ErrLimit, path, maxDepth)
			}
			if x == '{' {
				all, err = walk(d, all, path+".", depth+1)
			} else {
				all = append(all, member{path: path})
				err = skip(d, depth+1)
			}
			if err != nil {
				return nil, err
			}
		default:
			all = append(all, scalar(path, t))
		}
	}
	if _, err := d.Token(); err != nil {
		return nil, fmt.Errorf("%w: the object does not end", ErrFormat)
	}
	return all, nil
}

// skip reads what is left of an array.
func skip(d *json.Decoder, depth int) error {
	for open := 1; open > 0; {
		t, err := d.Token()
		if err != nil {
			return fmt.Errorf("%w: an array does not end: %w", ErrFormat, err)
		}
		switch t {
		case json.Delim('['), json.Delim('{'):
			if open++; depth+open > maxDepth {
				return fmt.Errorf("%w: over %d arrays within one another", ErrLimit, maxDepth)
			}
		case json.Delim(']'), json.Delim('}'):
			open--
		}
	}
	return nil
}

func scalar(path string, t json.Token) member {
	m := member{path: path}
	switch x := t.(type) {
	case json.Number:
		if n, err := parseNumber(x.String()); err == nil {
			m.value, _ = n.value()
		}
	case bool:
		m.value = reading.Bool(x)
	case string:
		m.text = x
		if v := reading.Text(x); v.Valid() {
			m.value = v
		}
	}
	return m
}
