#!/usr/bin/env bash
# Prints the licences of all that is linked into the commands, for every system they are packaged for.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
modules() {
	local arch
	for arch in amd64 arm64 arm; do
		GOOS=linux GOARCH=$arch CGO_ENABLED=0 go list -deps -f '{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}} {{.Dir}}{{end}}{{end}}' ./cmd/cairn ./cmd/cairn-verify
	done | LC_ALL=C sort -u
}

rule=$(printf '%.0s-' {1..72})
printf '\n%s\nThe Go standard library and runtime\n\n' "$rule"
cat "$(go env GOROOT)/LICENSE"
modules | while read -r path version dir; do
	printf '\n%s\n%s %s\n' "$rule" "$path" "$version"
	found=
	for file in "$dir"/*; do
		case $(basename "$file" | tr '[:upper:]' '[:lower:]') in
		license* | licence* | copying* | notice*)
			if [ -f "$file" ]; then
				printf '\n' && cat "$file"
				found=yes
			fi
			;;
		esac
	done
	[ -n "$found" ] || {
		echo "notices.sh: $path has no licence: it cannot be handed on" >&2
		exit 1
	}
done
