package main

import (
	"os/exec"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// publish publishes at the broker, with QoS 1, when it has acknowledged:
//
//	publish TOPIC PAYLOAD
//	publish -count N TOPIC PAYLOAD     N times, with # in the payload for 0, 1, …
func (s *stage) publish(ts *testscript.TestScript, neg bool, args []string) {
	count := ""
	if len(args) == 4 && args[0] == "-count" {
		count, args = args[1], args[2:]
	}
	if neg || len(args) != 2 || s.broker == nil {
		ts.Fatalf("usage: publish [-count N] TOPIC PAYLOAD")
	}
	address := strings.TrimPrefix(s.broker.URL, "mqtts://")
	host, port, _ := strings.Cut(address, ":")
	flags := []string{"-h", host, "-p", port, "--cafile", s.broker.CAFile, "-u", "cairn", "-P", "broker-s3cret", "-q", "1", "-t", args[0]}
	if s.broker.CertFile != "" {
		flags = append(flags, "--cert", s.broker.CertFile, "--key", s.broker.KeyFile)
	}
	payload := args[1]
	if count != "" {
		n, err := strconv.Atoi(count)
		ts.Check(err)
		payload = ""
		for i := range n {
			payload += strings.ReplaceAll(args[1], "#", strconv.Itoa(i)) + "\n"
		}
		flags = append(flags, "-l")
	} else {
		flags = append(flags, "-s")
	}
	cmd := exec.Command("/usr/bin/mosquitto_pub", flags...)
	cmd.Stdin = strings.NewReader(payload)
	if out, err := cmd.CombinedOutput(); err != nil {
		ts.Fatalf("publish: %v: %s", err, out)
	}
}

// brokerDo makes the broker save its state and ends it at once, or starts it again:
//
//	broker kill
//	broker resume
func (s *stage) brokerDo(ts *testscript.TestScript, neg bool, args []string) {
	switch {
	case neg || len(args) != 1 || s.broker == nil:
		ts.Fatalf("usage: broker kill|resume")
	case args[0] == "kill":
		s.broker.Save()
		s.broker.Kill()
	case args[0] == "resume":
		s.broker.Resume()
	default:
		ts.Fatalf("broker %s: kill or resume", args[0])
	}
}
