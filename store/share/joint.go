package share

import (
	"crypto/hmac"
	"crypto/sha256"
)

const (
	jointSealLabel = "cairn/joint-seal/1"
	jointSaltLabel = "cairn/joint-salt/1"
)

// Joint is the key of what tells something of several compartments at once, such
// as a whole reading: whoever lacks one of the keys has nothing, so shredding any
// of the compartments shreds it too. The order of data counts:
//
//	seal = HMAC-SHA256(key: site's seal key, "cairn/joint-seal/1" ‖ envelope's seal key ‖ those of data)
//	salt = HMAC-SHA256(key: site's salt key, "cairn/joint-salt/1" ‖ envelope's salt key ‖ those of data)
func Joint(site, envelope HourKey, data ...HourKey) HourKey {
	seal := append(make([]byte, 0, 32*(len(data)+2)), jointSealLabel...)
	salt := append(make([]byte, 0, 32*(len(data)+2)), jointSaltLabel...)
	seal, salt = append(seal, envelope.Seal[:]...), append(salt, envelope.Salt[:]...)
	for i := range data {
		seal, salt = append(seal, data[i].Seal[:]...), append(salt, data[i].Salt[:]...)
	}
	k := HourKey{Seal: longMAC(&site.Seal, seal), Salt: longMAC(&site.Salt, salt)}
	clear(seal)
	clear(salt)
	return k
}

// longMAC is mac over a message of any length.
func longMAC(key *[32]byte, message []byte) [32]byte {
	h := hmac.New(sha256.New, key[:])
	h.Write(message)
	return [32]byte(h.Sum(nil))
}
