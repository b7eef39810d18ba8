package main

import (
	"testing"

	"cairn/anchor"
)

func TestAmount(t *testing.T) {
	tests := []struct {
		text, unit string
		want       anchor.Amount
		shown      string // "": an error
	}{
		{"0.002 ether", "gwei", 2_000_000, "0.002 ether"},
		{"60000 gwei", "gwei", 60_000, "0.00006 ether"},
		{"1 Ether", "gwei", 1e9, "1 ether"},
		{"20000 sat", "satoshi", 20_000, "0.0002 btc"},
		{"0.0002 btc", "satoshi", 20_000, "0.0002 btc"},
		{"21000000 btc", "satoshi", 2_100_000_000_000_000, "21000000 btc"},
		{"0 sat", "satoshi", 0, "0 btc"},
		{"0.5 sat", "satoshi", 0, ""},
		{"0.0000000001 ether", "gwei", 0, ""},
		{"5", "gwei", 0, ""},
		{"5 btc", "gwei", 0, ""},
		{"-5 gwei", "gwei", 0, ""},
		{"1e9 gwei", "gwei", 0, ""},
		{"1/3 gwei", "gwei", 0, ""},
		{"99999999999 ether", "gwei", 0, ""},
		{"ether", "gwei", 0, ""},
		{"", "gwei", 0, ""},
	}
	for _, tt := range tests {
		got, err := parseAmount(tt.text, tt.unit)
		if (err != nil) != (tt.shown == "") || got != tt.want {
			t.Errorf("parseAmount(%q, %q) = %d, %v, want %d", tt.text, tt.unit, got, err, tt.want)
		}
		if err == nil && amountText(got, tt.unit) != tt.shown {
			t.Errorf("amountText(%d, %q) = %q, want %q", got, tt.unit, amountText(got, tt.unit), tt.shown)
		}
	}
}
