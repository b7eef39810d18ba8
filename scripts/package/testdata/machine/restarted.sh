#!/bin/sh
# Does what the arguments say, and waits until the service has been started again.
set -e
before=$(systemctl show --value --property NRestarts cairn)
"$@"
for i in $(seq 300); do
	if [ "$(systemctl show --value --property NRestarts cairn)" -gt "$before" ] && systemctl --quiet is-active cairn; then
		exit 0
	fi
	sleep 0.1
done
systemctl status cairn
exit 1
