#!/usr/bin/env bash
# Fails if the checked-in generated files are not what their sources give.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT

"$root/scripts/generate.sh" "$fresh"
status=0
for file in "$fresh"/*.go; do
	diff -u "$root/contracts/$(basename "$file")" "$file" || status=1
done
if [ $status -ne 0 ]; then
	echo "check-generated.sh: generated files differ from their sources: run make generate" >&2
fi
exit $status
