#!/bin/sh
# What tests talk to, for real: Mosquitto and PostgreSQL, and what they make cards with. Taken as they
# are, or installed by apt where that needs no password. The tests start their own on free ports and
# sockets.
PATH="$PATH:/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin"

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

has_mosquitto() { command -v mosquitto >/dev/null; }
has_postgres() { command -v initdb >/dev/null || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; }

wanted=""
has_mosquitto || wanted="mosquitto"
has_postgres || wanted="$wanted postgresql"
# the cluster of the tests; elsewhere they are skipped
[ -z "$CI" ] || command -v nats-server >/dev/null || wanted="$wanted nats-server"
# another broker that agents can talk to: 34 MB to fetch, 55 on the disk, with Erlang
[ -z "$CI" ] || command -v rabbitmq-server >/dev/null || wanted="$wanted rabbitmq-server"
command -v sfdisk >/dev/null || wanted="$wanted fdisk"
command -v mkfs.vfat >/dev/null || wanted="$wanted dosfstools"
command -v mcopy >/dev/null || wanted="$wanted mtools"
# a laptop that runs the tests must not become one that lets people in
[ -z "$CI" ] || command -v sshd >/dev/null || wanted="$wanted openssh-server"
[ -z "$CI" ] || command -v sudo >/dev/null || wanted="$wanted sudo"
[ -z "$CI" ] || command -v systemd-analyze >/dev/null || wanted="$wanted systemd"
# the RTSP camera of the tests, and the browser that looks at reports: large, elsewhere a test is skipped
[ -z "$CI" ] || command -v ffmpeg >/dev/null || wanted="$wanted ffmpeg"
[ -z "$CI" ] || command -v chromium >/dev/null || wanted="$wanted chromium"
[ -n "$wanted" ] || exit 0

if command -v apt-get >/dev/null; then
    echo "installing $wanted by apt …"
    # shellcheck disable=SC2086 - several words
    as_root apt-get update -qq && DEBIAN_FRONTEND=noninteractive as_root apt-get install -y -qq $wanted >/dev/null
fi
has_mosquitto || echo "no mosquitto here and none could be installed: tests that need a broker are skipped (apt install mosquitto, or brew install mosquitto)"
has_postgres || echo "no PostgreSQL here and none could be installed: tests that need it are skipped (apt install postgresql, or brew install postgresql)"
{ has_mosquitto && has_postgres; } || [ -z "$CI" ]
