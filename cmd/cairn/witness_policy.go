package main

import "cairn/anchor/proof"

// policyWitnesses puts the ledger's witnesses into a policy, and how many of them
// must have cosigned.
func (l *openLedger) policyWitnesses(p *proof.Policy) {
	var names []string
	for i := range l.cfg.Witnesses {
		w := &l.cfg.Witnesses[i]
		p.Witnesses = append(p.Witnesses, proof.Witness{Name: w.Name, KeyName: w.key.Name(), Key: w.key.Public()})
		names = append(names, w.Name)
	}
	switch len(names) {
	case 0:
		return
	case 1:
		p.Cosigned = names[0]
	default:
		p.Groups = append(p.Groups, proof.Group{Name: witnessGroup, Need: l.cfg.needCosigned(), Members: names})
		p.Cosigned = witnessGroup
	}
	p.CosignedOpen = l.cfg.WitnessFailOpen
}
