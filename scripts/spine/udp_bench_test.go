package spine_test

import (
	"context"
	"net"
	"testing"
	"time"

	"cairn/ingest"
	"cairn/ingest/reading"
)

// BenchmarkSpineUDP sends 400,000 frames of 200 devices over loopback at a pace
// of 40,000/s, from the same cores, and counts what was not acknowledged.
func BenchmarkSpineUDP(b *testing.B) {
	const frames, pace = 400_000, 40_000
	for b.Loop() {
		b.StopTimer()
		x := newBench(b, devices, nil)
		all, each := x.frames(frames)
		u, err := ingest.ListenUDP(ingest.UDPConfig{Addr: "127.0.0.1:0", SourceRate: -1})
		if err != nil {
			b.Fatal(err)
		}
		conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(u.Addr()))
		if err != nil {
			b.Fatal(err)
		}
		in, err := ingest.New(ingest.Config{Registry: x.reg, Committer: committer{x.s}, Drain: time.Minute})
		if err != nil {
			b.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- in.Run(ctx, u) }()
		b.StartTimer()
		begun := time.Now()
		send(b, conn, all, each, pace)
		took := time.Since(begun)
		for quiet := 0; quiet < 20; quiet++ { // what is still on its way
			before := in.Tally().Snapshot().Verdicts[reading.Authenticated]
			time.Sleep(50 * time.Millisecond)
			if in.Tally().Snapshot().Verdicts[reading.Authenticated] != before {
				quiet = 0
			}
		}
		b.StopTimer()
		cancel()
		if err := <-ended; err != nil {
			b.Fatal(err)
		}
		got := in.Tally().Snapshot()
		b.ReportMetric(frames/took.Seconds(), "sent/s")
		b.ReportMetric(float64(frames-got.Verdicts[reading.Authenticated]), "drops")
		b.ReportMetric(float64(u.Buffer()), "SO_RCVBUF")
		conn.Close()
		u.Close()
		x.close()
		b.StartTimer()
	}
}

// send paces datagrams: a handful each half millisecond.
func send(b *testing.B, conn *net.UDPConn, all []byte, each int, pace int) {
	begun := time.Now()
	for sent := 0; len(all) > 0; {
		due := int(time.Since(begun).Seconds() * float64(pace))
		for ; sent < due && len(all) > 0; sent++ {
			if _, err := conn.Write(all[1:each]); err != nil {
				b.Fatal(err)
			}
			all = all[each:]
		}
		time.Sleep(500 * time.Microsecond)
	}
}
