// Package mqtt takes readings from an MQTT broker that is there already, as a client:
// version 5 (OASIS MQTT 5.0) or 3.1.1.
//
// # What is a reading
//
// A payload that is an OpenTRV secure frame is judged as a frame: its device's key
// authenticates it. Any other is read by the mappings of its topic (package message),
// and is the word of the broker and of all who may publish there: verdict "vouched".
// What is retained is not taken: it was said before, nobody knows when. What no
// mapping can read is acknowledged and counted, as it will not get better.
//
// # Nothing lost, nothing twice
//
// The client subscribes with QoS 1 and keeps its session at the broker, under a fixed
// client identifier. A message is acknowledged (PUBACK) when its reading is on disk
// and covered by a signature, in the order of arrival as both versions ask. What was
// not acknowledged when the broker, the gateway or the line between them went, the
// broker sends again: in the same session, with the same packet identifier, marked as
// a duplicate (MQTT 5.0 section 3.3.1.1 and 4.4). So a message is named by client,
// packet identifier, topic and payload, and one that is marked is recorded only where
// none of that name is among the newest of its device. The names are recorded with
// the readings and outlive the gateway.
//
// A message that is not marked is always recorded: the same payload said anew is
// another reading, though packet identifiers come again. What this cannot know: a
// broker that forgot what it had sent (killed before it saved its state) sends it
// again unmarked, and it becomes a second reading; and what a publisher sent with
// QoS 0, or a broker lost, never came. And a broker may give a message the identifier
// of one that was acknowledged not long before (Mosquitto counts up to 65,535 first).
// If it has the topic and the payload of that one too, and its first sending is lost
// on the way, then its redelivery is held to be that one's and is not recorded.
//
// What the intake refuses, as when the disk is full, is tried until it is recorded;
// what is beyond the messages in flight the broker keeps meanwhile. Topics that overlap
// are refused, or the wider one is asked for alone.
package mqtt
