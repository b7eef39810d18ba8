package main

import (
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// ago sets a variable to a time before now, the beginning of a quarter hour, as a
// story's past takes it:
//
//	ago NAME DURATION
func (s *stage) ago(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: ago NAME DURATION")
	}
	d, err := time.ParseDuration(args[1])
	ts.Check(err)
	ts.Setenv(args[0], time.Now().Add(-d).Truncate(15*time.Minute).UTC().Format(time.RFC3339))
}

// ipfsNode stops the IPFS node, or starts it again with what it had:
//
//	ipfsnode stop|resume
func (s *stage) ipfsNode(ts *testscript.TestScript, neg bool, args []string) {
	switch {
	case neg || len(args) != 1:
		ts.Fatalf("usage: ipfsnode stop|resume")
	case args[0] == "stop":
		s.ipfs.Stop()
	case args[0] == "resume":
		s.ipfs.Resume()
	default:
		ts.Fatalf("ipfsnode %v", args)
	}
}
