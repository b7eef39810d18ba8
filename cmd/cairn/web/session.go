package web

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"sync"
	"time"
)

const (
	sessionIdle  = time.Hour      // without a request
	sessionWhole = 12 * time.Hour // since the login
	maxSessions  = 1000
	maxPerUser   = 20
)

// sessions are those who are logged in. They live as long as the process. What is
// kept of a session's secret is its SHA-256.
type sessions struct {
	accounts *Accounts
	now      func() time.Time

	mu  sync.Mutex // covers what follows
	all map[[sha256.Size]byte]*session
}

type session struct {
	name, stamp string
	began, seen time.Time
}

// begin makes a session that rests on a user's stamp as it was when the password was
// right.
func (s *sessions) begin(name, stamp string) (secret string) {
	var random [32]byte
	_, _ = rand.Read(random[:])
	secret = base64.RawURLEncoding.EncodeToString(random[:])
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = map[[sha256.Size]byte]*session{}
	}
	s.makeRoom(name, now)
	s.all[sha256.Sum256([]byte(secret))] = &session{name, stamp, now, now}
	return secret
}

// makeRoom ends what is over and, where there are too many, the quietest. s.mu is held.
func (s *sessions) makeRoom(name string, now time.Time) {
	own := 0
	var quietest, ownQuietest [sha256.Size]byte
	for id, x := range s.all {
		if x.over(now) {
			delete(s.all, id)
			continue
		}
		if q := s.all[quietest]; q == nil || x.seen.Before(q.seen) {
			quietest = id
		}
		if x.name == name {
			own++
			if q := s.all[ownQuietest]; q == nil || x.seen.Before(q.seen) {
				ownQuietest = id
			}
		}
	}
	switch {
	case own >= maxPerUser:
		delete(s.all, ownQuietest)
	case len(s.all) >= maxSessions:
		delete(s.all, quietest)
	}
}

func (x *session) over(now time.Time) bool {
	return now.Sub(x.seen) >= sessionIdle || now.Sub(x.began) >= sessionWhole
}

// who finds whose session a secret is of; used says that somebody is at work there,
// so that it does not fall idle.
func (s *sessions) who(secret string, used bool) (Who, bool) {
	id, now := sha256.Sum256([]byte(secret)), s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.all[id]
	if x == nil {
		return Who{}, false
	}
	who, stamp, ok := s.accounts.stamp(x.name)
	if !ok || stamp != x.stamp || x.over(now) {
		delete(s.all, id)
		return Who{}, false
	}
	if used {
		x.seen = now
	}
	return who, true
}

func (s *sessions) end(secret string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, sha256.Sum256([]byte(secret)))
}
