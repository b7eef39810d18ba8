#!/usr/bin/env bash
# Builds the Debian packages, without root, the same bytes from the same commit:
#
#   scripts/package/deb.sh [DIR]
#
# Into DIR (bin). ARCHITECTURES (amd64 arm64 armhf; armhf runs on ARMv6 too), VERSION and SOURCE_DATE_EPOCH (both by
# the commit), MAINTAINER ("Name <mail>") and COMPRESS (xz, or gzip) may be given.
set -euo pipefail
umask 022

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
from=$root/scripts/package
out=$(realpath -m "${1:-$root/bin}")
cd "$root"

fail() {
	echo "deb.sh: $*" >&2
	exit 1
}
command -v dpkg-deb >/dev/null || fail "dpkg-deb is missing: build on a Debian machine"

: "${SOURCE_DATE_EPOCH:=$(git log -1 --format=%ct)}"
: "${VERSION:=0~git$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y%m%d%H%M).$(git rev-parse --short=9 HEAD)}"
: "${ARCHITECTURES:=amd64 arm64 armhf}"
: "${COMPRESS:=xz}"
: "${MAINTAINER:=The Cairn authors <cairn@localhost>}"
export SOURCE_DATE_EPOCH CGO_ENABLED=0 DPKG_DEB_THREADS_MAX=1
unset GOOS GOARCH GOARM CAIRN_DIR CAIRN_PASSPHRASE_FILE

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$out" "$work/here" "$work/man" "$work/share"

# What the gateway serves is linked into it.
go run ./scripts/page -o "$work/cairn-verify.html" -gzip cmd/cairn/web/dist/verify.html.gz >/dev/null

# What is the same for all: written by the commands themselves, built for this machine.
go build -trimpath -o "$work/here/" ./cmd/cairn ./cmd/cairn-verify
go run -trimpath -tags manual ./cmd/cairn "$work/man"
"$from/verifyman.sh" "$work/here/cairn-verify" >"$work/man/cairn-verify.1"
gzip -9n "$work"/man/*
"$work/here/cairn" init "$work/example" >/dev/null
"$from/notices.sh" >"$work/notices"

# stage ARCHITECTURE makes the tree of a package.
stage() {
	local arch=$1 tree=$work/$1
	local share=$tree/usr/share
	mkdir -p "$tree/DEBIAN" "$tree/usr/bin" "$share/cairn" "$share/doc/cairn" "$share/man/man1"
	case $arch in
	amd64 | arm64) GOARCH=$arch go build -trimpath -ldflags='-s -w' -o "$tree/usr/bin/" ./cmd/cairn ./cmd/cairn-verify ;;
	armhf) GOARCH=arm GOARM=6 go build -trimpath -ldflags='-s -w' -o "$tree/usr/bin/" ./cmd/cairn ./cmd/cairn-verify ;;
	*) fail "no architecture of ours: $arch" ;;
	esac
	install -D -m 644 "$from/cairn.service" "$tree/usr/lib/systemd/system/cairn.service"
	install -D -m 644 "$from/cairn.sysusers" "$tree/usr/lib/sysusers.d/cairn.conf"
	cp "$work"/man/*.gz "$share/man/man1/"
	complete bash "$share/bash-completion/completions/cairn"
	complete zsh "$share/zsh/vendor-completions/_cairn"
	complete fish "$share/fish/vendor_completions.d/cairn.fish"
	install -m 644 "$work/example/cairn.yaml" "$share/cairn/cairn.yaml.example"
	install -m 644 "$work/cairn-verify.html" "$share/cairn/"
	install -m 644 "$from"/observe/* "$share/cairn/"
	install -m 644 README.md "$share/doc/cairn/"
	install -m 644 "$from/copyright" "$share/doc/cairn/"
	gzip -9n <"$work/notices" >"$share/doc/cairn/libraries.gz"
	printf 'cairn (%s) unstable; urgency=medium\n\n  * Built from this commit; its history is that of the source.\n\n -- %s  %s\n' \
		"$VERSION" "$MAINTAINER" "$(date -uR -d "@$SOURCE_DATE_EPOCH")" | gzip -9n >"$share/doc/cairn/changelog.gz"
	local script
	for script in postinst prerm postrm; do
		install -m 755 "$from/$script" "$tree/DEBIAN/$script"
	done
	(cd "$tree" && find usr -type f -print0 | LC_ALL=C sort -z | xargs -0 md5sum) >"$tree/DEBIAN/md5sums"
	sed -e "s/@VERSION@/$VERSION/" -e "s/@MAINTAINER@/$MAINTAINER/" -e "s/@ARCH@/$arch/" -e "s/@SIZE@/$(installed "$tree")/" "$from/control" >"$tree/DEBIAN/control"
	find "$tree" -print0 | xargs -0 touch -h -d "@$SOURCE_DATE_EPOCH"
}

complete() { # complete SHELL FILE
	mkdir -p "$(dirname "$2")"
	"$work/here/cairn" completion "$1" >"$2"
}

# installed TREE says how many KiB the files take, whatever the disk here makes of them.
installed() {
	find "$1/usr" -type f -printf '%s\n' | awk '{ n += int(($1 + 1023) / 1024) } END { print n }'
}

for arch in $ARCHITECTURES; do
	stage "$arch"
	dpkg-deb --root-owner-group "-Z$COMPRESS" --build "$work/$arch" "$out/cairn_${VERSION}_$arch.deb" >/dev/null
	(cd "$out" && sha256sum "cairn_${VERSION}_$arch.deb")
done
