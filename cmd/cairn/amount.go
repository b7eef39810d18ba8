package main

import (
	"fmt"
	"math/big"
	"strings"

	"cairn/anchor"
)

// money is how much of a chain's unit the words for money on it stand for, as
// powers of ten: an amount is kept in gwei on Ethereum and in satoshi on
// Bitcoin.
var money = map[string]map[string]int64{
	"gwei":    {"gwei": 0, "ether": 9},
	"satoshi": {"sat": 0, "satoshi": 0, "btc": 8},
}

// moneyWords are examples for errors.
var moneyWords = map[string]string{"gwei": `"0.002 ether" or "60000 gwei"`, "satoshi": `"20000 sat" or "0.0002 btc"`}

// parseAmount reads a number and a word, such as "0.002 ether", as an amount
// in a chain's unit. What is below the unit is refused.
func parseAmount(text, unit string) (anchor.Amount, error) {
	number, word, ok := strings.Cut(text, " ")
	power, known := money[unit][strings.ToLower(strings.TrimSpace(word))]
	r, isNumber := new(big.Rat).SetString(number)
	if !ok || !known || !isNumber || strings.ContainsAny(number, "eE/_+-xX") || len(number) > 30 {
		return 0, fmt.Errorf("%.40q is no amount such as %s", text, moneyWords[unit])
	}
	r.Mul(r, new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(power), nil)))
	if !r.IsInt() || !r.Num().IsUint64() || r.Num().BitLen() > 63 {
		return 0, fmt.Errorf("%.40q is no whole number of %s, or too much", text, unit)
	}
	return anchor.Amount(r.Num().Uint64()), nil
}

// amountText shows an amount in the larger word of its unit.
func amountText(a anchor.Amount, unit string) string {
	word, power := "", int64(0)
	for w, p := range money[unit] {
		if p > power {
			word, power = w, p
		}
	}
	if word == "" {
		return fmt.Sprint(uint64(a))
	}
	r := new(big.Rat).SetFrac(new(big.Int).SetUint64(uint64(a)), new(big.Int).Exp(big.NewInt(10), big.NewInt(power), nil))
	s := r.FloatString(int(power))
	s = strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
	return s + " " + word
}
