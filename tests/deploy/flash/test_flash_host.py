"""`edge-reid flash --host …` over a real sshd; the device is a root file system of its own."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.cards import small_disk, tool
from support.first_boots import CardDevice, new_device
from support.flashing import AGENT_KEY, CARRIED, Job, job
from support.requirements import absent
from support.ssh_server import PASSWORD, Server, ssh_server

from deploy.bundle.bundle_writer import Content

INSTALLER = """
import os
import shutil
from pathlib import Path

assert os.geteuid() == 0
print("checking the parcel", flush=True)
release = Path("/opt/edge-reid/releases/1.0")
release.mkdir(parents=True)
shutil.copy("manifest.json", release)
Path("/opt/edge-reid/current").symlink_to(release)
print("edge-reid 1.0 is installed")
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with (
        new_device(tmp_path / "device", cloud_init=False) as device,
        ssh_server(device, tmp_path / "ssh") as server,
    ):
        yield server


def order(folder: Path, installer: str = INSTALLER, **said: str) -> Job:
    """A bundle for the Python that the device has."""
    version = subprocess.run(
        ["/usr/bin/python3", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    contents = CARRIED | {"install/install.py": Content(installer.encode())}
    return job(folder / "site", "debian-x86", contents=contents, **{"python": version, **said})


def at(server: Server, user: str = "root") -> tuple[object, ...]:
    return "--host", f"{user}@127.0.0.1", "--ssh-config", server.config


def installed(device: CardDevice) -> bool:
    return (device.root / "opt/edge-reid/current/manifest.json").exists() or (
        device.root / "opt/edge-reid/releases/1.0/manifest.json"
    ).exists()


def left_over(device: CardDevice) -> list[Path]:
    """Secrets that lie about on the device."""
    folders = (device.root / "var/tmp").glob("edge-reid*")
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return [path for path in files if AGENT_KEY in path.read_bytes()]


@pytest.mark.parametrize("user", ["root", "installer"])
def test_a_device_in_the_field_is_installed_and_then_there_is_nothing_to_do(
    server: Server, tmp_path: Path, user: str
) -> None:
    if user != "root" and shutil.which("sudo") is None:
        absent("sudo (Debian: apt install sudo)")
    job = order(tmp_path)
    done = job.flash(*at(server, user))
    assert done.code == 0, done.err
    assert "  checking the parcel\n  edge-reid 1.0 is installed\n" in done.out
    assert "done: gate-1 runs release 1.0" in done.out
    assert installed(server.device)
    assert left_over(server.device) == []
    again = job.flash(*at(server, user))
    assert again.code == 0, again.err
    assert "nothing to do: this very release is installed" in again.out
    assert "checking the parcel" not in again.out


def test_the_password_of_sudo_goes_through_a_pipe(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shutil.which("sudo") is None:
        absent("sudo (Debian: apt install sudo)")
    job = order(tmp_path)
    done = job.flash(*at(server, "guard"))
    assert done.code == 2
    assert "Password of sudo on guard@127.0.0.1: cannot be asked for" in done.complaint
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("getpass.getpass", lambda _: PASSWORD)
    done = job.flash(*at(server, "guard"))
    assert done.code == 0, done.err
    assert installed(server.device)
    assert PASSWORD not in done.out + done.err


def test_a_dry_run_leaves_the_device_alone(server: Server, tmp_path: Path) -> None:
    done = order(tmp_path).flash(*at(server), "--dry-run")
    assert done.code == 0, done.err
    assert "would send" in done.out
    assert not installed(server.device)
    assert list((server.device.root / "var/tmp").glob("edge-reid*")) == []


def test_an_installer_that_fails_is_quoted_and_no_secret_stays(
    server: Server, tmp_path: Path
) -> None:
    job = order(tmp_path, "raise SystemExit('install: the doctor says no')")
    done = job.flash(*at(server))
    assert done.code == 1
    assert "the installer failed: install: the doctor says no" in done.complaint
    assert left_over(server.device) == []


def test_what_a_power_cut_left_there_is_removed_unless_an_installer_is_at_work_on_it(
    server: Server, tmp_path: Path
) -> None:
    abandoned, at_work = (
        server.device.root / f"var/tmp/edge-reid-install.{name}" for name in ("before", "lost")
    )
    for folder in (abandoned, at_work):
        folder.mkdir()
        (folder / "agent.key").write_bytes(AGENT_KEY)
    descriptor = os.open(at_work, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        done = order(tmp_path).flash(*at(server))
    finally:
        os.close(descriptor)
    assert done.code == 0, done.err
    assert left_over(server.device) == [at_work / "agent.key"]


def test_a_bundle_is_locked_while_its_installer_is_at_work(server: Server, tmp_path: Path) -> None:
    installer = (
        "import subprocess\n"
        "folder = str(Path.cwd().parent)\n"
        "assert subprocess.call(['flock', '-n', folder, 'true']) == 1\n"
    )
    done = order(tmp_path, INSTALLER + installer).flash(*at(server))
    assert done.code == 0, done.complaint


def test_an_installer_that_claims_more_than_it_did_is_found_out(
    server: Server, tmp_path: Path
) -> None:
    done = order(tmp_path, "print('all well')").flash(*at(server))
    assert done.code == 1
    assert "the installer ended well, and another release is in force" in done.complaint


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        ({"machine": "aarch64"}, "on aarch64, as debian-x86 has, got Python"),
        ({"python": "3.9"}, "expected Python 3.9 on"),
    ],
)
def test_a_bundle_for_another_machine_is_not_sent(
    server: Server, tmp_path: Path, said: dict[str, str], complaint: str
) -> None:
    done = order(tmp_path, **said).flash(*at(server))
    assert done.code == 1
    assert complaint in done.complaint
    assert not installed(server.device)


def test_a_full_device_is_said_before_anything_is_sent(server: Server, tmp_path: Path) -> None:
    with small_disk(server.device.root / "var/tmp/full", 64 << 10) as full:
        tool("mount", "--bind", full, server.device.root / "var/tmp")
        try:
            done = order(tmp_path).flash(*at(server))
        finally:
            tool("umount", server.device.root / "var/tmp")
    assert done.code == 1
    assert re.search(r"expected [\d.]+ MB of room in /var/tmp, got 0.1 MB", done.complaint)
    assert not installed(server.device)


def test_a_folder_that_somebody_else_has_put_there_is_not_used(
    server: Server, tmp_path: Path
) -> None:
    trap = server.device.root / "var/tmp/edge-reid-0"
    (server.device.root / "var/tmp/elsewhere").mkdir()
    trap.symlink_to("/var/tmp/elsewhere")
    done = order(tmp_path).flash(*at(server))
    assert done.code == 1
    assert "the bundle could not be written there" in done.complaint
    assert list((server.device.root / "var/tmp/elsewhere").iterdir()) == []


def test_a_device_whose_key_has_changed_is_not_talked_to(server: Server, tmp_path: Path) -> None:
    other = (server.folder / "user.pub").read_text(encoding="ascii")
    server.known_hosts.write_text(f"[127.0.0.1]:{server.port} {other}", encoding="ascii")
    done = order(tmp_path).flash(*at(server))
    assert done.code == 1
    assert "ssh could not reach it" in done.complaint
    assert not installed(server.device)


def test_a_device_that_is_lost_half_way_is_said(server: Server, tmp_path: Path) -> None:
    """The connection's own process goes, as when the network does."""
    lost = (
        "import os, signal, time\n"
        "pid = os.getppid()\n"
        "while b'sshd' not in open(f'/proc/{pid}/cmdline', 'rb').read():\n"
        "    pid = int(open(f'/proc/{pid}/stat').read().rsplit(')', 1)[1].split()[1])\n"
        "os.kill(pid, signal.SIGKILL)\n"
        "time.sleep(1)\n"
    )
    done = order(tmp_path, lost).flash(*at(server))
    assert done.code == 1
    assert "ssh could not reach it, or lost it" in done.complaint


@pytest.mark.parametrize(
    ("host", "code"),
    [
        ("-oProxyCommand=touch${IFS}evil", 2),
        ("", 2),
        ("root@127.0.0.1 touch evil", 2),
        ("root@127.0.0.1;touch${IFS}evil", 1),
        ("$(touch${IFS}evil)", 1),
    ],
)
def test_a_destination_is_never_a_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str, code: int
) -> None:
    job = order(tmp_path)
    monkeypatch.chdir(tmp_path)
    before = {path.name for path in tmp_path.iterdir()}
    (tmp_path / "config").write_text("Host *\n BatchMode yes\n", encoding="ascii")
    done = job.flash(f"--host={host}", "--ssh-config", tmp_path / "config")
    assert done.code == code
    assert done.complaint
    assert {path.name for path in tmp_path.iterdir()} == before | {"config"}


def test_root_installs_only_what_arrived(server: Server, tmp_path: Path) -> None:
    """The user who was sent it may change it; here, while sudo is asked for."""
    if shutil.which("sudo") is None:
        absent("sudo (Debian: apt install sudo)")
    tar = "/var/tmp/edge-reid-$(id -u installer)/box.tar"
    server.device.has("usr/local/bin/sudo", f'echo x >>"{tar}"\nexec /usr/bin/sudo "$@"')
    done = order(tmp_path).flash(*at(server, "installer"))
    assert done.code == 1
    assert "the bundle was changed there after it had arrived" in done.complaint
    assert not installed(server.device)
    assert left_over(server.device) == []
