"""Events as JSON lines, in a file or on standard output."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import BinaryIO

from edge_reid.consumers.event_store import BATCH_MAX, StoreUnavailableError
from edge_reid.core.errors import StoreError
from edge_reid.core.files import may_hold_json_lines
from edge_reid.wire.payloads import AnyEvent, parse_event

REMEMBERED = 1_000_000
"""Ids of so many newest events are kept in memory, about 100 MB: what comes twice comes soon. For
more, use a database."""


class LinesStore:
    """Appends, synced to disk at every write. What is in the file already is not written again.

    Args:
        path: the file; None: standard output, which remembers nothing from run to run.

    Raises:
        StoreError: the file cannot be written, is of another kind, or another sink writes it.
    """

    batch_max = BATCH_MAX

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._known: OrderedDict[str, None] = OrderedDict()  # in the order of arrival
        if path is None:
            self._file: BinaryIO = sys.stdout.buffer
            return
        try:
            if not may_hold_json_lines(path):
                raise StoreError(
                    f"{path}: expected lines of JSON, got another kind of file; give another file"
                )
            path.touch(0o600)  # a new one is its owner's alone
            self._file = path.open("a+b", buffering=0)
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._read_on(path)
        except BlockingIOError as error:
            raise StoreError(f"{path}: another sink writes it; give another file") from error
        except OSError as error:
            raise StoreError(
                f"{path}: cannot be written: {error.strerror}; give another file"
            ) from error

    def write(self, events: Sequence[AnyEvent]) -> int:
        new = {event.event_id: event for event in events if event.event_id not in self._known}
        text = "".join(event.to_json() + "\n" for event in new.values())
        self._append(text.encode())
        self._remember(new)
        return len(new)

    def expire(self, before_utc_s: float) -> None:  # noqa: ARG002 - as every store has it
        raise StoreError(f"{self._path}: expected a database to delete from; rotate the file")

    def close(self) -> None:
        if self._path is not None:
            self._file.close()

    def _append(self, content: bytes) -> None:
        if self._path is None:
            self._file.write(content)
            self._file.flush()
            return
        end = os.fstat(self._file.fileno()).st_size
        try:
            left = memoryview(content)
            while left:
                left = left[self._file.write(left) :]
            os.fsync(self._file.fileno())
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file.fileno(), end)  # no half line for the next to follow
            raise StoreUnavailableError(f"{self._path}: {error.strerror}") from error

    def _remember(self, event_ids: Iterable[str]) -> None:
        self._known.update(dict.fromkeys(event_ids))
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)

    def _read_on(self, path: Path) -> None:
        """Learn what is there, and cut off a line that a kill left unfinished."""
        end = 0
        with path.open("rb") as lines:  # our own file has no buffer: it would read byte by byte
            for line in lines:
                event_ids = _event_ids(line)
                self._remember(event_ids)
                if line.endswith(b"\n"):
                    end += len(line)
                elif event_ids:  # whole: an editor has left out its line end
                    self._file.write(b"\n")
                else:
                    os.ftruncate(self._file.fileno(), end)


def _event_ids(line: bytes) -> list[str]:
    """That of the event in a line; none in a line of somebody else's."""
    try:
        return [parse_event(line).event_id]
    except ValueError:
        return []
