package main

import (
	"golang.org/x/sys/unix"

	"cairn/ingest/reading"
)

// Of adjtimex(2); x/sys has no names for them.
const (
	staUnsync = 0x0040
	timeError = 5
)

// clockState asks the kernel whether something keeps its clock right.
func clockState() reading.Clock {
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	if err != nil || state == timeError || t.Status&staUnsync != 0 {
		return reading.Unsynced
	}
	return reading.Synced
}
