#!/usr/bin/env bash
# Two commands side by side: `beside.sh BEHIND SEEN`, each a line of shell. What SEEN says is seen as it
# goes; what BEHIND has said, once both are done. Leaves with the status of the one that failed, whose
# last lines come last; BEHIND is ended when SEEN fails, and both are when this script is ended. An
# interrupt is SEEN's to answer, which may take its time. Neither is given the terminal to read from.
set -uo pipefail
echo "beside the next, and shown after it: $1"
said=$(mktemp)
set -m # each in a group of its own, which can be ended with all that it has started
bash -c "$1" </dev/null >"$said" 2>&1 &
behind=$!
bash -c "$2" </dev/null &
seen=$!
set +m
trap 'kill -- "-$behind" "-$seen" 2>/dev/null; rm -f "$said"' EXIT
trap 'exit 129' HUP
trap 'exit 143' TERM
trap 'is_cut_short=yes; kill -INT -- "-$seen" 2>/dev/null' INT

is_cut_short=yes
while [ -n "$is_cut_short" ]; do # by an interrupt: how SEEN ends is waited for anew
    is_cut_short=
    wait "$seen"
    status=$?
done
[ "$status" -eq 0 ] || exit "$status"
wait "$behind"
status=$?
cat "$said"
exit "$status"
