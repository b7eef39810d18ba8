package store

// Status is what an operator wants to know of the store.
type Status struct {
	Ledger     string `json:"ledger"`
	Batches    uint64 `json:"batches"`
	Statements uint64 `json:"statements"`
	Commits    uint64 `json:"commits"`
	Streams    int    `json:"streams"`
	Devices    int    `json:"devices"`
	WindowFrom int64  `json:"window_from_ms"`
	WindowTo   int64  `json:"window_to_ms"`
	LastStamp  int64  `json:"last_received_ms"`
	// Signed is the size of the newest signed checkpoint; Unsigned the received
	// time of the oldest reading that it does not cover, 0 if none.
	Signed    uint64 `json:"signed_batches"`
	Unsigned  int64  `json:"oldest_unsigned_ms,omitempty"`
	Held      string `json:"signing_held,omitempty"`
	SealedTo  uint64 `json:"sealed_to_batch"`
	DiskFull  bool   `json:"disk_full"`
	DiskBytes uint64 `json:"disk_bytes"`
	DiskFree  uint64 `json:"disk_free_bytes"` // 0: not known
	Dead      string `json:"dead,omitempty"`
}

// Status gives the store's state as readers see it.
func (s *Store) Status() Status {
	v := s.view.Load()
	st := Status{
		Ledger: s.keys.id.String(), Batches: v.size, Statements: v.state.Statements, Commits: v.nextCommit,
		Devices: len(v.devices), WindowFrom: v.state.Open.From, WindowTo: v.state.Open.To, LastStamp: v.lastStamp,
		Signed: v.signed, Unsigned: v.oldest, Held: v.held, SealedTo: v.state.SealFrom,
		DiskFull: s.full.Load(), DiskBytes: s.db.Metrics().DiskSpaceUsage(),
	}
	st.DiskFree, _ = s.opt.Free()
	for i := range v.streams {
		if !v.streams[i].closed {
			st.Streams++
		}
	}
	if err := s.Dead(); err != nil {
		st.Dead = err.Error()
	}
	return st
}
