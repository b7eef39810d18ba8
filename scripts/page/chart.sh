#!/usr/bin/env bash
# Brings the console's chart library, pinned in scripts/page/chart, into what the gateway serves to browsers:
# cmd/cairn/web/dist/uplot.js, .css and .license. It is not checked in. Needs npm, the first time.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
pins=scripts/page/chart dist=cmd/cairn/web/dist work=.tools/chart
stamp="$(cat "$pins/package-lock.json" scripts/page/chart.sh | cksum)"
[ -f "$work/stamp" ] && [ "$(cat "$work/stamp")" = "$stamp" ] && [ -s "$dist/uplot.js" ] && exit 0

command -v npm >/dev/null || {
	echo "chart.sh: npm is missing: install it beside Node.js 20" >&2
	exit 1
}
mkdir -p "$work" "$dist"
cp "$pins/package.json" "$pins/package-lock.json" "$work/"
(cd "$work" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >&2)
from=$work/node_modules/uplot
# It is written for a page's own scripts; the last line makes a module of it.
{ cat "$from/dist/uPlot.iife.min.js" && echo && echo 'export default uPlot;'; } >"$dist/uplot.js.part"
cp "$from/dist/uPlot.min.css" "$dist/uplot.css"
cp "$from/LICENSE" "$dist/uplot.license"
mv "$dist/uplot.js.part" "$dist/uplot.js"
echo "$stamp" >"$work/stamp"
