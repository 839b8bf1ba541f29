"""What happened to a simulated fleet, second by second."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import psycopg
from support.simulated_fleet import FleetState

from edge_reid.consumers.event_store import TABLE

LOOK_S = 0.5
WINDOW_S = 2.0
"""Over which a peak is averaged."""


class StoredEvents(Protocol):
    """The store that sinks write to, as somebody else reads it."""

    url: str

    def count(self) -> int: ...

    def rows(self) -> list[tuple[str, int, str]]:
        """Agent, number and id of every event."""
        ...


class SqliteEvents:
    """One sink's file."""

    def __init__(self, path: Path) -> None:
        self.url = f"sqlite:///{path}"
        self._path = path

    def count(self) -> int:
        return int(self._read("count(*)")[0][0]) if self._path.exists() else 0

    def rows(self) -> list[tuple[str, int, str]]:
        return self._read("agent, seq, event_id")

    def _read(self, columns: str) -> list[tuple]:  # type: ignore[type-arg]
        with closing(sqlite3.connect(self._path, timeout=30)) as db:
            try:
                return db.execute(f"SELECT {columns} FROM {TABLE}").fetchall()
            except sqlite3.OperationalError:  # not made yet
                return [(0,)]


class PostgresEvents:
    """A schema that several sinks share."""

    def __init__(self, url: str) -> None:
        self.url = url

    def count(self) -> int:
        return int(self._read("count(*)")[0][0])

    def rows(self) -> list[tuple[str, int, str]]:
        return self._read("agent, seq, event_id")

    def _read(self, columns: str) -> list[tuple]:  # type: ignore[type-arg]
        with psycopg.connect(self.url) as db:
            try:
                return db.execute(f"SELECT {columns} FROM {TABLE}").fetchall()
            except psycopg.errors.UndefinedTable:
                return [(0,)]


@dataclass(frozen=True)
class Look:
    """At everything, at one moment."""

    at_s: float
    stored: int
    state: FleetState

    @property
    def committed(self) -> int:
        return sum(self.state.committed.values())


@dataclass
class FleetRecord:
    """Looks, from the first to the last.

    Args:
        look: at the agents.
        stored: at the store.
        show: told what to show a person.
    """

    look: Callable[[], FleetState]
    stored: StoredEvents
    show: Callable[[str], None] = lambda _: None
    looks: list[Look] = field(default_factory=list)

    def take(self) -> Look:
        now = Look(time.monotonic(), self.stored.count(), self.look())
        self.looks.append(now)
        self.show(
            f"{now.state.online} online, {now.committed} events, {now.stored} stored, "
            f"{now.state.waiting} wait {now.state.trouble[:60]}"
        )
        return now

    def until(self, is_so: Callable[[Look], bool], most_s: float) -> float | None:
        """Look until it is so; returns after how many seconds, None: it never was."""
        began_s = time.monotonic()
        while time.monotonic() - began_s < most_s:
            if is_so(self.take()):
                return time.monotonic() - began_s
            time.sleep(LOOK_S)
        return None

    def during(self, span_s: float) -> list[Look]:
        """Looks of the next seconds."""
        before = len(self.looks)
        self.until(lambda _: False, span_s)
        return self.looks[before:]

    def since(self, at_s: float) -> list[Look]:
        return [look for look in self.looks if look.at_s >= at_s]


def mean_hz(looks: Sequence[Look], count: Callable[[Look], int]) -> float:
    """How fast something grew from the first look to the last."""
    first, last = looks[0], looks[-1]
    return (count(last) - count(first)) / (last.at_s - first.at_s)


def peak_hz(looks: Sequence[Look], count: Callable[[Look], int]) -> float:
    """How fast something grew at most, over `WINDOW_S`."""
    return max((mean_hz(window, count) for window in _windows(looks)), default=0.0)


def _windows(looks: Sequence[Look]) -> Iterator[Sequence[Look]]:
    for end, last in enumerate(looks):
        start = next((n for n in range(end, -1, -1) if last.at_s - looks[n].at_s >= WINDOW_S), None)
        if start is not None:
            yield looks[start : end + 1]
