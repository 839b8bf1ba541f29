"""A bundle of the real wheels, for a device like this machine: made twice, installed, tried."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
from support import real_bundles
from support.sites import SITE, equip

TARGET = "debian-x86"
IS_SUCH_A_BOX = sys.version_info[:2] == (3, 11) and platform.machine() == "x86_64"
CLIP = Path(__file__).parents[2] / "data" / "campus.mp4"


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_a_real_bundle_is_the_same_bytes_again_and_installs_without_an_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, edge_reid
):
    text = SITE.replace('target = "pi-trixie"', f'target = "{TARGET}"')
    text = text.replace("rtsp://gate/stream", str(CLIP))
    config = equip(tmp_path, text)
    key = tmp_path / "keys" / "release-signing.key"
    words = ("bundle", "--config", config, "--device", "gate-1", "--key", key)
    words = (*words, "--cache", tmp_path / "cache", "--lock", tmp_path / "lock")
    first, again = tmp_path / "first.tar.zst", tmp_path / "again.tar.zst"
    outcome = edge_reid(*words, "--out", first)
    assert outcome.code == 0, outcome.err
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    assert edge_reid(*words, "--out", again).code == 0
    assert first.read_bytes() == again.read_bytes()
    if IS_SUCH_A_BOX:
        real_bundles.unpack(first, tmp_path / "unpacked")
        ask_the_doctor(tmp_path / "unpacked", tmp_path / "venv")


def ask_the_doctor(bundle: Path, venv: Path) -> None:
    """Of an environment with nothing but the bundle's wheels, installed by the bundle's pip."""
    environment = {it: value for it, value in os.environ.items() if it != "PYTHONPATH"}

    def run(*words: object) -> str:
        done = subprocess.run(
            list(map(str, words)), env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run(sys.executable, "-m", "venv", "--without-pip", venv)
    wheels = sorted((bundle / "wheels").glob("*.whl"))
    (pip,) = (it for it in wheels if it.name.startswith("pip-"))
    words = ("install", "--no-index", "--no-deps", "--no-compile", *wheels)
    run(venv / "bin" / "python", f"{pip}/pip", *words)
    assert "all well" in run(venv / "bin" / "edge-reid", "doctor")
