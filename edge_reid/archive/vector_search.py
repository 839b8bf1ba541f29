"""Who in the tables of an archive is most like somebody: exact over all, or by an index of most.

An index knows no camera: the tracks of others are passed over in the lists that are searched. If
fewer are left there than are to be shown, all tracks of the camera are compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psycopg

from edge_reid.archive.archive_findings import ArchiveFindings, ArchiveMatch
from edge_reid.archive.archive_tables import TRACKS, VIDEOS
from edge_reid.archive.ivfflat_upkeep import lists_of_index
from edge_reid.archive.track_rows import TRACK_COLUMNS, track_of_row, vector_text
from edge_reid.core.types import Vector

LISTS_SEARCHED = 32
"""At most half of them."""

Rows = list[tuple[Any, ...]]

_COUNT = (
    f"SELECT coalesce(sum(tracks), 0) FROM {VIDEOS}"  # noqa: S608 - our own names
    " WHERE %(camera)s::text IS NULL OR camera = %(camera)s"
)
# `<#>` is the negative inner product, of unit vectors the cosine
_ALL = f"SELECT *, embedding <#> %(vector)s::vector AS distance FROM {TRACKS}"  # noqa: S608 - our own names
# behind OFFSET 0, so that no plan begins with the camera instead of the index
_NEAREST = f"SELECT * FROM ({_ALL} ORDER BY embedding <#> %(vector)s::vector OFFSET 0) AS near"  # noqa: S608 - our own names


@dataclass(frozen=True, slots=True, eq=False)
class _Question:
    """Who is looked for, and where."""

    vector: Vector
    top: int
    camera: str | None

    @property
    def parameters(self) -> dict[str, object]:
        return {"vector": vector_text(self.vector), "top": self.top, "camera": self.camera}

    @property
    def where(self) -> str:
        return "" if self.camera is None else "WHERE camera = %(camera)s"


def find_tracks(
    db: psycopg.Connection, vector: Vector, *, top: int, camera: str | None, exact_tracks: int
) -> ArchiveFindings:
    """The tracks most like somebody; as `ArchiveStore.find`.

    Args:
        db: not in a transaction; the right to read is enough.
        vector: (D,).
        top: so many at most.
        camera: only its tracks.
        exact_tracks: so many are compared one by one.

    Raises:
        psycopg.Error: the database says no.
    """
    question = _Question(vector, top, camera)
    with db.transaction():
        db.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        (tracks,) = db.execute(_COUNT.encode(), question.parameters).fetchone() or (0,)
        lists = lists_of_index(db) if tracks > exact_tracks else None
        nearest = _by_index(db, question, lists) if lists else []
        is_exact = len(nearest) < top
        if is_exact:
            nearest = _one_by_one(db, question)
    matches = tuple(ArchiveMatch(track_of_row(row[:-1]), -row[-1]) for row in nearest)
    return ArchiveFindings(matches, tracks, is_exact=is_exact)


def _one_by_one(db: psycopg.Connection, question: _Question) -> Rows:
    db.execute("SET LOCAL enable_indexscan = off")  # the tracks of a camera come as a bitmap
    return _ranked(db, f"{_ALL} {question.where}", question)


def _by_index(db: psycopg.Connection, question: _Question, lists: int) -> Rows:
    with db.transaction(force_rollback=True):  # settings of this search alone
        db.execute("SET LOCAL enable_seqscan = off")
        probes = min(LISTS_SEARCHED, max(1, lists // 2))
        db.execute(f"SET LOCAL ivfflat.probes = {probes}".encode())
        return _ranked(db, f"{_NEAREST} {question.where} LIMIT %(top)s", question)


def _ranked(db: psycopg.Connection, tracks: str, question: _Question) -> Rows:
    """`TRACK_COLUMNS` and distance of the nearest, of some tracks with their `distance`."""
    ranked = (
        f"SELECT {', '.join(TRACK_COLUMNS)}, distance FROM ({tracks}) AS measured"  # noqa: S608 - our own names
        " ORDER BY distance, sha256, number LIMIT %(top)s"
    )
    return db.execute(ranked.encode(), question.parameters).fetchall()
