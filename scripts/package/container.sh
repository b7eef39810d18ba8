#!/usr/bin/env bash
# Builds the image of the gateway with podman, buildah or docker (BUILDER), without asking any registry:
#
#   scripts/package/container.sh [NAME]
#
# NAME is the image's (cairn). ARCHITECTURE (amd64, arm64, arm; this machine's) may be given.
set -euo pipefail
umask 022

name=${1:-cairn}
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
fail() {
	echo "container.sh: $*" >&2
	exit 1
}
: "${ARCHITECTURE:=$(go env GOHOSTARCH)}"
if [ -z "${BUILDER:-}" ]; then
	for BUILDER in podman buildah docker; do
		if command -v "$BUILDER" >/dev/null; then break; fi
	done
fi
command -v "$BUILDER" >/dev/null || fail "neither podman nor buildah nor docker is here: install one"
certificates=/etc/ssl/certs/ca-certificates.crt
[ -f "$certificates" ] || fail "$certificates is missing: install ca-certificates"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/root/usr/bin" "$work/root/usr/share" "$work/root/etc/ssl/certs" "$work/root/tmp" "$work/root/var/lib" "$work/data/cairn"
chmod 1777 "$work/root/tmp"
chmod 700 "$work/data/cairn"
go run ./scripts/page -o "$work/page.html" -gzip cmd/cairn/web/dist/verify.html.gz >/dev/null
GOOS=linux GOARCH=$ARCHITECTURE GOARM=6 CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o "$work/root/usr/bin/" ./cmd/cairn ./cmd/cairn-verify
cp "$(go env GOROOT)/lib/time/zoneinfo.zip" "$work/root/usr/share/"
cp -L "$certificates" "$work/root/etc/ssl/certs/"
echo 'cairn:x:65532:65532::/var/lib/cairn:/sbin/nologin' >"$work/root/etc/passwd"
echo 'cairn:x:65532:' >"$work/root/etc/group"

options=(--file scripts/package/Containerfile --tag "$name" --platform "linux/$ARCHITECTURE")
case $(basename "$BUILDER") in
docker) ;; # its format has a place for the health check
*) options+=(--format docker) ;;
esac
"$BUILDER" build "${options[@]}" "$work"
