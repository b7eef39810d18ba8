// Package message reads what programs and devices of others send: packs of SenML,
// webhooks of LoRaWAN network servers, and what is published under MQTT topics, by
// [Mapping]s of which some are [Presets]. What the opened body of an OpenTRV frame says
// it reads too ([AppendBody]). It is pure: bytes in, messages out.
//
// A [Message] is what one device said at one time. Which device of the registry its
// address means, and whether the sender may speak for it, is not decided here.
//
// # Numbers
//
// Numbers are taken as they are written: "21.50" in JSON is 215·10^-1, no float in
// between. A binary float in CBOR becomes the shortest decimal that reads back as the
// same float of its width.
//
// # What is refused
//
// A message is taken whole or not at all. What has no place in a reading (arrays,
// nested objects, null, texts over 64 bytes) is left out where the format says what
// the members mean, and counted in [Message.Left]; SenML, which says what each record
// is, is refused instead. Every error wraps [ErrFormat] or [ErrLimit] and names the
// record or member.
package message
