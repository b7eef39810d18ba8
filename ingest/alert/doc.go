// Package alert watches readings and what the gateway knows of itself by rules, and
// tells receivers when a rule is broken and when it holds again.
//
//	readings, events, time ─▶ Machine ─▶ changes ─▶ a ledger's statements ─▶ Outbox ─▶ receivers
//
// [Machine] is pure: it has no clock, no goroutine and no file. Of each rule there is at
// most one alert per device at a time, or per thing that an event is about. A rule is one
// of these:
//
//	level    a measurement is above or below a value for some time, and no more once
//	         it is back at another value
//	rate     a measurement rose or fell by so much within some time
//	silence  a device sent nothing for some time, in which somebody listened
//	event    something happened: see [Events]. It is over when it is said to be, or
//	         when nothing like it happened for some time
//
// What a rule says of the times of day decides when an alert is raised, not when it is
// cleared. In a maintenance window nothing is raised; what still is so at its end is
// raised then.
//
// [Outbox] hands notices to receivers, each on a goroutine of its own: one that is dead
// delays no other. A notice is tried until it is taken, waiting longer each time, and has
// one identifier all the while, by which a receiver knows one that came twice. What is
// kept on disk is the caller's: statements say what was raised and what was delivered,
// and from them the notices that are left are made again after a start.
package alert
