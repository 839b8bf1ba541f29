"""`edge-reid flash --boot …`: a card that Raspberry Pi Imager has written."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from support.cards import CMDLINE, boot_folder
from support.flashing import CARRIED, PASSWORD, PSK, Job, edge_reid, job
from support.sites import SITE, WIFI


@pytest.fixture
def trixie(tmp_path: Path) -> Path:
    return boot_folder(tmp_path / "bootfs", cloud_init=True)


@pytest.fixture
def bookworm(tmp_path: Path) -> Path:
    return boot_folder(tmp_path / "bootfs", cloud_init=False)


@pytest.fixture
def order(tmp_path: Path) -> Job:
    return job(tmp_path / "site")


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(it.relative_to(folder)): it.read_bytes() for it in folder.rglob("*") if it.is_file()
    }


def cloud_config(folder: Path, name: str) -> dict[str, object]:
    text = (folder / name).read_text(encoding="utf-8")
    loaded: dict[str, object] = json.loads(text.removeprefix("#cloud-config\n"))
    return loaded


def test_an_image_with_cloud_init_is_told_by_its_files(order: Job, trixie: Path) -> None:
    done = order.flash("--boot", trixie)
    assert done.code == 0, done.err
    user_data = cloud_config(trixie, "user-data")
    assert user_data["hostname"] == "camera-17"
    assert user_data["timezone"] == "Europe/Berlin"
    assert user_data["ssh_pwauth"] is False
    (user,) = user_data["users"]  # type: ignore[misc, attr-defined]
    assert user["name"] == "installer"
    assert user["lock_passwd"] is True
    assert user["ssh_authorized_keys"] == ["ssh-ed25519 AAAA me@laptop"]
    network = cloud_config(trixie, "network-config")
    assert network["ethernets"] == {
        "eth0": {
            "optional": True,
            "dhcp4": False,
            "addresses": ["192.0.2.17/24"],
            "routes": [{"to": "default", "via": "192.0.2.1"}],
            "nameservers": {"addresses": ["192.0.2.1"]},
        }
    }
    instance = cloud_config(trixie, "meta-data")["instance-id"]
    line = (trixie / "cmdline.txt").read_text(encoding="utf-8")
    assert line == (
        f"{CMDLINE.strip()} ds=nocloud;i={instance} cfg80211.ieee80211_regdom=DE "
        "cgroup_enable=memory\n"
    )


def test_cloud_init_itself_accepts_what_it_is_told(order: Job, trixie: Path) -> None:
    if (program := shutil.which("cloud-init")) is None:
        pytest.skip("cloud-init is not installed, and should not be on a machine that one keeps")
    assert order.flash("--boot", trixie).code == 0
    done = subprocess.run(
        [program, "schema", "--config-file", trixie / "user-data"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Valid" in done.stdout


def test_an_image_without_cloud_init_gets_a_script_for_its_first_start(
    tmp_path: Path, bookworm: Path
) -> None:
    done = job(tmp_path / "site", "pi-bookworm").flash("--boot", bookworm)
    assert done.code == 0, done.err
    line = (bookworm / "cmdline.txt").read_text(encoding="utf-8")
    assert line == (
        f"{CMDLINE.strip()} cfg80211.ieee80211_regdom=DE cgroup_enable=memory "
        "systemd.run=/boot/firmware/firstrun.sh systemd.run_success_action=reboot "
        "systemd.run_failure_action=reboot systemd.unit=kernel-command-line.target\n"
    )
    assert (bookworm / "cmdline.txt.before-edge-reid").read_text(encoding="utf-8") == CMDLINE
    assert (bookworm / "firstrun.sh").exists()
    assert not (bookworm / "user-data").exists()


@pytest.mark.parametrize("target", ["pi-bookworm", "pi-trixie"])
def test_the_same_again_writes_nothing(tmp_path: Path, target: str) -> None:
    boot = boot_folder(tmp_path / "bootfs", cloud_init=target == "pi-trixie")
    order = job(tmp_path / "site", target)
    assert order.flash("--boot", boot).code == 0
    before = contents(boot)
    times = {path: path.stat().st_mtime_ns for path in boot.rglob("*")}
    again = order.flash("--boot", boot)
    assert again.code == 0
    assert "already: nothing to write" in again.out
    assert contents(boot) == before
    assert {path: path.stat().st_mtime_ns for path in boot.rglob("*")} == times


def test_a_changed_password_is_another_installation_for_cloud_init(
    order: Job, trixie: Path
) -> None:
    assert order.flash("--boot", trixie).code == 0
    first = cloud_config(trixie, "meta-data")["instance-id"]
    (order.config.parent / "wifi.password").write_text("another password\n", encoding="utf-8")
    assert order.flash("--boot", trixie).code == 0
    second = cloud_config(trixie, "meta-data")["instance-id"]
    assert first != second
    line = (trixie / "cmdline.txt").read_text(encoding="utf-8")
    assert f"i={second} " in line
    assert f"i={first} " not in line
    assert (trixie / "cmdline.txt.before-edge-reid").read_text(encoding="utf-8") == CMDLINE


def test_what_another_seed_left_is_not_taken_for_ours(tmp_path: Path, trixie: Path) -> None:
    assert job(tmp_path / "site").flash("--boot", trixie).code == 0
    assert (trixie / "edge-reid/wifi.nmconnection").exists()
    table = SITE[SITE.index("[wifi]") : SITE.index("[ssh]")]
    without = job(tmp_path / "other", text=SITE.replace(table, ""))
    assert without.flash("--boot", trixie).code == 0
    assert not (trixie / "edge-reid/wifi.nmconnection").exists()


def test_the_bundle_lies_there_as_a_plain_tar(order: Job, trixie: Path) -> None:
    assert order.flash("--boot", trixie).code == 0
    listed = subprocess.run(
        ["tar", "-tf", trixie / "edge-reid/box.tar"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert listed[:2] == ["edge-reid-bundle/manifest.json", "edge-reid-bundle/manifest.sig"]
    assert set(listed[2:]) == {f"edge-reid-bundle/{path}" for path in CARRIED}


def test_a_dry_run_writes_nothing_and_shows_no_secret(order: Job, trixie: Path) -> None:
    before = contents(trixie)
    done = order.flash("--boot", trixie, "--dry-run")
    assert done.code == 0, done.err
    assert contents(trixie) == before
    assert "cmdline.txt: console=serial0" in done.out
    assert done.out.count("secret: wiped at first boot") == 2
    assert PASSWORD not in done.out + done.err
    assert PSK not in done.out + done.err


def test_the_password_itself_is_nowhere_on_the_card(order: Job, trixie: Path) -> None:
    done = order.flash("--boot", trixie)
    assert PASSWORD not in done.out + done.err
    assert PSK not in done.out + done.err
    assert not [name for name, body in contents(trixie).items() if PASSWORD.encode() in body]


def test_a_password_is_asked_for_when_no_file_has_it(
    tmp_path: Path, trixie: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking = job(tmp_path / "site", text=SITE.replace('password_file = "wifi.password"\n', ""))
    done = asking.flash("--boot", trixie)
    assert done.code == 2
    assert f"Password of Wi-Fi {WIFI}: cannot be asked for without a terminal" in done.complaint
    assert "edge-reid" not in {path.name for path in trixie.iterdir()}
    answered = _with_keyboard(asking, trixie, f"{PASSWORD}\n")
    assert f"Password of Wi-Fi {WIFI}:" in answered
    assert PASSWORD not in answered, "it does not show"
    assert PSK.encode() in (trixie / "edge-reid/wifi.nmconnection").read_bytes()


def _with_keyboard(order: Job, boot: Path, typed: str) -> str:
    """Run it on a terminal of its own and type; what the terminal showed."""
    import pty
    import sys

    words = ("--config", order.config, "--device", order.device, "--bundle", order.bundle)
    program = "from edge_reid.cli.main import main; main()"
    command = [sys.executable, "-c", program, "flash", *map(str, words), "--boot", str(boot)]
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(command[0], command)
    shown = b""
    while b"Password of" not in shown:
        shown += os.read(terminal, 1024)
    os.write(terminal, typed.encode())
    try:
        while piece := os.read(terminal, 1024):
            shown += piece
    except OSError:  # it is gone
        pass
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, shown
    return shown.decode(errors="replace")


def test_help_says_the_three_ways() -> None:
    shown = edge_reid("flash", "--help")
    assert shown.code == 0
    for option in ("--image", "--card", "--boot", "--host", "--dry-run", "--really"):
        assert option in shown.out
