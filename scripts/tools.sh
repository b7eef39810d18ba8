#!/usr/bin/env bash
# Installs into .tools what builds and tests need beside Go: anvil, forge, solc and the readers of other formats,
# pinned by scripts/tools/package-lock.json; an IPFS node, pinned by scripts/tools/ipfs/package-lock.json; btcd and
# litewitness, pinned here and by Go's checksum database. From Debian come Chromium, two Python modules, Mosquitto,
# systemd's tools, buildah, promtool, and for root the disk of a machine that boots. A second run compares one stamp and fetches nothing.
set -euo pipefail

go_tools=(github.com/btcsuite/btcd@v0.26.2 filippo.io/torchwood/cmd/litewitness@v0.9.0)
packages=(chromium python3-opentimestamps python3-aiosmtpd mosquitto mosquitto-clients debootstrap systemd systemd-container buildah podman runc qemu-user ca-certificates)
debian=bookworm # boots in tests of the package

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
pins=$root/scripts/tools
tools=$root/.tools

fail() {
	echo "tools.sh: $*" >&2
	exit 1
}

# The stamps are what decides the content of .tools: the pins, the wrapper, this script, the platform. What npm
# brings, the IPFS node and what Go builds each have one, so that a change of the one leaves the other alone.
platform=$(uname -sm)
want_npm="$(cat "$pins/package.json" "$pins/package-lock.json" "$pins/empty-package/package.json" "$pins/solc.js" | cksum) $platform"
want_ipfs="$(cat "$pins"/ipfs/* | cksum) $platform"
want_go="${go_tools[*]} $platform"
want="$want_npm, $want_ipfs, $want_go, $(cksum <"${BASH_SOURCE[0]}")"
is() { # is STAMP TEXT
	[ -f "$tools/$1" ] && [ "$(cat "$tools/$1")" = "$2" ]
}
have_npm() {
	is stamp-npm "$want_npm" && [ -x "$tools/bin/anvil" ] && [ -x "$tools/bin/forge" ] && [ -x "$tools/bin/solc" ] &&
		[ -d "$tools/node_modules/opentimestamps" ] && [ -d "$tools/node_modules/chainpoint-parse" ]
}
have_ipfs() {
	is stamp-ipfs "$want_ipfs" && [ -f "$tools/ipfs/node.mjs" ] && [ -d "$tools/ipfs/node_modules/ipfs-http-server" ]
}
have_go() {
	is stamp-go "$want_go" && [ -x "$tools/bin/btcd" ] && [ -x "$tools/bin/litewitness" ]
}
have_packages() {
	[ -x /usr/bin/chromium ] && [ -d /usr/lib/python3/dist-packages/opentimestamps ] && [ -d /usr/lib/python3/dist-packages/aiosmtpd ] && [ -x /usr/sbin/mosquitto ] && [ -x /usr/bin/mosquitto_pub ] &&
		[ -x /usr/sbin/debootstrap ] && [ -x /usr/bin/systemd-analyze ] && [ -x /usr/bin/systemd-nspawn ] &&
		[ -x /usr/bin/buildah ] && [ -x /usr/bin/podman ] && [ -x /usr/sbin/runc ] && [ -x /usr/bin/qemu-arm ] && [ -f /etc/ssl/certs/ca-certificates.crt ]
}
have_promtool() { [ -x "$tools/bin/promtool" ]; }
have_debian() { # only root can boot it; where none can be made, tests do with less
	[ "$(id -u)" -ne 0 ] || { is stamp-debian "$debian $platform" && [ -x "$tools/debian/usr/bin/dpkg" ]; } || is stamp-debian "none $platform"
}
current() {
	is stamp "$want" && have_npm && have_ipfs && have_go && have_debian && have_promtool && have_packages
}
current && exit 0

# Several test processes may ask at once: one installs, the others wait and find it done.
mkdir -p "$tools/bin"
if command -v flock >/dev/null; then
	exec 9>"$tools/lock"
	flock 9
	current && exit 0
fi
rm -f "$tools/stamp"

need_node() {
	command -v node >/dev/null || fail "node is missing: install Node.js 20 or newer"
	command -v npm >/dev/null || fail "npm is missing: install it beside Node.js"
	local major
	major=$(node -p 'process.versions.node.split(".")[0]')
	[ "$major" -ge 20 ] || fail "Node.js $major is too old: install 20 or newer"
}

