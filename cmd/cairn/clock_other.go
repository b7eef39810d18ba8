//go:build !linux

package main

import "cairn/ingest/reading"

// clockState: this system does not say whether its clock is kept right.
func clockState() reading.Clock { return reading.Unsynced }
