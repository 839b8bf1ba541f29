"""A release on the disk: its own virtual environment, models and units."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
import venv
from collections.abc import Sequence
from pathlib import Path

from device_paths import DevicePaths
from install_errors import InstallError
from install_progress import Steps
from unpacked_bundle import UnpackedBundle

PARTIAL = ".partial"
KEPT = 2
"""Releases on the disk: the one that runs and the one before."""


def build(bundle: UnpackedBundle, device: DevicePaths, steps: Steps) -> Path:
    """Build the release of a bundle, unless it is there; returns its folder.

    It is built beside and renamed when it is whole and on the disk.

    Raises:
        InstallError: pip does not take the wheels, or the disk is full.
    """
    final = device.releases / bundle.version
    partial = device.releases / (bundle.version + PARTIAL)
    if final.exists():
        _check_same(bundle, final)
        return final
    try:
        device.releases.mkdir(parents=True, exist_ok=True)
        _fill(bundle, partial, final, steps)
        os.sync()
        partial.rename(final)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise InstallError(f"{partial}: {error.strerror}; nothing was changed") from error
    except InstallError:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return final


def _check_same(bundle: UnpackedBundle, release: Path) -> None:
    """One version is one release; only what is configured may differ."""
    there = UnpackedBundle.open(release)
    if there.programs != bundle.programs:
        raise InstallError(
            f"release {bundle.version}: is installed here with other programs or models; give the "
            "bundle a version of its own"
        )


def sweep(device: DevicePaths) -> None:
    """Remove what an installation that was cut off has left."""
    for left in device.releases.glob(f"*{PARTIAL}"):
        shutil.rmtree(left)


def prune(device: DevicePaths) -> None:
    """Keep the release that runs and the newest other one."""
    running = device.current_version()
    others = [
        folder for folder in device.releases.iterdir() if folder.name != running and folder.is_dir()
    ]
    others.sort(key=lambda folder: folder.stat().st_mtime, reverse=True)
    for old in others[KEPT - 1 :]:
        doomed = old.with_name(old.name + PARTIAL)  # cut off half-way, it is no release any more
        old.rename(doomed)
        shutil.rmtree(doomed)


def _fill(bundle: UnpackedBundle, partial: Path, final: Path, steps: Steps) -> None:
    venv.EnvBuilder(symlinks=True, with_pip=False).create(partial)
    _install_wheels(bundle, partial, steps)
    for folder in ("models", "systemd", "install"):
        for file in bundle.below(folder):
            copy = partial / file.relative_to(bundle.folder)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copy)
            copy.chmod(0o644)
    manifest = partial / bundle.manifest.name
    manifest.touch(mode=0o600)
    shutil.copyfile(bundle.manifest, manifest)
    steps.say("compiling")
    _compile(partial, final)
    _relocate(partial, final)


def _install_wheels(bundle: UnpackedBundle, partial: Path, steps: Steps) -> None:
    """By the pip that travels with the bundle: the device may have none."""
    wheels = [file for file in bundle.below("wheels") if file.suffix == ".whl"]
    pip = next((wheel for wheel in wheels if wheel.name.startswith("pip-")), None)
    if pip is None:
        raise InstallError("bundle: expected pip's own wheel in wheels/, got none; make it anew")
    _check_has_own(wheels)
    python = partial / "bin/python"
    words = [python, "-I", f"{pip}/pip", "--isolated", "install", "--no-index", "--no-compile"]
    words += ["--no-cache-dir", "--disable-pip-version-check", "--quiet", "--no-input"]
    words += ["--root-user-action", "ignore", "--no-deps"]  # who made the bundle chose them all
    words += [wheel for wheel in wheels if wheel != pip]
    with (
        steps.progress(f"installing {len(wheels) - 1} packages", len(wheels) - 1) as passed,
        tempfile.TemporaryFile("w+", errors="replace") as said,  # a pipe may fill, and pip wait
        subprocess.Popen([str(word) for word in words], stderr=said) as process,
    ):
        seen = 0
        while process.poll() is None:
            installed = len(list(partial.glob("lib/python*/site-packages/*.dist-info")))
            passed(installed - seen)
            seen = installed
            time.sleep(0.3)
        said.seek(0)
        complaint = said.read().strip()
    if process.returncode:
        last = next(
            (line for line in reversed(complaint.splitlines()) if "ERROR" in line), complaint
        )
        raise InstallError(f"pip: {last}; make the bundle anew, nothing was changed")


def _check_has_own(wheels: Sequence[Path]) -> None:
    if not any(wheel.name.startswith("edge_reid-") for wheel in wheels):
        raise InstallError(
            "bundle: expected edge-reid's own wheel in wheels/, got none; make it anew"
        )


def _relocate(partial: Path, final: Path) -> None:
    """Let the programs of a virtual environment name the folder that it will be in."""
    for program in (*(partial / "bin").iterdir(), partial / "pyvenv.cfg"):
        if program.is_symlink() or not program.is_file():
            continue
        body = program.read_bytes()
        program.write_bytes(body.replace(os.fsencode(partial), os.fsencode(final)))


def _compile(partial: Path, final: Path) -> None:
    """Once, here: the agents may write nothing beside their code. What does not compile is no code
    that anybody imports, such as a template.
    """
    python, library = str(partial / "bin/python"), str(partial / "lib")
    moved = ["-s", str(partial), "-p", str(final)]  # tracebacks name the files where they will be
    words = [python, "-I", "-m", "compileall", "-q", *moved, library]
    subprocess.run(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
