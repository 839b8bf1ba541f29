"""A folder that stands for a device, and bundles for it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from support import real_bundles

HERE = Path(__file__).parent
PYTHON = str(Path(sys.base_prefix) / "bin/python3")
"""As on a device: outside every virtual environment."""


@dataclass(frozen=True)
class Outcome:
    """How an installer ended."""

    code: int
    said: str

    @property
    def complaint(self) -> str:
        lines = [line for line in self.said.splitlines() if line.startswith("error: ")]
        assert len(lines) == 1, self.said
        return lines[0]


class DeviceRoot:
    """`/` of a device, in a folder."""

    __test__ = False

    def __init__(self, root: Path, pip: Path, bundles: Path) -> None:
        self.root = root
        self.pip = pip
        self._bundles = bundles
        self._programs = bundles / "programs"
        self.home = root / "opt/edge-reid"
        self.config = root / "etc/edge-reid/gate.toml"

    def bundle(
        self,
        version: str,
        behaviour: str = "well",
        *,
        cameras: Iterable[str] | Mapping[str, str] = ("gate",),
        secrets: dict[str, bytes] | None = None,
        units: Iterable[str] = (),
        **claims: str | None,
    ) -> Path:
        """Cameras are called `NAME`, or `BOX/NAME`, and may have lines of their own for their
        configuration; secrets are a key and a CA if not said.
        """
        program = (HERE / "small_agent.py").read_text()
        program = program.replace("{version}", version).replace("{behaviour}", behaviour)
        wheel = real_bundles.small_wheel(self._bundles / "wheels", version, program)
        text = f'# for {version}\nmodel = "{self.home}/current/models/x.tflite"\n'
        folder = real_bundles.unpack_into(
            self._bundles / version,
            version,
            [self.pip, wheel],
            configs={
                camera: text + (cameras[camera] if isinstance(cameras, Mapping) else "")
                for camera in cameras
            },
            secrets=self.secrets(version) if secrets is None else secrets,
        )
        for unit in units:
            (folder / "systemd" / unit).write_text("[Unit]\n")
        real_bundles.write_manifest(folder, version, **claims)
        return folder

    @staticmethod
    def secrets(version: str) -> dict[str, bytes]:
        return {"agent.key": f"key of {version}".encode(), "ca.crt": b"ca"}

    def install(self, bundle: Path, *words: str, umask: int = -1) -> Outcome:
        done = self.start(bundle, *words, umask=umask)
        _, said = done.communicate(timeout=120)
        return Outcome(done.returncode, said)

    def start(self, bundle: Path, *words: str, umask: int = -1) -> subprocess.Popen[str]:
        program = [PYTHON, str(bundle / "install/install.py"), "--root", str(self.root), *words]
        return subprocess.Popen(
            program,
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
            env=self._environment,
            umask=umask,
            start_new_session=True,
        )

    @property
    def _environment(self) -> dict[str, str]:
        path = f"{self._programs}:{os.environ['PATH']}"
        return os.environ | {"PATH": path, "PYTHONDONTWRITEBYTECODE": "1"}

    def boot(self) -> None:
        """What the guard does before any agent starts."""
        journal = self.home / "journal.py"
        if journal.exists():
            words = [PYTHON, "-I", journal, "--root", self.root]
            subprocess.run(words, check=True, env=self._environment)

    def run_systemd(self) -> None:
        (self.root / "run/systemd/system").mkdir(parents=True)
        self._programs.mkdir(parents=True)
        program = self._programs / "systemctl"
        program.write_text(
            f'#!/bin/sh\nexec {sys.executable} {HERE / "systemctl.py"} {self.root} "$@"\n'
        )
        program.chmod(0o755)

    def loses_power_at(self, name: str) -> None:
        """The first time that a program is called, whoever calls it is gone."""
        self._programs.mkdir(parents=True, exist_ok=True)
        program = self._programs / name
        later = program.with_suffix(".later")
        if program.exists():
            program.rename(later)
        program.write_text(f'#!/bin/sh\nrm "$0"\nmv {later} "$0"\nkill -9 $PPID\n')
        program.chmod(0o755)

    @property
    def state(self) -> str:
        """Of the gate's agent, as systemd sees it."""
        return self.state_of("gate")

    def state_of(self, camera: str) -> str:
        words = [self._programs / "systemctl", "show", f"edge-reid@{camera}.service"]
        said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
        return dict(line.split("=", 1) for line in said.splitlines())["ActiveState"]

    @property
    def told(self) -> list[str]:
        """What systemd was told, one command a line."""
        return (self.root / "run/systemd/told").read_text().splitlines()

    def is_enabled(self, camera: str) -> bool:
        wants = self.root / "etc/systemd/system/edge-reid.target.wants"
        return (wants / f"edge-reid@{camera}.service").is_symlink()

    def stop(self) -> None:
        for running in (self.root / "run/systemd").glob("*.service.json"):
            words = [self._programs / "systemctl", "stop", running.stem]
            subprocess.run(words, check=True)

    @property
    def version(self) -> str:
        """What `current` says itself that it is."""
        done = subprocess.run(
            [self.home / "current/bin/edge-reid", "--version"],
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.split()[1]

    @property
    def releases(self) -> list[str]:
        return sorted(it.name for it in (self.home / "releases").iterdir())

    def fingerprint(self) -> dict[str, bytes]:
        """Everything an upgrade may change, and its contents."""
        paths = [*(self.root / "etc").rglob("*"), self.home / "current"]
        links = {str(it): bytes(it.readlink()) for it in paths if it.is_symlink()}
        files = [it for it in paths if it.is_file() and not it.is_symlink()]
        return links | {str(it): it.read_bytes() for it in files}
