// Package proof holds what is checked long after and by strangers: the proof
// file, its receipts, and the verdict over them.
package proof
