"""What every question to a store of events has, whatever it asks for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar

from edge_reid.wire.payloads import AnyEvent

Answer = TypeVar("Answer")


class StoredQuery(Protocol[Answer]):
    """Asks a database, or a list of events."""

    def select(self, mark: str) -> tuple[str, list[object]]:
        """The SQL, newest first, and its parameters; `mark` stands for one: `?` or `%s`."""

    def of_row(self, row: Sequence[object]) -> Answer:
        """What a row that was selected says."""

    def chosen(self, events: Iterable[AnyEvent]) -> list[Answer]:
        """The same of events that are in no database, oldest first."""
