#!/usr/bin/env bash
# Runs the benchmarks that have targets, side by side in one run, and prints them as a table.
# COUNT: how often each runs (3); BENCH: which (Spine|Trees|MQTT|Posted|Alert); PACKAGES: where (all).
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
out=.bench
mkdir -p "$out"
file=$out/$(date -u +%Y%m%dT%H%M%SZ).txt

# One package after another: benchmarks that share the processor measure each other.
go test -p 1 -run '^$' -bench "${BENCH:-Spine|Trees|MQTT|Posted|Alert}" -count "${COUNT:-3}" -timeout 0 ${PACKAGES:-./...} |
	tee "$file" >&2
go run ./scripts/benchtable "$file"
