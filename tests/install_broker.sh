#!/bin/sh
# A real Mosquitto for the tests: taken as it is, or installed by apt where that needs no password.
PATH="$PATH:/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin"
command -v mosquitto >/dev/null && exit 0

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

if command -v apt-get >/dev/null; then
    echo "installing mosquitto by apt …"
    as_root apt-get update -qq && DEBIAN_FRONTEND=noninteractive as_root apt-get install -y -qq mosquitto >/dev/null
    # Debian starts a system broker on port 1883; the tests run their own on free ports
fi
if ! command -v mosquitto >/dev/null; then
    echo "no mosquitto here and none could be installed: tests that need a broker are skipped (apt install mosquitto, or brew install mosquitto)"
    [ -z "$CI" ] || exit 1
fi
