#!/bin/sh
# Sets up a device when it starts first. Run as root, without network, and again after any power cut.
#
#   setup.sh first-boot   from the boot partition: takes everything off it, names the device, lets its
#                         installer in, and leaves no secret behind, whatever fails on the way
#   setup.sh finish       from the root partition, by edge-reid-setup.service at every start until
#                         it is done: installs the bundle
#
# What was done stands in edge-reid.log on the boot partition, where any laptop can read it; what
# the commands themselves said, only root can read, in $STATE/output.
set -u
umask 022

STATE=/var/lib/edge-reid-setup
UNIT=/etc/systemd/system/edge-reid-setup.service
HERE=$(cd "$(dirname "$0")" && pwd)
SECRETS="wifi.nmconnection cable.nmconnection box.tar"
REST="settings authorized_keys edge-reid-setup.service setup.sh"

say() {
    line="$(date -u +%Y-%m-%dT%H:%M:%SZ) $*"
    echo "edge-reid: $*"
    echo "$line" >>"$BOOT/edge-reid.log" 2>/dev/null || :
}

# Do one thing; what fails is said and does not keep the rest from being done.
step() {
    what=$1
    shift
    if "$@" >>"$OUTPUT" 2>&1; then
        say "done: $what"
    else
        say "FAILED: $what"
        failed=1
    fi
}

first_boot() {
    BOOT=$(dirname "$HERE")
    mount -o remount,rw "$BOOT" 2>/dev/null || :
    trap clean_up EXIT
    trap 'exit 1' HUP INT TERM
    say "first boot"
    # shellcheck source=/dev/null
    . "$HERE/settings"
    step "take everything off the boot partition" take_over
    step "host name $HOST" set_host_name
    [ -z "${LOGIN:-}" ] || step "user $LOGIN, who logs in with a key" make_user
    [ -z "${LOGIN:-}" ] || step "ssh without passwords" set_up_ssh
    [ -z "${COUNTRY:-}" ] || step "Wi-Fi rules of $COUNTRY" set_country
    step "network" set_up_network
    [ -z "${TIMEZONE:-}" ] || step "time zone $TIMEZONE" set_time_zone
    step "install when the system is up" arrange_finish
}

take_over() {
    # after a power cut it may all be over there, and half wiped here
    [ "$(cat "$STATE/taken" 2>/dev/null)" != "$SEED" ] || return 0
    echo "$BOOT" >"$STATE/boot" || return
    for name in $REST $SECRETS; do
        rm -f "$STATE/$name"
        [ ! -e "$HERE/$name" ] || cp "$HERE/$name" "$STATE/$name" || return
    done
    is_the_bundle || { rm -f "$STATE/box.tar"; return 1; }
    sync
    echo "$SEED" >"$STATE/taken"
}

# Whether the tar is, byte by byte, what was written from a bundle that had been verified.
is_the_bundle() { echo "$BUNDLE_SHA256  $STATE/box.tar" | sha256sum -c; }

set_host_name() {
    echo "$HOST" >/etc/hostname || return
    grep -v '^127\.0\.1\.1[[:space:]]' /etc/hosts >"$STATE/hosts" || :
    printf '127.0.1.1\t%s\n' "$HOST" >>"$STATE/hosts"
    cat "$STATE/hosts" >/etc/hosts || return
    rm -f "$STATE/hosts"
    hostname "$HOST" 2>/dev/null || :
}

make_user() {
    # On Pi OS the first user is renamed, and the wizard that waits for a keyboard is called off.
    if ! id "$LOGIN" && [ -x /usr/lib/userconf-pi/userconf ]; then
        /usr/lib/userconf-pi/userconf "$LOGIN" '*' || :
    fi
    systemctl disable userconfig.service || :
    id "$LOGIN" || useradd --create-home --shell /bin/bash "$LOGIN" || return
    usermod --password '*' "$LOGIN" || return
    for group in adm dialout sudo video plugdev netdev render gpio i2c spi; do
        ! getent group "$group" || usermod --append --groups "$group" "$LOGIN" || return
    done
    # with no password there is none to ask for
    [ -d /etc/sudoers.d ] || install -d -m 750 /etc/sudoers.d || return
    echo "$LOGIN ALL=(ALL) NOPASSWD: ALL" >"/etc/sudoers.d/010_edge-reid-$LOGIN" || return
    chmod 440 "/etc/sudoers.d/010_edge-reid-$LOGIN"
}

set_up_ssh() {
    home=$(getent passwd "$LOGIN" | cut -d: -f6)
    group=$(id -gn "$LOGIN") || return
    install -d -m 700 -o "$LOGIN" -g "$group" "$home/.ssh" || return
    install -m 600 -o "$LOGIN" -g "$group" "$STATE/authorized_keys" "$home/.ssh/authorized_keys" ||
        return
    mkdir -p /etc/ssh/sshd_config.d || return
    # the first word on a matter holds, so before what else is there
    printf '%s\n' 'PasswordAuthentication no' 'KbdInteractiveAuthentication no' \
        'PermitRootLogin no' >/etc/ssh/sshd_config.d/01-edge-reid.conf || return
    systemctl enable ssh || return
    ! system_is_up || systemctl restart --no-block ssh
}

