//go:build !js

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"cairn/anchor/proof"
)

// foreignFlags are those of OpenTimestamps files that others made.
type foreignFlags struct {
	data, network, depth once
}

func (f *foreignFlags) given() bool { return f.data.given || f.network.given || f.depth.given }

// foreign checks the file if it is an OpenTimestamps file; ok tells whether it
// is one.
func (c *command) foreign() (v *proof.ForeignVerdict, ok bool, err error) {
	b, err := begin(c.file)
	if ok = proof.IsOTS(b); err != nil || !ok {
		if err == nil && c.ots.given() {
			err = fmt.Errorf("--file, --network and --depth are of OpenTimestamps files, and %s is none", c.file)
		}
		return nil, false, err
	}
	switch {
	case c.policy.given:
		return nil, true, errors.New("a policy is of a ledger, and an OpenTimestamps file has none: give headers alone")
	case len(c.attachments) != 0:
		return nil, true, errAttachment
	case c.report.path.given:
		return nil, true, errors.New("--report is of proof files; of an OpenTimestamps file there is the verdict alone")
	case len(c.urls) != 0:
		return nil, true, errors.New("--rpc asks Ethereum's nodes, and an OpenTimestamps file is of Bitcoin's blocks: give headers")
	}
	ots, err := read(c.file, proof.MaxFile)
	if err != nil {
		return nil, true, err
	}
	headers, err := readAll(c.headers)
	if err != nil {
		return nil, true, err
	}
	r := request{Blocks: c.blocks, Require: c.require.s}
	options, err := r.options(headers)
	if err != nil {
		return nil, true, err
	}
	o := proof.ForeignOptions{Network: c.ots.network.s, Trust: options.Trust, Require: options.Require}
	if o.Network != "" {
		if err := proof.CheckNetwork(o.Network); err != nil {
			return nil, true, err
		}
	}
	if c.ots.depth.given {
		if o.Depth, err = strconv.ParseUint(c.ots.depth.s, 10, 16); err != nil || o.Depth == 0 {
			return nil, true, fmt.Errorf("--depth %.20q is no number of blocks from 1 to 65535", c.ots.depth.s)
		}
	}
	data, err := c.stamped()
	if err != nil {
		return nil, true, err
	}
	if data != nil {
		defer data.Close()
		o.Data, o.Name = data, filepath.Base(data.Name())
	}
	verdict := proof.VerifyForeign(ots, o)
	return &verdict, true, nil
}

// stamped opens what was stamped: the file that was named or, if none was, that
// beside the .ots file without that ending. nil: there is none.
func (c *command) stamped() (*os.File, error) {
	path := c.ots.data.s
	if path == "" {
		beside, ok := strings.CutSuffix(c.file, ".ots")
		if !ok || beside == "" {
			return nil, nil
		}
		if _, err := os.Stat(beside); errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		path = beside
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%w; check the name", err)
	}
	if s, err := f.Stat(); err != nil || !s.Mode().IsRegular() {
		f.Close()
		return nil, fmt.Errorf("%s is no file that could have been stamped", path)
	}
	return f, nil
}

func readAll(paths []string) ([][]byte, error) {
	var all [][]byte
	for _, path := range paths {
		b, err := read(path, proof.MaxHeaders)
		if err != nil {
			return nil, err
		}
		all = append(all, b)
	}
	return all, nil
}

// schemaOf is the schema of the verdict on the file, if one was named, else of
// that on proof files.
func (c *command) schemaOf() []byte {
	if b, err := begin(c.file); err == nil && proof.IsOTS(b) {
		return proof.ForeignSchema()
	}
	return proof.Schema()
}
