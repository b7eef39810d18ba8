// Package scripts holds the test of the project's layout. The folder holds the tools around the code:
//
//	tools.sh            installs the pinned tools into .tools, and by apt what Debian has
//	generate.sh         writes the contract's generated Go files, with contractgen
//	check-generated.sh  fails if those that are checked in differ
//	bench.sh            runs the benchmarks and prints them beside their targets, with benchtable
//	fuzz.sh             runs every fuzz target for a while
//	anvil               package for tests that need a real Ethereum node
//	btcd                package for tests that need a real Bitcoin node
//	calendar            package for tests that need an OpenTimestamps calendar on that node
//	chromium            package for tests that need a browser
//	debian              package for tests that need a Debian that boots
//	witness             package for tests that need witnesses which are not ours
//	package             builds Debian packages and the image; systemd's unit, dashboard and alert rules
//	page                builds the page that checks proofs
package scripts
