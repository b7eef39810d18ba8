//go:build !js

package main

import (
	"errors"
	"fmt"
	"slices"

	"cairn/anchor/proof"
)

// intake checks the file if it is an intake receipt; ok tells whether it is.
func (c *command) intake() (v *proof.IntakeVerdict, ok bool, err error) {
	b, err := begin(c.file)
	if err != nil || !proof.IsIntake(b) {
		return nil, false, nil // what is wrong is told when it is read
	}
	if len(c.attachments) != 0 {
		return nil, true, errAttachment
	}
	if c.require.given || c.report.path.given || len(c.urls)+len(c.blocks)+len(c.headers) != 0 {
		return nil, true, errors.New("an intake receipt rests on a signature alone: give no more than a policy, for whose ledger it is")
	}
	if b, err = read(c.file, proof.MaxIntake); err != nil {
		return nil, true, err
	}
	o, err := evidenceOptions(c.policy.s, nil, nil)
	if err != nil {
		return nil, true, err
	}
	verdict := proof.VerifyIntake(b, o)
	return &verdict, true, nil
}

// heldReceipt is an intake receipt that holds by itself.
type heldReceipt struct {
	name    string
	receipt *proof.IntakeReceipt
}

// takeReceipts takes the intake receipts out of the files.
func (c *compareCommand) takeReceipts(o proof.Options) (all []heldReceipt, err error) {
	rest := c.files[:0:0]
	for _, path := range c.files {
		b, err := begin(path)
		if err != nil || !proof.IsIntake(b) {
			rest = append(rest, path)
			continue
		}
		if b, err = read(path, proof.MaxIntake); err != nil {
			return nil, err
		}
		if v := proof.VerifyIntake(b, proof.Options{Policy: o.Policy}); v.Outcome != proof.Verified {
			return nil, fmt.Errorf("%s proves nothing: %s [%s]", path, v.Reason, v.Code)
		}
		r, err := proof.DecodeIntake(b)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		all = append(all, heldReceipt{path, r})
	}
	if len(all) > 0 && len(rest) == 0 {
		return nil, errors.New("receipts are compared with proofs: give one")
	}
	c.files = slices.Clip(rest)
	return all, nil
}

// holdReceipts holds receipts against the files that hold by themselves, and returns
// evidence of what they exclude.
func (a *compared) holdReceipts(all []heldReceipt, names []string, files []*proof.File) (frauds []*proof.Fraud, err error) {
	for _, r := range all {
		told := false
		for i, f := range files {
			if f == nil || a.Files[i].False {
				continue
			}
			seen, err := r.receipt.ShownBy(f)
			if err != nil {
				return nil, fmt.Errorf("%s and %s: %w", r.name, names[i], err)
			}
			fraud := r.receipt.Evidence(f)
			if fraud != nil {
				frauds = append(frauds, fraud)
				a.Broken = append(a.Broken, fmt.Sprintf("%s, by %s", r.name, names[i]))
			} else if seen {
				a.Compared = append(a.Compared, fmt.Sprintf("%s with %s: it shows the very reading", r.name, names[i]))
			}
			told = told || seen || fraud != nil
		}
		if !told {
			a.NotCompared = append(a.NotCompared, fmt.Sprintf("%s: no file shows what has the reading's number", r.name))
		}
	}
	return frauds, nil
}
