"""A Debian bookworm in a folder, booted with its own systemd (systemd-nspawn), to install on.

Needs root, debootstrap and systemd-container. Everything in it is real but the kernel, which is
ours, and what it runs on: it is this machine's processor, and no card or camera is emulated.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

PACKAGES = "systemd,systemd-sysv,dbus,python3,ca-certificates"
BOOTING_S = 90.0


class SystemdBox:
    """The device; `with` boots it and cuts its power at the end."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._nspawn: subprocess.Popen[bytes] | None = None

    def make(self) -> None:
        """Once: a few minutes."""
        if not (self.root / "usr/bin/python3").exists():
            include = ["--variant=minbase", f"--include={PACKAGES}"]
            subprocess.run(["debootstrap", *include, "bookworm", self.root], check=True)

    def boot(self, *options: str) -> None:
        words = ["systemd-nspawn", "-D", self.root, "--machine=edge-reid-device", "--register=no"]
        words += ["--keep-unit", "--boot", "--console=pipe", *options]
        self._nspawn = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline_s = time.monotonic() + BOOTING_S
        while self.run("systemctl", "is-system-running", may_fail=True) not in {
            "running",
            "degraded",
        }:
            assert time.monotonic() < deadline_s, "it does not boot"
            time.sleep(0.5)

    def cut_power(self) -> None:
        """No process in there gets to do anything more."""
        assert self._nspawn is not None
        with suppress(StopIteration, ProcessLookupError):
            os.kill(self._first_process(), signal.SIGKILL)
        self._nspawn.kill()
        self._nspawn.wait()

    def run(self, *words: object, may_fail: bool = False, timeout_s: float = 600) -> str:
        """What a command in there says, standard error with it."""
        try:
            first = self._first_process()
        except StopIteration:
            return ""
        done = subprocess.run(
            ["nsenter", "--target", str(first), "--all", *map(str, words)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=timeout_s,
        )
        assert may_fail or done.returncode == 0, f"{words}: {done.stdout}"
        return done.stdout.strip()

    def property(self, unit: str, name: str) -> str:
        return self.run("systemctl", "show", unit, f"--property={name}", "--value")

    def is_enabled(self, unit: str) -> bool:
        return self.run("systemctl", "is-enabled", unit, may_fail=True) == "enabled"

    def wait(self, unit: str, name: str, value: str, within_s: float) -> float:
        """Seconds until a property of a unit has that value."""
        began_s = time.monotonic()
        while (now := self.property(unit, name)) != value:
            assert time.monotonic() - began_s < within_s, f"{unit}: {name} is still {now}"
            time.sleep(0.2)
        return time.monotonic() - began_s

    def _first_process(self) -> int:
        assert self._nspawn is not None
        children = Path(f"/proc/{self._nspawn.pid}/task/{self._nspawn.pid}/children")
        return next(int(word) for word in children.read_text().split())