set_country() {
    # Pi OS comes with its radio off, at two switches, until somebody says where it is
    ! command -v raspi-config >/dev/null || raspi-config nonint do_wifi_country "$COUNTRY" || :
    ! command -v rfkill >/dev/null || rfkill unblock wifi || :
    for block in /var/lib/systemd/rfkill/*:wlan; do
        [ ! -e "$block" ] || echo 0 >"$block" || return
    done
    network_manager=/var/lib/NetworkManager/NetworkManager.state
    [ ! -e "$network_manager" ] ||
        sed -i 's/^WirelessEnabled=false/WirelessEnabled=true/' "$network_manager"
}

set_up_network() {
    for name in wifi cable; do
        [ -e "$STATE/$name.nmconnection" ] || continue
        mkdir -p /etc/NetworkManager/system-connections || return
        install -m 600 "$STATE/$name.nmconnection" \
            "/etc/NetworkManager/system-connections/edge-reid-$name.nmconnection" || return
    done
    if system_is_up && command -v nmcli >/dev/null; then
        nmcli radio wifi on || :
        nmcli connection reload || :
    fi
}

set_time_zone() {
    [ -e "/usr/share/zoneinfo/$TIMEZONE" ] || return
    ln -sfn "/usr/share/zoneinfo/$TIMEZONE" /etc/localtime || return
    echo "$TIMEZONE" >/etc/timezone
}

arrange_finish() {
    [ -e "$STATE/box.tar" ] || return
    install -m 644 "$STATE/edge-reid-setup.service" "$UNIT" || return
    systemctl daemon-reload 2>/dev/null || :
    systemctl enable edge-reid-setup.service || return
    ! system_is_up || systemctl start --no-block edge-reid-setup.service
}

# Under systemd.run a restart follows; under cloud-init the system is on its way up already.
system_is_up() { [ -d /run/systemd/system ] && ! grep -q 'systemd\.run=' /proc/cmdline; }

clean_up() {
    trap - EXIT
    wipe
    unhook
    if [ "$failed" = 0 ]; then say "no secret is left on this partition"; fi
    # the next start is the normal one, whatever happened
    exit 0
}

wipe() {
    for name in $SECRETS; do
        [ ! -e "$BOOT/edge-reid/$name" ] || shred -n 0 -z "$BOOT/edge-reid/$name" || :
        rm -f "$BOOT/edge-reid/$name"
    done
    sync
}

unhook() {
    if grep -q 'systemd\.run' "$BOOT/cmdline.txt" 2>/dev/null; then
        sed 's/ systemd\.run[^ ]*//g; s/ systemd\.unit=[^ ]*//g' "$BOOT/cmdline.txt" \
            >"$BOOT/cmdline.new" && sync && mv "$BOOT/cmdline.new" "$BOOT/cmdline.txt" && sync
    fi
    rm -f "$BOOT/firstrun.sh"
    for name in $REST; do rm -f "$BOOT/edge-reid/$name"; done
    rmdir "$BOOT/edge-reid" 2>/dev/null || :
    sync
}

finish() {
    BOOT=$(cat "$STATE/boot")
    wipe # a power cut may have come before it
    unhook
    # shellcheck source=/dev/null
    . "$STATE/settings"
    if ! is_the_bundle >"$OUTPUT" 2>&1; then
        say "FAILED: the bundle here is not the one that was put onto the card; flash it again"
        exit 1
    fi
    say "installing the bundle; this takes some minutes"
    rm -rf "$STATE/bundle"
    mkdir -p "$STATE/bundle"
    if (umask 022 && tar -xf "$STATE/box.tar" -C "$STATE/bundle" &&
        cd "$STATE/bundle/edge-reid-bundle" && python3 install/install.py) >"$OUTPUT" 2>&1; then
        say "installed; the agents of this device are running"
        systemctl disable edge-reid-setup.service || :
        rm -f "$UNIT"
        rm -rf "$STATE"
        sync
    else
        say "FAILED: install: $(tail -n 1 "$OUTPUT" | cut -c 1-300)"
        exit 1
    fi
}

failed=0
# what lies there is for root only
[ -d "$STATE" ] || install -d -m 700 "$STATE" || :
OUTPUT=$STATE/output
[ -d "$STATE" ] || OUTPUT=/dev/null
case "${1:-}" in
first-boot) first_boot ;;
finish) finish ;;
*)
    echo "setup.sh: expected first-boot or finish" >&2
    exit 2
    ;;
esac
