#!/usr/bin/env bash
# Two commands side by side: `beside.sh BEHIND SEEN`, each a line of shell. What SEEN says is seen as it
# goes; what BEHIND has said, once both are done. Leaves with the status of the one that failed, whose
# last lines come last; BEHIND is ended when SEEN fails.
set -uo pipefail
echo "beside the next, and shown after it: $1"
said=$(mktemp)
set -m # a group of its own, which can be ended with all that it has started
bash -c "$1" </dev/null >"$said" 2>&1 &
set +m
behind=$!
trap 'kill -- "-$behind" 2>/dev/null; rm -f "$said"' EXIT

bash -c "$2" || exit
wait "$behind"
status=$?
cat "$said"
exit "$status"
