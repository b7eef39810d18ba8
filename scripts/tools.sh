#!/usr/bin/env bash
# Installs anvil, forge and solc, pinned by scripts/tools/package-lock.json, into .tools/bin.
# A second run compares one stamp and fetches nothing.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
pins=$root/scripts/tools
tools=$root/.tools

fail() {
	echo "tools.sh: $*" >&2
	exit 1
}

# The stamp is what decides the content of .tools: the pins, the wrapper, this script, the platform.
want=$(cat "$pins/package.json" "$pins/package-lock.json" "$pins/solc.js" "${BASH_SOURCE[0]}" | cksum)
want="$want $(uname -sm)"
current() {
	[ -f "$tools/stamp" ] && [ "$(cat "$tools/stamp")" = "$want" ] && [ -x "$tools/bin/anvil" ]
}
current && exit 0

command -v node >/dev/null || fail "node is missing: install Node.js 20 or newer"
command -v npm >/dev/null || fail "npm is missing: install it beside Node.js"
major=$(node -p 'process.versions.node.split(".")[0]')
[ "$major" -ge 20 ] || fail "Node.js $major is too old: install 20 or newer"

# Several test processes may ask at once: one installs, the others wait and find it done.
mkdir -p "$tools"
if command -v flock >/dev/null; then
	exec 9>"$tools/lock"
	flock 9
	current && exit 0
fi

rm -rf "$tools/stamp" "$tools/bin" "$tools/node_modules"
cp "$pins/package.json" "$pins/package-lock.json" "$tools/"
# Not npm ci: it insists on lock entries for every platform's native package. With the lock beside it,
# install takes the same versions and checks the same digests.
(cd "$tools" && npm install --ignore-scripts --no-audit --no-fund --loglevel=error >&2) ||
	fail "npm could not install the pinned tools"

mkdir "$tools/bin"
for tool in anvil forge; do
	native=$(cd "$tools" && ls node_modules/@foundry-rs/$tool-*/bin/$tool 2>/dev/null | head -n 1)
	[ -n "$native" ] || fail "the pinned $tool has no build for $(uname -sm)"
	ln -s "../$native" "$tools/bin/$tool"
done
install -m 755 "$pins/solc.js" "$tools/bin/solc"

for tool in anvil forge solc; do
	"$tools/bin/$tool" --version >/dev/null || fail "$tool is installed but does not run"
done
echo "$want" >"$tools/stamp"
