"""A device in the field, over the system's own ssh.

Nothing that a person typed is part of a command that a shell on the device reads, but for the
destination, which ssh itself takes as one word. Host keys are checked as ~/.ssh/config says.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from deploy.flash.first_boot import Tar
from edge_reid.core.errors import FlashError, UsageError
from edge_reid.core.progress import Progress

_PIECE_BYTES = 1 << 18
_ERROR = "error: "
_LOST = 255
"""What ssh ends with when it is ssh that failed."""
_OPTIONS = (
    *("-o", "ControlMaster=auto", "-o", "ControlPersist=60"),
    *("-o", "ConnectTimeout=15", "-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=4"),
)

# Only these are run on a device; the bundle comes on stdin, and so does the password of sudo.
_LOOK = """
uname -m
python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || echo none
cd /opt/edge-reid/current 2>/dev/null
{ cat manifest.sha256 || sha256sum manifest.json; } 2>/dev/null | cut -c 1-64 | grep . || echo none
df -Pk /var/tmp | awk 'NR == 2 {print $4}'
if [ "$(id -u)" = 0 ]; then echo root; elif sudo -n true 2>/dev/null; then echo sudo
else echo password; fi
"""
_TAKE = """
set -e; umask 077
folder=/var/tmp/edge-reid-$(id -u)
mkdir -p "$folder"; [ -O "$folder" ]; [ ! -L "$folder" ]; chmod 700 "$folder"
cat >"$folder/box.tar"
sha256sum "$folder/box.tar" | cut -c 1-64
"""
_CLEAR = 'rm -rf "/var/tmp/edge-reid-$(id -u)"'
# What a power cut left of an installation goes; one that is under way holds a lock on its folder.
# Root takes a copy and looks at that: what lies there is the user's, who may change it any moment.
_INSTALL = """
set -e; umask 077
for left in /var/tmp/edge-reid-install.*; do
    if [ -d "$left" ]; then flock -n "$left" rm -rf "$left" || :; fi
done
unpacked=$(mktemp -d /var/tmp/edge-reid-install.XXXXXX)
exec 9<"$unpacked"; flock -n 9
trap "rm -rf $unpacked" EXIT
cp /var/tmp/edge-reid-${SUDO_UID:-0}/box.tar "$unpacked/box.tar"
echo "SHA256  $unpacked/box.tar" | sha256sum --check --status ||
    { echo "error: the bundle was changed there after it had arrived"; exit 1; }
umask 022
tar --no-same-owner -xf "$unpacked/box.tar" -C "$unpacked"
rm "$unpacked/box.tar"
cd "$unpacked/edge-reid-bundle"
python3 install/install.py 2>&1
"""


@dataclass(frozen=True, slots=True)
class Found:
    """A device as it is."""

    machine: str
    python: str
    manifest_sha256: str
    """Of what is installed; `none`: nothing is."""
    free_bytes: int
    becomes_root: str
    """root: is it; sudo: without a password; password: with one."""


class Remote:
    """A device that answers; use `connected`."""

    def __init__(self, destination: str, command: Sequence[str]) -> None:
        self.destination = destination
        self._ssh = tuple(command)

    def look(self) -> Found:
        """What it is, and what it has.

        Raises:
            FlashError: it cannot be reached, or answers otherwise than a Linux device.
        """
        lines = self._run(_LOOK).split()
        try:
            machine, python, manifest, free_kib, becomes_root = lines
            return Found(machine, python, manifest, int(free_kib) * 1024, becomes_root)
        except ValueError:
            raise FlashError(
                f"{self.destination}: expected a Linux device to say what it is, it said {lines!r}"
            ) from None

    def send(self, tar: Tar, progress: Progress) -> None:
        """Bring the bundle over, into a folder that only its user and root can read.

        Raises:
            FlashError: it did not arrive as it left.
        """
        with (
            tar.path.open("rb") as file,
            subprocess.Popen(
                [*self._ssh, _TAKE], stdin=subprocess.PIPE, stdout=subprocess.PIPE
            ) as ssh,
        ):
            sent = 0
            with suppress(BrokenPipeError), cast("IO[bytes]", ssh.stdin) as there:
                while piece := file.read(_PIECE_BYTES):
                    there.write(piece)
                    sent += len(piece)
                    progress(sent, tar.size_bytes)
            arrived = cast("IO[bytes]", ssh.stdout).read().decode().strip()
        self._check(ssh.returncode, "the bundle could not be written there: is the disk full?")
        if arrived != tar.sha256:
            raise FlashError(
                f"{self.destination}: the bundle arrived as {arrived[:16] or 'nothing'}, expected "
                f"{tar.sha256[:16]}; run the same command again"
            )

    def install(self, tar: Tar, becomes_root: str, password: str | None) -> Iterator[str]:
        """Run the installer of the bundle that was sent; what it says, line by line.

        Raises:
            FlashError: it failed. What ran before runs still.
        """
        sudo = {"root": "sh -c", "sudo": "sudo -n sh -c", "password": "sudo -S -p '' sh -c"}
        command = f"{sudo[becomes_root]} '{_INSTALL.replace('SHA256', tar.sha256)}'"
        line = "it said nothing"
        with subprocess.Popen(
            [*self._ssh, command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            errors="replace",
        ) as ssh:
            with suppress(BrokenPipeError), cast("IO[str]", ssh.stdin) as there:
                there.write(f"{password}\n" if password is not None else "")
            for line in map(str.rstrip, cast("IO[str]", ssh.stdout)):
                yield line
        self._check(ssh.returncode, f"the installer failed: {line.removeprefix(_ERROR)}")

    def clear(self) -> None:
        """Remove the bundle, with the secrets in it; it is installed, or shall not be."""
        self._run(_CLEAR)

    def _run(self, command: str) -> str:
        done = subprocess.run(
            [*self._ssh, command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            errors="replace",
            check=False,
        )
        self._check(done.returncode, f"a command ended with {done.returncode}")
        return done.stdout

    def _check(self, returncode: int, why: str) -> None:
        if returncode == _LOST:
            raise FlashError(
                f"{self.destination}: ssh could not reach it, or lost it (its own message is "
                "above); what ran there runs still: run the same command again"
            )
        if returncode:
            raise FlashError(f"{self.destination}: {why}")


@contextmanager
def connected(destination: str, config: Path | None = None) -> Iterator[Remote]:
    """One connection for all that is done.

    Args:
        destination: `user@host`, or a name of ~/.ssh/config.
        config: another configuration of ssh.

    Raises:
        UsageError: it is no destination.
        FlashError: there is no ssh here.
    """
    if not re.fullmatch(r"[^\s-]\S*", destination):
        raise UsageError(f"--host: expected user@host, got {destination!r}")
    if shutil.which("ssh") is None:
        raise FlashError("ssh: is not installed here; apt install openssh-client")
    with tempfile.TemporaryDirectory(prefix="edge-reid-") as folder:
        options = [*_OPTIONS, "-o", f"ControlPath={folder}/c"]
        options += ["-F", str(config)] if config else []
        command = ["ssh", *options, "--", destination]
        try:
            yield Remote(destination, command)
        finally:
            subprocess.run(
                ["ssh", *options, "-O", "exit", "--", destination],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
            )
