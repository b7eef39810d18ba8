package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"cairn/ingest"
	messages "cairn/ingest/message"
	"cairn/ingest/mqtt"
	"cairn/scripts/mosquitto"
	"cairn/store"
)

// BenchmarkMQTT says how fast messages that a broker has kept come in, in either
// version: to Mosquitto's own client, which acknowledges at once, and through intake
// into a store, which has each on disk and signed before that. The two take turns.
func BenchmarkMQTT(b *testing.B) {
	for _, version := range []string{mqtt.Version5, mqtt.Version311} {
		b.Run(version, func(b *testing.B) {
			broker := mosquitto.Start(b, mosquitto.Options{})
			const n = 10_000
			var theirs, ours time.Duration
			for b.Loop() {
				theirs += drainBare(b, broker, version, n)
				ours += drainStore(b, broker, version, n)
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(float64(n*b.N)/theirs.Seconds(), "mosquitto_sub-msg/s")
			b.ReportMetric(float64(n*b.N)/ours.Seconds(), "recorded-msg/s")
			b.ReportMetric(theirs.Seconds()/ours.Seconds(), "of-mosquitto's")
		})
	}
}

func mosquittoClient(b testing.TB, broker *mosquitto.Broker, name string, in []byte, args ...string) {
	b.Helper()
	host, port, _ := strings.Cut(strings.TrimPrefix(broker.URL, "mqtt://"), ":")
	cmd := exec.Command("/usr/bin/"+name, append([]string{"-h", host, "-p", port, "-q", "1", "-t", "cold/room"}, args...)...)
	cmd.Stdin = bytes.NewReader(in)
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%s: %v: %.200s", name, err, out)
	}
}

// publishMany publishes what the sessions that are away will get.
func publishMany(b *testing.B, broker *mosquitto.Broker, n int) {
	var in bytes.Buffer
	for i := range n {
		fmt.Fprintf(&in, `{"temperature":%d.5,"humidity":44}`+"\n", i%40)
	}
	mosquittoClient(b, broker, "mosquitto_pub", in.Bytes(), "-l")
}

func drainBare(b *testing.B, broker *mosquitto.Broker, version string, n int) time.Duration {
	args := []string{"-i", "bare", "-c", "-V", map[string]string{mqtt.Version5: "5", mqtt.Version311: "311"}[version]}
	if version == mqtt.Version5 {
		args = append(args, "-x", "3600")
	}
	mosquittoClient(b, broker, "mosquitto_sub", nil, append(args, "-E")...)
	publishMany(b, broker, n)
	begun := time.Now()
	mosquittoClient(b, broker, "mosquitto_sub", nil, append(args, "-C", strconv.Itoa(n))...)
	return time.Since(begun)
}

func drainStore(b *testing.B, broker *mosquitto.Broker, version string, n int) time.Duration {
	x := newWaySite(b, store.Options{})
	defer x.l.store.Close()
	cfg := mqtt.Config{Broker: broker.URL, Version: version, ClientID: "cairn-bench", Mappings: []messages.Mapping{{Topic: "cold/{device}"}}}
	source := func() ingest.Source {
		s, err := mqtt.New(cfg)
		if err != nil {
			b.Fatal(err)
		}
		return s
	}
	x.run(source(), func(_ *ingest.Intake, up bool) bool { return up })
	publishMany(b, broker, n)
	begun := time.Now()
	x.run(source(), x.vouched(n))
	return time.Since(begun)
}

// BenchmarkPosted says how many SenML packs of one reading a second are taken over
// HTTP from 64 senders at once, each answered when its reading is on disk and signed.
func BenchmarkPosted(b *testing.B) {
	x := newWaySite(b, store.Options{})
	defer x.l.store.Close()
	token := sha256.Sum256([]byte("bench"))
	source, err := ingest.NewHTTP(ingest.HTTPConfig{Senders: []ingest.Sender{{Name: "bench", Token: token}}, Knows: x.registry.Knows})
	if err != nil {
		b.Fatal(err)
	}
	server := httptest.NewServer(source)
	defer server.Close()
	const senders, n = 64, 20_000
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: senders}}
	post := func(i int) error {
		body := fmt.Sprintf(`[{"bn":"room","n":"temperature","u":"Cel","v":%d.5}]`, i%40)
		r, err := http.NewRequest(http.MethodPost, server.URL+"/ingest/senml", strings.NewReader(body))
		if err != nil {
			return err
		}
		r.Header.Set("Authorization", "Bearer bench")
		r.Header.Set("Content-Type", messages.TypeSenMLJSON)
		answer, err := client.Do(r)
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		if _, err := io.Copy(io.Discard, answer.Body); err != nil || answer.StatusCode != http.StatusOK {
			return fmt.Errorf("status %d, %v", answer.StatusCode, err)
		}
		return nil
	}
	done := make(chan error, 1)
	ctx, cancel := context.WithCancel(b.Context())
	in := x.intake(nil)
	go func() { done <- in.Run(ctx, source) }()
	for post(0) != nil { // until it runs
		<-time.After(time.Millisecond)
	}
	var took time.Duration
	for b.Loop() {
		begun := time.Now()
		var group errgroup.Group
		for s := range senders {
			group.Go(func() error {
				for i := s; i < n; i += senders {
					if err := post(i); err != nil {
						return err
					}
				}
				return nil
			})
		}
		if err := group.Wait(); err != nil {
			b.Fatal(err)
		}
		took += time.Since(begun)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(n*b.N)/took.Seconds(), "recorded-msg/s")
	cancel()
	if err := <-done; err != nil {
		b.Fatal(err)
	}
}
