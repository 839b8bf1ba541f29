"""A device over ssh, as its installer has it."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from support.cards import tool

USER = "installer"


class BoxShell:
    """Args:
    folder: for the installer's key and ssh's configuration.
    port: of this machine, where the device answers.
    """

    def __init__(self, folder: Path, port: int) -> None:
        self._folder = folder
        self._port = port
        self.destination = f"{USER}@127.0.0.1"
        if not self._key.exists():
            tool("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self._key)

    @property
    def public_key(self) -> str:
        return self._key.with_suffix(".pub").read_text().strip()

    @property
    def config(self) -> Path:
        return self._folder / "ssh_config"

    @property
    def _key(self) -> Path:
        return self._folder / "installer"

    def trust(self, host_key: str) -> None:
        """Know the device by this public key, and nobody else under its address."""
        known = self._folder / "known_hosts"
        known.write_text(f"[127.0.0.1]:{self._port} {host_key}\n")
        self.config.write_text(
            f"Host *\n Port {self._port}\n IdentityFile {self._key}\n IdentitiesOnly yes\n"
            f" UserKnownHostsFile {known}\n GlobalKnownHostsFile /dev/null\n"
            " StrictHostKeyChecking yes\n BatchMode yes\n LogLevel ERROR\n"
        )

    def run(self, command: str, *, may_fail: bool = False, timeout_s: float = 300) -> str:
        """What a command says there, run by root."""
        done = subprocess.run(
            ["ssh", "-F", self.config, self.destination, "sudo", "-n", "sh"],
            input=command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=timeout_s,
        )
        assert may_fail or done.returncode == 0, f"{command}: {done.stdout}"
        return done.stdout.strip()

    def wait_until(self, condition: str, within_s: float) -> None:
        """Until a command there succeeds; asked once a second, there."""
        loop = f"until {condition}; do sleep 1; done; echo so"
        deadline_s = time.monotonic() + within_s
        while self.run(loop, may_fail=True, timeout_s=within_s).splitlines()[-1:] != ["so"]:
            assert time.monotonic() < deadline_s, f"not so within {within_s:.0f} s: {condition}"
            time.sleep(2)
