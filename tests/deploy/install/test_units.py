"""The unit files, as systemd itself reads them."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from support import real_bundles
from support.requirements import absent

UNITS = real_bundles.DEPLOY / "systemd"
WORST_EXPOSURE = 1.5
SYSTEM_UNITS = Path("/usr/lib/systemd/system")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """`/` of a device, as far as units look at it."""
    if shutil.which("systemd-analyze") is None:
        absent("systemd-analyze (Debian: apt install systemd)")
    shutil.copytree(SYSTEM_UNITS, tmp_path / "usr/lib/systemd/system", symlinks=True)
    (tmp_path / "lib").symlink_to("usr/lib")
    shutil.copytree(UNITS, tmp_path / "etc/systemd/system")
    for program in ("opt/edge-reid/current/bin/edge-reid", "usr/bin/python3", "bin/sh"):
        path = tmp_path / program
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o755)
    shutil.copy(tmp_path / "bin/sh", tmp_path / "bin/systemctl")
    return tmp_path


def analyze(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    program = ["systemd-analyze", words[0], f"--root={root}", *words[1:]]
    return subprocess.run(program, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "unit",
    [
        *("edge-reid@gate.service", "edge-reid.target", "edge-reid-guard.service"),
        *("edge-reid-fetch.service", "edge-reid-fetch.timer"),
        *("edge-reid-install.service", "edge-reid-install.path"),
    ],
)
def test_systemd_finds_nothing_to_complain_about(root: Path, unit: str) -> None:
    verified = analyze(root, "verify", unit)
    ours = [line for line in verified.stderr.splitlines() if "edge" in line]
    assert (verified.returncode, ours) == (0, [])


def test_a_mistake_in_a_unit_would_be_found(root: Path) -> None:
    unit = root / "etc/systemd/system/edge-reid@.service"
    unit.write_text(unit.read_text() + "\n[Service]\nRestartSec=soon\n")
    assert "edge-reid@.service" in analyze(root, "verify", "edge-reid@gate.service").stderr


@pytest.mark.parametrize("unit", ["edge-reid@gate.service", "edge-reid-fetch.service"])
def test_what_talks_to_the_network_is_exposed_little(root: Path, unit: str) -> None:
    told = analyze(root, "security", "--offline=true", unit)
    found = re.search(rf"exposure level for {unit}: ([\d.]+)", told.stdout)
    assert found, told.stderr
    assert float(found[1]) <= WORST_EXPOSURE


def test_a_decoder_may_give_up_its_rights() -> None:
    """`@system-service` lacks Landlock, and who may not ask for it would decode unconfined."""
    unit = (UNITS / "edge-reid@.service").read_text()
    allowed = re.findall(r"^SystemCallFilter=([^~].*)$", unit, re.MULTILINE)
    asked_for = {f"landlock_{name}" for name in ("create_ruleset", "add_rule", "restrict_self")}
    assert asked_for <= {name for line in allowed for name in line.split()}


def test_the_wait_before_a_start_doubles_and_ends(tmp_path: Path) -> None:
    """`sleep` writes down for how long, in place of sleeping."""
    waits = tmp_path / "waits"
    (tmp_path / "sleep").write_text(f'#!/bin/sh\necho "$1" >>{waits}\n')
    (tmp_path / "sleep").chmod(0o755)
    for _ in range(9):
        start(tmp_path)
    assert waits.read_text().split() == ["0", "2", "4", "8", "16", "32", "64", "64", "64"]
    an_hour_ago = ["touch", "-d", "1 hour ago", tmp_path / "starts"]
    subprocess.run(an_hour_ago, check=True)
    start(tmp_path)
    assert waits.read_text().split()[-1] == "0", "who has lived long begins anew"
    (tmp_path / "starts").write_text("")  # a kill or a full /run came between opening and writing
    start(tmp_path)
    start(tmp_path)
    assert waits.read_text().split()[-2:] == ["0", "2"], "it starts all the same"


def start(folder: Path) -> None:
    environment = {"RUNTIME_DIRECTORY": str(folder), "PATH": f"{folder}:/usr/bin:/bin"}
    subprocess.run(["sh", UNITS / "back-off.sh"], env=environment, check=True)
