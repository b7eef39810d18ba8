#!/usr/bin/env bash
# Compiles the contract with the pinned tools and writes its generated Go files into the given folder,
# contracts/ unless told otherwise.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
out=$(cd "${1:-$root/contracts}" && pwd)
"$root/scripts/tools.sh"

build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT

"$root/.tools/bin/forge" build --offline --force --quiet --use "$root/.tools/bin/solc" \
	--root "$root/contracts" --out "$build/out" --cache-path "$build/cache" src
cd "$root"
go run ./scripts/contractgen "$build/out/Registry.sol/Registry.json" "$out"
