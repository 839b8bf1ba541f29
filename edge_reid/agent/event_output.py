"""Where hits go: every one is committed for the broker, and written as JSON line if wanted."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TextIO

from edge_reid.agent.policy import PolicyHolder
from edge_reid.core.errors import StoreError, UsageError
from edge_reid.core.types import Hit
from edge_reid.strangers.name_giver import NameGiver
from edge_reid.wire.events import Event, EventOrigin, event_line

STDOUT = "-"

Commit = Callable[[Event], int | None]
"""Takes an event for good; returns its number, None when the disk would not take it."""


class EventOutput:
    """Where hits go.

    Args:
        origin: who says it; its gallery is the one in force when hits are written.
        policies: what hits are decided by.
        names: gives unknown people their anonymous names.
        commit: takes events for the broker; None when there is none.
        lines: file for JSON lines, `-` for standard output, None for neither. What the file holds
            stays, and new lines come after it. Their `seq` counts from 1 in every run, so that the
            same video gives the same bytes whatever the outbox has seen before; `event_id` ties a
            line to its MQTT message.

    Raises:
        UsageError: the file of JSON lines cannot be written.
    """

    def __init__(
        self,
        origin: EventOrigin,
        policies: PolicyHolder,
        *,
        names: NameGiver,
        commit: Commit | None,
        lines: str | None,
    ) -> None:
        self._origin = origin
        self._policies = policies
        self._names = names
        self._commit = commit
        self._where = lines
        self._open = ExitStack()
        self._lines = self._open_lines(lines)
        self._written = 0

    def __enter__(self) -> EventOutput:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._open.close()

    def write(self, hits: Sequence[Hit]) -> None:
        """Commit hits, in order. One that the outbox cannot take is counted there as dropped.

        Raises:
            StoreError: the file of JSON lines takes no more. All are committed, and whoever goes
                on does so without the file.
        """
        if not hits:
            return
        policy = self._policies.current
        origin = replace(self._origin, gallery_version=policy.index.version)
        events = [Event(hit, origin) for hit in self._names.assign(hits, policy.rules.min_crops)]
        if self._commit is not None:
            for event in events:
                self._commit(event)
        for event in events:
            self._write_line(event)

    def _write_line(self, event: Event) -> None:
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

    def _open_lines(self, where: str | None) -> TextIO | None:
        if where is None:
            return None
        if where == STDOUT:
            return sys.stdout
        try:
            Path(where).touch(0o600)  # a new one is its owner's alone
            _end_last_line(Path(where))
            return self._open.enter_context(Path(where).open("a", encoding="utf-8"))
        except OSError as error:
            raise UsageError(
                f"events file {where}: cannot be written: {error.strerror}; give another path"
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
