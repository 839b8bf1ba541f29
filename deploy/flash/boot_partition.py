"""The boot partition of a card: a folder where it is mounted, or the FAT volume itself.

The volume is written to through mtools, so nothing needs to be mounted and nobody needs to be
root who may write to the card.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Protocol, cast

from edge_reid.core.errors import FlashError
from edge_reid.core.progress import Progress, no_progress

_PIECE_BYTES = 1 << 20


class Boot(Protocol):
    """Where the firmware looks. Names are relative, with `/` between folder and file."""

    @property
    def where(self) -> str:
        """How a person knows it."""

    def read(self, name: str) -> bytes | None:
        """A whole file; None: there is none."""

    def write(self, name: str, source: IO[bytes], progress: Progress = no_progress) -> None:
        """Put a file there, or replace the one of that name; raises FlashError."""

    def sha256(self, name: str) -> str | None:
        """Of a file as it reads back from the card itself, hex; None: there is none."""

    def remove(self, name: str) -> None:
        """Take a file away that is there; raises FlashError."""

    def free_bytes(self) -> int:
        """How much more it holds."""


class BootFolder:
    """A boot partition that is mounted."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def where(self) -> str:
        return str(self._folder)

    def read(self, name: str) -> bytes | None:
        try:
            return (self._folder / name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise FlashError(f"{self._folder / name}: cannot be read: {error.strerror}") from error

    def write(self, name: str, source: IO[bytes], progress: Progress = no_progress) -> None:
        """Beside it first: a card that is pulled out has the old file or the new one."""
        path = self._folder / name
        beside = path.with_name(f"{path.name}.new")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with beside.open("wb") as file:
                _copy(source, file, progress)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
        except OSError as error:
            with suppress(OSError):
                beside.unlink()
            raise FlashError(f"{path}: cannot be written: {error.strerror}") from error

    def sha256(self, name: str) -> str | None:
        try:
            with (self._folder / name).open("rb") as file:
                if hasattr(os, "posix_fadvise"):  # or else it comes from memory
                    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
                return _digest(file)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise FlashError(f"{self._folder / name}: cannot be read: {error.strerror}") from error

    def remove(self, name: str) -> None:
        try:
            (self._folder / name).unlink()
        except OSError as error:
            raise FlashError(
                f"{self._folder / name}: cannot be removed: {error.strerror}"
            ) from error

    def free_bytes(self) -> int:
        return shutil.disk_usage(self._folder).free


def need_mtools() -> None:
    """Raise FlashError unless mtools is there, which writes to a volume that is not mounted."""
    if shutil.which("mcopy") is None:
        raise FlashError(
            "mtools: is not installed here; apt install mtools, or write the "
            "card with Raspberry Pi Imager and seed it with --boot"
        )


class BootVolume:
    """A FAT volume on a card or in a file, not mounted.

    Args:
        path: of the card.
        start_bytes: where on it the volume begins.
        forget: makes what is read next come from the card.
        of: what it is the boot partition of, if that is not the card.
    """

    def __init__(
        self,
        path: Path,
        start_bytes: int,
        forget: Callable[[], None] = lambda: None,
        of: Path | None = None,
    ) -> None:
        self._image = f"{path}@@{start_bytes}"
        self._of = of or path
        self._forget = forget

    @property
    def where(self) -> str:
        return f"boot partition of {self._of}"

    def read(self, name: str) -> bytes | None:
        done = self._mtool("mcopy", f"::/{name}", "-")
        if done.returncode and b"not found" in done.stderr:
            return None
        return self._checked(done).stdout

    def write(self, name: str, source: IO[bytes], progress: Progress = no_progress) -> None:
        if "/" in name:
            self._mtool("mmd", "-D", "s", f"::/{name.rpartition('/')[0]}")
        with subprocess.Popen(
            self._command("mcopy", "-D", "o", "-", f"::/{name}"),
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=_environment(),
        ) as copying:
            with suppress(BrokenPipeError), cast("IO[bytes]", copying.stdin) as to_volume:
                _copy(source, to_volume, progress)
            complaint = cast("IO[bytes]", copying.stderr).read()
        # mcopy ends with 0 when the volume is full, and says so on stderr only
        if copying.returncode or b"No space left" in complaint:
            raise FlashError(f"{self.where}: {name}: cannot be written: {_last_line(complaint)}")

    def sha256(self, name: str) -> str | None:
        self._forget()
        with subprocess.Popen(
            self._command("mcopy", f"::/{name}", "-"),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=_environment(),
        ) as copying:
            digest = _digest(cast("IO[bytes]", copying.stdout))
        return None if copying.returncode else digest

    def remove(self, name: str) -> None:
        self._checked(self._mtool("mdel", f"::/{name}"))

    def free_bytes(self) -> int:
        listed = self._checked(self._mtool("mdir", "::/")).stdout.decode("utf-8", "replace")
        found = re.search(r"([0-9 ]+) bytes free", listed)
        return int(found[1].replace(" ", "")) if found else 0

    def _mtool(self, tool: str, *words: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            self._command(tool, *words), capture_output=True, check=False, env=_environment()
        )

    def _command(self, tool: str, *words: str) -> list[str]:
        return [tool, "-i", self._image, *words]

    def _checked(
        self, done: subprocess.CompletedProcess[bytes]
    ) -> subprocess.CompletedProcess[bytes]:
        if done.returncode:
            raise FlashError(
                f"{self.where}: expected a FAT volume, got none that mtools can read: "
                f"{_last_line(done.stderr)}"
            )
        return done


def _pieces(source: IO[bytes]) -> Iterator[bytes]:
    while piece := source.read(_PIECE_BYTES):
        yield piece


def _copy(source: IO[bytes], sink: IO[bytes], progress: Progress) -> None:
    done = 0
    for piece in _pieces(source):
        sink.write(piece)
        done += len(piece)
        progress(done, None)


def _digest(file: IO[bytes]) -> str:
    digest = hashlib.sha256()
    for piece in _pieces(file):
        digest.update(piece)
    return digest.hexdigest()


def _last_line(complaint: bytes) -> str:
    lines = complaint.decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else "it does not say why"


def _environment() -> dict[str, str]:
    return os.environ | {"MTOOLS_SKIP_CHECK": "1", "LC_ALL": "C"}
