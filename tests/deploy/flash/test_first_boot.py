"""What a device does when it starts first: the scripts of a seeded card, run for real as root."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.first_boots import STATE, CardDevice, new_device
from support.flashing import AGENT_KEY, CARRIED, PSK, Job, job

from deploy.bundle.bundle_writer import Content

INSTALLER = """
from pathlib import Path
assert Path("config/gate.toml").exists() and Path("manifest.json").exists()
with Path("/installed").open("a") as file:
    file.write("once\\n")
"""
BROKEN = "raise SystemExit('install: the doctor says no')\n"
DONE = [
    "first boot",
    "done: take everything off the boot partition",
    "done: host name camera-17",
    "done: user installer, who logs in with a key",
    "done: ssh without passwords",
    "done: Wi-Fi rules of DE",
    "done: network",
    "done: time zone Europe/Berlin",
    "done: install when the system is up",
    "no secret is left on this partition",
]
INSTALLED = [
    "installing the bundle; this takes some minutes",
    "installed; the agents of this device are running",
]


@pytest.fixture
def bookworm(tmp_path: Path) -> Iterator[CardDevice]:
    with new_device(tmp_path / "device", cloud_init=False) as device:
        yield device


@pytest.fixture
def trixie(tmp_path: Path) -> Iterator[CardDevice]:
    with new_device(tmp_path / "device", cloud_init=True) as device:
        yield device


def order(folder: Path, target: str, installer: str = INSTALLER) -> Job:
    contents = CARRIED | {"install/install.py": Content(installer.encode())}
    return job(folder / "site", target, contents=contents)


def seeded(device: CardDevice, job: Job) -> CardDevice:
    done = job.flash("--boot", device.boot)
    assert done.code == 0, done.err
    return device


def secrets_on(boot: Path) -> list[Path]:
    """Files of a boot partition with a secret in them."""
    words = (AGENT_KEY, PSK.encode())
    files = [path for path in boot.rglob("*") if path.is_file()]
    return [path for path in files if any(word in path.read_bytes() for word in words)]


def test_a_seeded_card_has_secrets_and_afterwards_none(
    bookworm: CardDevice, tmp_path: Path
) -> None:
    seeded(bookworm, order(tmp_path, "pi-bookworm"))
    assert {path.name for path in secrets_on(bookworm.boot)} == {"box.tar", "wifi.nmconnection"}
    bookworm.start()
    assert bookworm.log == DONE
    assert secrets_on(bookworm.boot) == []
    assert {path.name for path in bookworm.boot.iterdir()} == {
        *("cmdline.txt", "cmdline.txt.before-edge-reid", "config.txt", "edge-reid.log"),
    }
    cmdline = (bookworm.boot / "cmdline.txt").read_text(encoding="utf-8")
    assert "systemd." not in cmdline
    assert cmdline.startswith("console=serial0,115200 console=tty1 root=PARTUUID=97709164-02")
    assert cmdline.endswith(" cgroup_enable=memory\n"), "it stays"


def test_secrets_are_overwritten_and_not_only_unlinked(
    bookworm: CardDevice, tmp_path: Path
) -> None:
    seeded(bookworm, order(tmp_path, "pi-bookworm"))
    names = ("box.tar", "wifi.nmconnection")
    for name in names:
        os.link(bookworm.boot / "edge-reid" / name, bookworm.root / name)
    bookworm.start()
    for name in names:
        assert set((bookworm.root / name).read_bytes()) == {0}, name


def test_what_the_device_is_afterwards(bookworm: CardDevice, tmp_path: Path) -> None:
    seeded(bookworm, order(tmp_path, "pi-bookworm")).start()
    etc = bookworm.root / "etc"
    assert (etc / "hostname").read_text() == "camera-17\n"
    assert "127.0.1.1\tcamera-17\n" in (etc / "hosts").read_text()
    assert (etc / "timezone").read_text() == "Europe/Berlin\n"
    assert (etc / "localtime").readlink() == Path("/usr/share/zoneinfo/Europe/Berlin")
    (shadow,) = [
        line for line in (etc / "shadow").read_text().splitlines() if line.startswith("installer:")
    ]
    assert shadow.split(":")[1] == "*", "no password opens it"
    keys = bookworm.root / "home/installer/.ssh/authorized_keys"
    assert keys.read_text() == "ssh-ed25519 AAAA me@laptop\n"
    assert stat.S_IMODE(keys.stat().st_mode) == 0o600
    assert "PasswordAuthentication no" in (etc / "ssh/sshd_config.d/01-edge-reid.conf").read_text()
    assert (etc / "sudoers.d/010_edge-reid-installer").read_text() == (
        "installer ALL=(ALL) NOPASSWD: ALL\n"
    )
    wifi = etc / "NetworkManager/system-connections/edge-reid-wifi.nmconnection"
    assert f"psk={PSK}\n" in wifi.read_text()
    assert stat.S_IMODE(wifi.stat().st_mode) == 0o600, "NetworkManager reads no other"
    assert "address1=192.0.2.17/24" in (wifi.with_name("edge-reid-cable.nmconnection").read_text())
    assert stat.S_IMODE((bookworm.root / STATE).stat().st_mode) == 0o700


def test_the_radio_is_switched_on_where_pi_os_has_it_off(
    bookworm: CardDevice, tmp_path: Path
) -> None:
    seeded(bookworm, order(tmp_path, "pi-bookworm"))
    switches = bookworm.root / "var/lib/systemd/rfkill", bookworm.root / "var/lib/NetworkManager"
    for folder in switches:
        folder.mkdir(parents=True, exist_ok=True)
    (switches[0] / "platform-fe300000.mmcnr:wlan").write_text("1\n", encoding="ascii")
    (switches[1] / "NetworkManager.state").write_text("[main]\nWirelessEnabled=false\n")
    bookworm.start()
    assert (switches[0] / "platform-fe300000.mmcnr:wlan").read_text() == "0\n"
    assert (switches[1] / "NetworkManager.state").read_text() == "[main]\nWirelessEnabled=true\n"


def test_the_second_start_installs_and_tidies_up(bookworm: CardDevice, tmp_path: Path) -> None:
    seeded(bookworm, order(tmp_path, "pi-bookworm")).start()
    assert bookworm.is_enabled
    bookworm.start()
    assert bookworm.log == DONE + INSTALLED
    assert (bookworm.root / "installed").read_text() == "once\n"
    assert not (bookworm.root / STATE).exists()
    assert not bookworm.is_enabled
    bookworm.start()
    assert (bookworm.root / "installed").read_text() == "once\n"


def test_an_installer_that_fails_is_tried_again_at_the_next_start(
    bookworm: CardDevice, tmp_path: Path
) -> None:
    seeded(bookworm, order(tmp_path, "pi-bookworm", BROKEN)).start()
    bookworm.start()
    assert bookworm.log[-1] == "FAILED: install: install: the doctor says no"
    assert bookworm.is_enabled
    assert secrets_on(bookworm.boot) == []


@pytest.mark.parametrize(
    "program", ["cat", "cp", "sha256sum", "useradd", "install", "systemctl", "shred", "sed", "mv"]
)
def test_power_may_go_at_any_moment(bookworm: CardDevice, tmp_path: Path, program: str) -> None:
    seeded(bookworm, order(tmp_path, "pi-bookworm"))
    bookworm.loses_power_at(program)
    for _ in range(4):
        bookworm.start()
    assert not (bookworm.root / "usr/local/bin" / program).exists(), "the power did go"
    assert (bookworm.root / "installed").read_text() == "once\n"
    assert bookworm.log[-1] == INSTALLED[-1]
    assert secrets_on(bookworm.boot) == []
    assert "systemd.run" not in (bookworm.boot / "cmdline.txt").read_text()
    assert (bookworm.root / "home/installer/.ssh/authorized_keys").exists()


def test_power_that_goes_while_it_installs(bookworm: CardDevice, tmp_path: Path) -> None:
    seeded(bookworm, order(tmp_path, "pi-bookworm")).start()
    bookworm.has("usr/local/bin/python3", "rm -f /usr/local/bin/python3\nkill -9 $PPID")
    for _ in range(2):
        bookworm.start()
    assert bookworm.log[-1] == INSTALLED[-1]
    assert (bookworm.root / "installed").read_text() == "once\n"


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("useradd", "FAILED: user installer, who logs in with a key"),
        ("cp", "FAILED: take everything off the boot partition"),
        ("systemctl", "FAILED: install when the system is up"),
        ("ln", "FAILED: time zone Europe/Berlin"),
    ],
)
def test_a_step_that_fails_is_said_and_no_secret_stays(
    bookworm: CardDevice, tmp_path: Path, program: str, said: str
) -> None:
    seeded(bookworm, order(tmp_path, "pi-bookworm"))
    bookworm.has(f"usr/local/bin/{program}", "exit 1")
    bookworm.start()
    assert said in bookworm.log
    assert "no secret is left on this partition" not in bookworm.log
    assert secrets_on(bookworm.boot) == []
    assert "systemd.run" not in (bookworm.boot / "cmdline.txt").read_text()


def test_a_script_that_breaks_off_leaves_no_secret(bookworm: CardDevice, tmp_path: Path) -> None:
    seeded(bookworm, order(tmp_path, "pi-bookworm"))
    (bookworm.boot / "edge-reid/settings").unlink()
    bookworm.start()
    assert secrets_on(bookworm.boot) == []
    assert "systemd.run" not in (bookworm.boot / "cmdline.txt").read_text()


def test_a_bundle_that_was_damaged_on_the_card_is_not_installed(
    bookworm: CardDevice, tmp_path: Path
) -> None:
    seeded(bookworm, order(tmp_path, "pi-bookworm"))
    tar = bookworm.boot / "edge-reid/box.tar"
    tar.write_bytes(tar.read_bytes().replace(b'site = "lab"', b'site = "bal"'))
    bookworm.start()
    assert "FAILED: take everything off the boot partition" in bookworm.log
    assert "FAILED: install when the system is up" in bookworm.log
    bookworm.start()
    assert not (bookworm.root / "installed").exists()
    assert secrets_on(bookworm.boot) == []


def test_pi_os_own_programs_are_asked_where_they_are(bookworm: CardDevice, tmp_path: Path) -> None:
    """`userconf` renames the first user and calls off the wizard; raspi-config knows radios."""
    seeded(bookworm, order(tmp_path, "pi-bookworm"))
    bookworm.run("useradd", "--create-home", "pi")
    bookworm.has(
        "usr/lib/userconf-pi/userconf",
        'usermod -l "$1" pi && usermod -m -d "/home/$1" "$1"; echo "$*" >/userconf',
    )
    bookworm.has("usr/local/bin/raspi-config", 'echo "$*" >/raspi-config')
    bookworm.start()
    assert bookworm.log == DONE
    assert (bookworm.root / "userconf").read_text() == "installer *\n"
    assert (bookworm.root / "raspi-config").read_text() == "nonint do_wifi_country DE\n"
    assert bookworm.run("id", "pi") != 0
    assert (bookworm.root / "home/installer/.ssh/authorized_keys").exists()


def test_cloud_init_starts_the_same(trixie: CardDevice, tmp_path: Path) -> None:
    seeded(trixie, order(tmp_path, "pi-trixie"))
    assert not (trixie.boot / "firstrun.sh").exists()
    assert "systemd.run" not in (trixie.boot / "cmdline.txt").read_text()
    user_data = (trixie.boot / "user-data").read_text().removeprefix("#cloud-config\n")
    (command,) = json.loads(user_data)["runcmd"]
    trixie.start_by_cloud_init(command)
    trixie.start()
    assert trixie.log == DONE + INSTALLED
    assert secrets_on(trixie.boot) == []
    # without them cloud-init would take the next start for the first of another machine
    assert {"user-data", "meta-data", "network-config"} < {p.name for p in trixie.boot.iterdir()}
    assert "ds=nocloud;i=edge-reid-" in (trixie.boot / "cmdline.txt").read_text()


def test_a_bundle_that_was_changed_between_two_starts_is_not_installed(
    bookworm: CardDevice, tmp_path: Path
) -> None:
    seeded(bookworm, order(tmp_path, "pi-bookworm")).start()
    tar = bookworm.root / STATE / "box.tar"
    tar.write_bytes(tar.read_bytes().replace(b'open("a")', b'open("w")'))
    bookworm.start()
    assert bookworm.log[-1].startswith("FAILED: the bundle here is not the one that was put onto")
    assert not (bookworm.root / "installed").exists()
