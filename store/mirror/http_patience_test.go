package mirror

import (
	"io"
	"testing"
	"testing/synctest"
	"time"
)

// dripping gives so many bytes with each read, and takes its time.
type dripping struct {
	each, left int
	every      time.Duration
}

func (d *dripping) Read(b []byte) (int, error) {
	time.Sleep(d.every)
	n := min(d.each, d.left, len(b))
	if d.left -= n; n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// TestPatience: who sends enough has all the time, who drips has not.
func TestPatience(t *testing.T) {
	for name, c := range map[string]struct {
		dripping
		stalls bool
	}{
		"a slow line":           {dripping{each: 4 << 10, left: 4 << 20, every: 3 * time.Second}, false},
		"a short answer":        {dripping{each: 100, left: 1000, every: time.Second}, false},
		"a byte now and then":   {dripping{each: 1, left: 100, every: 29 * time.Second}, true},
		"too slow":              {dripping{each: 1 << 10, left: 4 << 20, every: time.Second}, true},
		"nothing any more":      {dripping{each: 64 << 10, left: 1 << 20, every: 31 * time.Second}, true},
		"fast, and then a drip": {dripping{each: 512 << 10, left: 1<<20 + 1, every: time.Second}, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				stalled := false
				timer := time.AfterFunc(patience, func() { stalled = true })
				_, err := io.Copy(io.Discard, &patient{Reader: &c.dripping, timer: timer})
				timer.Stop()
				synctest.Wait()
				if err != nil || stalled != c.stalls {
					t.Errorf("stalled %v, want %v; %v", stalled, c.stalls, err)
				}
			})
		})
	}
}
