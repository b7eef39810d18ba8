#!/usr/bin/env bash
# Runs the anchoring suite on public chains: those whose variables are set, one after another. It spends money there,
# of keys that must serve nothing else. Exit codes: 0 passed, 1 a test failed, 2 a variable is missing or wrong.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
prefix=CAIRN_TESTNET

help() {
	cat <<'EOF'
make testnet runs the anchoring suite on public chains and prints block, time and cost of each anchor.
No variable is set, so nothing was run. Set those of one chain or of several:

Ethereum: Sepolia, Hoodi or another testnet; 23 anchors or a few more, an hour with 4 blocks of finality
  CAIRN_TESTNET_ETH_RPC                  URLs of nodes of one chain, with commas between
  CAIRN_TESTNET_ETH_KEYSTORE             keystore file of a funded account
  CAIRN_TESTNET_ETH_PASSPHRASE_FILE      file whose first line opens it
  CAIRN_TESTNET_ETH_CONTRACT             optional: the registry; without it two are deployed
  CAIRN_TESTNET_ETH_FINAL                optional: finalized (13 minutes an anchor), safe, or blocks (default 4)
  CAIRN_TESTNET_ETH_GAS_RULE             optional: eip1559, legacy or op-stack
  CAIRN_TESTNET_ETH_WAIT_FINAL           optional: yes waits for the last anchor of the first part

Bitcoin: testnet4 or signet; 21 anchors or a few more, 8 hours where blocks take ten minutes
  CAIRN_TESTNET_BTC_RPC                  URL of a node (btcd or Bitcoin Core), without user and password
  CAIRN_TESTNET_BTC_NETWORK              testnet4, signet or regtest
  CAIRN_TESTNET_BTC_USER                 the node's user, and
  CAIRN_TESTNET_BTC_PASSWORD_FILE        a file whose first line is the password; or instead of the two
  CAIRN_TESTNET_BTC_COOKIE_FILE          the node's cookie file
  CAIRN_TESTNET_BTC_CA_FILE              optional: certificate of an https node
  CAIRN_TESTNET_BTC_KEY                  key file, from cairn bitcoin new-key
  CAIRN_TESTNET_BTC_KEY_PASSPHRASE_FILE  file whose first line opens it
  CAIRN_TESTNET_BTC_BIRTHDAY             height of a block before the key's first money
  CAIRN_TESTNET_BTC_DEPTH                optional: confirmations that make a block final (default 2)

OpenTimestamps: any calendars; two stamps, free
  CAIRN_TESTNET_OTS_CALENDARS            URLs, with commas between
  CAIRN_TESTNET_OTS_ALSO                 optional: URLs of the calendars behind them, if they are pools
  CAIRN_TESTNET_OTS_NETWORK              optional: their Bitcoin network (default mainnet)
  CAIRN_TESTNET_OTS_WAIT                 optional: wait so long for the blocks, such as 12h (default: not at all)
  CAIRN_TESTNET_OTS_RPC                  optional: a Bitcoin node that checks the blocks, with
                                         _USER and _PASSWORD_FILE, or _COOKIE_FILE, and _CA_FILE

  CAIRN_TESTNET_RUN                      optional: one part of the suite alone: Order, Crash, Restart, Replaced,
                                         Rollback or Budget

anchor/README.md goes through it step by step, with what it costs.
EOF
}

# wanted CHAIN: one of its variables is set.
wanted() {
	compgen -v "${prefix}_$1_" | while read -r name; do [ -n "${!name}" ] && echo "$name"; done | grep -q .
}

bad=
# need CHAIN NAME…: each must be set.
need() {
	local chain=$1 name
	shift
	for name in "$@"; do
		name=${prefix}_${chain}_$name
		[ -n "${!name:-}" ] || { echo "testnet.sh: $name is missing" >&2 && bad=yes; }
	done
}
# files CHAIN NAME…: each that is set must be a file that can be read. It is made absolute, as tests run in their folder.
files() {
	local chain=$1 name
	shift
	for name in "$@"; do
		name=${prefix}_${chain}_$name
		[ -n "${!name:-}" ] || continue
		[ -f "${!name}" ] && [ -r "${!name}" ] || { echo "testnet.sh: $name: ${!name} cannot be read" >&2 && bad=yes; }
		case ${!name} in /*) ;; *) export "$name=$PWD/${!name}" ;; esac
	done
}
# access CHAIN: the node wants a user with a password file, or a cookie file.
access() {
	local cookie=${prefix}_$1_COOKIE_FILE
	[ -n "${!cookie:-}" ] || need "$1" USER PASSWORD_FILE
	files "$1" PASSWORD_FILE COOKIE_FILE CA_FILE
}

chains=()
if wanted ETH; then
	chains+=(ethereum)
	need ETH RPC KEYSTORE PASSPHRASE_FILE
	files ETH KEYSTORE PASSPHRASE_FILE
	export CAIRN_TESTNET_ETH_FINAL="${CAIRN_TESTNET_ETH_FINAL:-4}"
fi
if wanted BTC; then
	chains+=(bitcoin)
	need BTC RPC NETWORK KEY KEY_PASSPHRASE_FILE BIRTHDAY
	files BTC KEY KEY_PASSPHRASE_FILE
	access BTC
fi
if wanted OTS; then
	chains+=(ots)
	need OTS CALENDARS
	[ -z "${CAIRN_TESTNET_OTS_RPC:-}" ] || access OTS
fi
if [ ${#chains[@]} = 0 ]; then
	help
	exit 2
fi
[ -z "$bad" ] || exit 2

failed=
for chain in "${chains[@]}"; do
	echo "== $chain"
	go test -tags testnet -count=1 -v -timeout 72h -run "^TestTestnet${CAIRN_TESTNET_RUN:+/^$CAIRN_TESTNET_RUN\$}" "./anchor/$chain" || failed+=" $chain"
done
if [ -n "$failed" ]; then
	echo "testnet.sh: failed:$failed" >&2
	exit 1
fi
