#!/bin/sh
# Waits before a start that comes soon after the last: 0, 2, 4 … up to 64 seconds. systemd can do
# this itself from version 254 on; devices have 249 to 257.
set -eu
count=$RUNTIME_DIRECTORY/starts
starts=0
# who has lived for ten minutes begins anew
if [ -n "$(find "$count" -mmin -10 2>/dev/null)" ]; then
    read -r starts <"$count" || starts=0 # who wrote it was cut off
fi
wait_s=$([ "$starts" -gt 6 ] && echo 64 || echo $(((1 << starts) & ~1)))
echo $((starts + 1)) >"$count"
sleep "$wait_s"
