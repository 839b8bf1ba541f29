"""What every question to a store of events has, whatever it asks for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar

from pydantic import ValidationError

from edge_reid.core.errors import StoreError
from edge_reid.core.validation_errors import describe_mistakes
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


def answers(
    rows: Sequence[Sequence[object]], query: StoredQuery[Answer], where: str
) -> list[Answer]:
    """What the rows that a query has selected say, in their order.

    Raises:
        StoreError: a row says what no event of this edge-reid may; `where` is the store's name.
    """
    try:
        return [query.of_row(row) for row in rows]
    except ValidationError as error:
        raise StoreError(
            f"{where}: expected events as this edge-reid writes them, got a row of another kind: "
            f"{describe_mistakes(error)[0]}; use the edge-reid that its sink has, or delete the row"
        ) from error
