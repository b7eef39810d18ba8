#!/usr/bin/env bash
# Prints the manual page of cairn-verify: what its commands say of themselves.
set -euo pipefail

verify=$1
literal() { # as it stands: a backslash, and a dot or a quote at a line's start mean something to roff
	sed -e 's/\\/\\e/g' -e "s/^[.']/\\\\\&&/" -e 's/-/\\-/g'
}
printf '.TH CAIRN\\-VERIFY 1 "%s" cairn Cairn\n' "$(LC_ALL=C date -u -d "@$SOURCE_DATE_EPOCH" '+%b %Y')"
printf '.SH NAME\ncairn\\-verify \\- check a proof file and say what it proves\n.SH SYNOPSIS\n.nf\n'
{ "$verify" --help 2>&1 || true; } | literal
for sub in export upgrade compare frames; do
	printf '.fi\n.SH CAIRN\\-VERIFY %s\n.nf\n' "$(echo $sub | tr '[:lower:]' '[:upper:]')"
	{ "$verify" $sub --help 2>&1 || true; } | literal
done
printf '.fi\n.SH SEE ALSO\n.BR cairn (1)\n'
