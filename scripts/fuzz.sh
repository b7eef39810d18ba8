#!/usr/bin/env bash
# Runs every fuzz target of the module for FUZZTIME (10s), one after another, or only those of the packages given.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
[ $# -gt 0 ] || set -- ./...
failed=
for package in $(go list "$@"); do
	targets=$(go test -list '^Fuzz' "$package") || { failed+=" $package"; continue; }
	for target in $(grep '^Fuzz' <<<"$targets" || true); do
		echo "== $package $target"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "${FUZZTIME:-10s}" -fuzzminimizetime 1x "$package" || failed+=" $package.$target"
	done
done
if [ -n "$failed" ]; then
	echo "fuzz.sh: failed:$failed" >&2
	exit 1
fi