install_npm() {
	need_node
	local native tool
	rm -rf "$tools/stamp-npm" "$tools/node_modules" "$tools/bin/anvil" "$tools/bin/forge" "$tools/bin/solc"
	cp "$pins/package.json" "$pins/package-lock.json" "$tools/"
	mkdir -p "$tools/empty-package"
	cp "$pins/empty-package/package.json" "$tools/empty-package/"
	# Not npm ci: it insists on lock entries for every platform's native package. With the lock beside it,
	# install takes the same versions and checks the same digests.
	(cd "$tools" && npm install --ignore-scripts --no-audit --no-fund --loglevel=error >&2) ||
		fail "npm could not install the pinned tools"
	for tool in anvil forge; do
		native=$(cd "$tools" && ls node_modules/@foundry-rs/$tool-*/bin/$tool 2>/dev/null | head -n 1)
		[ -n "$native" ] || fail "the pinned $tool has no build for $platform"
		ln -s "../$native" "$tools/bin/$tool"
	done
	install -m 755 "$pins/solc.js" "$tools/bin/solc"
	for tool in anvil forge solc; do
		"$tools/bin/$tool" --version >/dev/null || fail "$tool is installed but does not run"
	done
	for tool in opentimestamps chainpoint-parse; do
		(cd "$tools" && node --no-deprecation -e "require('$tool')") || fail "$tool is installed but does not load"
	done
	echo "$want_npm" >"$tools/stamp-npm"
}

# In a folder of its own: its 700 packages and those above want different versions of the same things.
install_ipfs() {
	need_node
	rm -rf "$tools/stamp-ipfs" "$tools/ipfs"
	mkdir -p "$tools/ipfs"
	cp "$pins/ipfs/package.json" "$pins/ipfs/package-lock.json" "$pins/ipfs/node.mjs" "$tools/ipfs/"
	(cd "$tools/ipfs" && npm install --ignore-scripts --no-audit --no-fund --loglevel=error >&2) ||
		fail "npm could not install the pinned IPFS node"
	(cd "$tools/ipfs" && node node.mjs) ||
		fail "the IPFS node is installed but does not load"
	echo "$want_ipfs" >"$tools/stamp-ipfs"
}

install_go() {
	command -v go >/dev/null || fail "go is missing"
	rm -f "$tools/stamp-go" "$tools/bin/btcd" "$tools/bin/litewitness"
	# Away from the module and from what the caller builds for: each tool is a program of its own, for this machine.
	local tool
	for tool in "${go_tools[@]}"; do
		(cd "$tools" && env -u GOOS -u GOARCH -u GOARM -u GOFLAGS GOWORK=off CGO_ENABLED=0 GOBIN="$tools/bin" go install "$tool" >&2) ||
			fail "go could not build $tool"
	done
	"$tools/bin/btcd" --version >/dev/null || fail "btcd is installed but does not run"
	echo "$want_go" >"$tools/stamp-go"
}

# Only root may install Debian's packages. Who is not is told the line, once, before anything is fetched.
install_packages() {
	local line="apt-get update && apt-get install -y --no-install-recommends ${packages[*]}"
	command -v apt-get >/dev/null || fail "there is no apt-get: install ${packages[*]} (Debian's names) by hand, as /usr/bin/chromium, modules of /usr/bin/python3, /usr/sbin/mosquitto and /usr/bin/mosquitto_pub"
	[ "$(id -u)" -eq 0 ] || fail "run this as root, then again what you ran: $line"
	# No daemon that a package brings is started: tests start their own.
	local policy=/usr/sbin/policy-rc.d
	if [ ! -e $policy ]; then
		trap "rm -f $policy" EXIT
		printf '#!/bin/sh\nexit 101\n' >$policy && chmod 755 $policy
	fi
	{ apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${packages[@]}"; } >"$tools/apt.log" 2>&1 ||
		fail "apt-get could not install ${packages[*]}; $tools/apt.log says why"
	[ -z "$(trap -p EXIT)" ] || { rm -f $policy && trap - EXIT; }
}

# The disk of a machine that boots, as debootstrap leaves it.
install_debian() {
	rm -rf "$tools/stamp-debian" "$tools/debian"
	if ! debootstrap --variant=minbase --include=systemd,systemd-sysv "$debian" "$tools/debian" >"$tools/debootstrap.log" 2>&1; then
		echo "tools.sh: debootstrap could not make a Debian, so the package is tried without one; $tools/debootstrap.log says why" >&2
		rm -rf "$tools/debian"
		echo "none $platform" >"$tools/stamp-debian"
		return
	fi
	rm -rf "$tools"/debian/var/cache/apt/archives/*.deb "$tools"/debian/var/lib/apt/lists/*
	echo "$debian $platform" >"$tools/stamp-debian"
}

# One program of a package that would bring a service and a web site.
install_promtool() {
	local fresh=$tools/prometheus
	rm -rf "$fresh" && mkdir "$fresh"
	(cd "$fresh" && { apt-get download prometheus || { apt-get update && apt-get download prometheus; }; } && dpkg-deb -x prometheus_*.deb . && mv usr/bin/promtool "$tools/bin/") >"$tools/promtool.log" 2>&1 ||
		fail "apt-get could not fetch Debian's prometheus, for promtool; $tools/promtool.log says why"
	rm -rf "$fresh"
	"$tools/bin/promtool" --version >/dev/null 2>&1 || fail "promtool is installed but does not run"
}

have_packages || install_packages
have_promtool || install_promtool
have_debian || install_debian
have_npm || install_npm
have_ipfs || install_ipfs
have_go || install_go
echo "$want" >"$tools/stamp"
