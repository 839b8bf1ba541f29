"""Events as lines of JSON, in a file or on standard output."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TextIO

from edge_reid.core.errors import StoreError, UsageError
from edge_reid.core.files import may_hold_json_lines
from edge_reid.wire.events import OutgoingEvent, event_line

STDOUT = "-"


class EventLines:
    """Appends events to what a file holds; use it as a context manager.

    Their `seq` counts from 1 in every run, so that the same video gives the same bytes whatever the
    outbox has seen before; `event_id` ties a line to its MQTT message.

    Args:
        where: path of the file, or `-` for standard output.

    Raises:
        UsageError: the file cannot be written, or is of another kind.
    """

    def __init__(self, where: str) -> None:
        self._where = where
        self._open = ExitStack()
        self._lines: TextIO | None = self._open_file()
        self._written = 0

    def __enter__(self) -> EventLines:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._open.close()

    def write(self, event: OutgoingEvent) -> None:
        """Append one event.

        Raises:
            StoreError: the file takes no more; later calls do nothing.
        """
        if self._lines is None:
            return
        self._written += 1
        try:
            self._lines.write(event_line(event.payload(self._written)) + "\n")
            self._lines.flush()
        except OSError as error:
            _hush(self._lines)
            self._lines = None
            raise StoreError(
                f"events file {self._where}: cannot be written: {error.strerror}; make room, or "
                "give another path"
            ) from error

    def _open_file(self) -> TextIO:
        if self._where == STDOUT:
            return sys.stdout
        path = Path(self._where)
        try:
            if not may_hold_json_lines(path):
                raise UsageError(
                    f"events file {path}: expected lines of JSON, got another kind of file; give "
                    "another path"
                )
            path.touch(0o600)  # a new one is its owner's alone
            _end_last_line(path)
            return self._open.enter_context(path.open("a", encoding="utf-8"))
        except OSError as error:
            raise UsageError(
                f"events file {path}: cannot be written: {error.strerror}; give another path"
            ) from error


def _end_last_line(path: Path) -> None:
    """A kill may have left half a line: what comes after it must not become a part of it."""
    if path.is_file() and path.stat().st_size:
        with path.open("r+b") as file:
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                file.write(b"\n")


def _hush(lines: TextIO) -> None:
    """What it could not write goes nowhere, so that closing it does not fail as well."""
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), lines.fileno())
