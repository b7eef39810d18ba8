// Command cairn is the gateway: it takes in what sensors send, keeps it, and
// leaves marks of it on public chains. The same program is the operator's tool;
// its commands talk to the running service over a socket in its folder, or open
// the folder themselves when none runs.
//
// Exit codes: 0 done; 1 checked and false, or the service died; 2 could not be
// done.
//
// # The files
//
// A command's flags and what it prints stand beside what it does. What is asked of a
// running service are operations: their table is in gateway.go, how they are reached
// in control.go. Files of one matter begin with one word:
//
//	main command options completion manual version     the command line
//	control progress socket lock                       how commands reach the service or the folder
//	*config settings credential certificate            cairn.yaml and what it names
//	init run reload notify logs clock gateway ledger*  a gateway: made, opened, run, reloaded; its ledgers
//	keyring keycmd succession                          its keys, and who comes after them
//	demux senders brokers late importcmd decode        what comes in, and which ledger numbers it
//	places routes checkroute deploy headers amount     chains: from a ledger's head to its anchors
//	serve sealed health metrics status*                what is served and said of a running gateway
//	console* trend usercmd                             what package web shows of it, and to whom
//	device* bindings passed stated                     devices, where they are, what was recorded of them
//	alert*                                             what is wrong, and who is told
//	prove* complete query receipt policy update export*  readings, and proofs of them
//	grant* compartment* sharing* identity              who may see what
//	open*                                              the audience's side of that
//	mirror* drop                                       copies, and what the site need not keep
//	escrow* holder shred                               keys that others keep, and keys that nobody has any more
//	publish*                                           IPFS
//	witness*                                           asking witnesses, and being one
//	backup* fsck doctor                                what keeps it well
package main
