package main

import "cairn/ingest/reading"

// What the configuration's clock says.
const (
	clockAuto    = "auto"    // ask the kernel whether it is kept right
	clockTrusted = "trusted" // something else keeps it right, such as the host of a container
)

// clock tells the state of the clock, as far as this gateway can know.
func (c *Config) clock() reading.Clock {
	if c.Clock == clockTrusted {
		return reading.Synced
	}
	return clockState()
}
