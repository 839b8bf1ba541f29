"""Files that are there whole or not at all, and state files that may not be."""

from __future__ import annotations

import codecs
import errno
import json
import logging
import os
import platform
import struct
import threading
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from edge_reid.core.errors import UsageError

FULL_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""No space left, over quota, over the largest size a file may have."""
UNREADABLE_ZIP = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    RuntimeError,
    EOFError,
    ValueError,
    LookupError,
    OSError,
)
"""What reading a zip file raises if it is damaged, cut, encrypted (RuntimeError) or of a later
version (NotImplementedError, which is a RuntimeError)."""

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL
_UNSYNCABLE = (errno.EINVAL, errno.ENOTSUP)
"""What some file systems say to syncing a folder: they do it unasked, or cannot."""
_PIECE_BYTES = 1 << 16
_BLANK = b"\0 \t\r\n"
_UNREADABLE = (OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError)

_THREAD_BITS = 22
"""Of the number of a thread of Linux."""

_T = TypeVar("_T")
_log = logging.getLogger(__name__)


def write_whole(
    path: Path, body: bytes, *, mode: int | None = None, is_synced: bool = True
) -> None:
    """Write a file in the place of the one there; see `whole_file`.

    Raises:
        OSError: the disk is full, or nothing can be written there; the old file stays.
    """
    with whole_file(path, mode=mode, is_synced=is_synced) as file:
        file.write(body)


@contextmanager
def whole_file(
    path: Path, *, mode: int | None = None, is_synced: bool = True
) -> Iterator[BinaryIO]:
    """Open a file to write that takes `path`'s place when the block ends well, never before.

    Whatever goes wrong, a power cut included, `path` is the old file or the new one. When the block
    has ended well, the new one is on the disk for good.

    Args:
        path: in a folder that is there; the draft lies beside it, hidden.
        mode: permissions, less the umask, that it has from its first byte on; None: those of the
            file that it replaces, of a new one what the umask leaves.
        is_synced: False: the caller syncs many such files at once, before it relies on one of them.

    Raises:
        OSError: the disk is full, or nothing can be written there; the old file stays.
    """
    draft = _draft(path)
    with suppress(OSError):  # where nothing can be removed, opening it says why
        draft.unlink(missing_ok=True)  # of a writer of our number that was killed
    try:
        with os.fdopen(os.open(draft, _NEW, 0o666 if mode is None else mode), "wb") as file:
            if mode is None:
                _take_permissions(file, path)
            yield file
            file.flush()
            if is_synced:
                os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        raise
    if is_synced:
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk, where the system lets folders be synced.

    Raises:
        OSError: the disk fails.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:  # one may write in it, and not read it
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _UNSYNCABLE:
            raise
    finally:
        os.close(descriptor)


def may_hold_json_lines(path: Path) -> bool:
    """Whether JSON objects, a line each, can be appended to what is there: more of them, nothing,
    or a file that a power cut left blank. What is no file, such as a pipe, may hold anything.

    Zeros alone say nothing: every MP4 begins with some.

    Raises:
        OSError: the file cannot be read.
    """
    if not path.is_file():
        return True
    with path.open("rb") as file:
        piece = file.read(_PIECE_BYTES).removeprefix(codecs.BOM_UTF8)
        while piece:
            if written := piece.lstrip(_BLANK):
                return written.startswith(b"{")
            piece = file.read(_PIECE_BYTES)
    return True


def check_replaceable(
    path: Path, where: str, kind: str, is_of_kind: Callable[[BinaryIO], bool]
) -> None:
    """Raise UsageError unless a new file may take the place of what is there: nothing, an empty
    file as `mktemp` makes one, or an older one of its kind. What is no file, such as a pipe, stays.

    Args:
        path: of the new file.
        where: what to call it: `--out FILE`.
        kind: as in `expected KIND or no file`.
        is_of_kind: whether a file, open at its first byte, is of the new one's kind.
    """
    try:
        if not path.exists() or (path.is_file() and _is_empty_or(path, is_of_kind)):
            return
    except OSError as error:
        raise UsageError(
            f"{where}: cannot be written: {error.strerror}; give another path"
        ) from error
    raise UsageError(
        f"{where}: expected {kind} or no file, got another kind of file; give another path"
    )


def _is_empty_or(path: Path, is_of_kind: Callable[[BinaryIO], bool]) -> bool:
    with path.open("rb") as file:
        return os.fstat(file.fileno()).st_size == 0 or is_of_kind(file)


def remove_abandoned_drafts(folder: Path, *, age_s: float = 3600.0) -> None:
    """Delete drafts of `whole_file` whose writer was killed: nobody has written to them for long.

    Raises:
        OSError: the folder cannot be listed, or one of them stays.
    """
    for draft in folder.glob(".*.part"):
        with suppress(FileNotFoundError):
            if time.time() - draft.stat().st_mtime > age_s:
                draft.unlink()


def read_json_or_none(path: Path, parse: Callable[[Any], _T]) -> _T | None:
    """What a state file says; None, with a line in the log, if it is empty, cut off or damaged.

    Args:
        path: of the file; one that is not there is None without a word.
        parse: makes a value of its JSON, and raises ValueError, TypeError, LookupError or
            AttributeError when that says something else.
    """
    try:
        return parse(json.loads(path.read_bytes()))
    except FileNotFoundError:
        return None
    except _UNREADABLE as error:
        line = "%s: expected what was written there, got a file that is damaged or cannot be read "
        line += "(%s); going on as if there were none"
        _log.warning(line, path, " ".join(f"{error}".split()))
        return None


def _draft(path: Path) -> Path:
    """No two threads write the same draft, also of machines that share a folder."""
    writer = zlib.crc32(platform.node().encode()) << _THREAD_BITS | threading.get_native_id()
    return path.with_name(f".{path.name}.{writer}.part")


def _take_permissions(file: BinaryIO, path: Path) -> None:
    with suppress(FileNotFoundError):
        os.fchmod(file.fileno(), path.stat().st_mode & 0o777)
