// Package ledger defines the bytes of what a ledger commits to, from the
// summary of a stream up to the entry of its log. It is pure.
package ledger
