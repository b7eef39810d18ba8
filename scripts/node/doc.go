// Package node is the serial console of an OpenTRV node for the length of a test: a pseudo terminal with a command
// line behind it that speaks as the firmware's source says (OTRadioLink 3c7eb00, OTV0P2BASE_CLI.cpp; OpenTRV-Arduino-V0p2
// 746753c, REV2SecureTempSensor201912.ino, pollCLI). No node was asked whether it is so.
package node
