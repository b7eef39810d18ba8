//go:build !race

package store

// slowdown divides what long tests repeat: the race detector makes it slow.
const slowdown = 1
