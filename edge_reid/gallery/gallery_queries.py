"""What stands in the tables of a gallery, as other rooms want it; nothing here changes a row."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from edge_reid.core.types import GallerySnapshot, Template, Vectors
from edge_reid.gallery.tree import Erasure
from edge_reid.signing.blobs import BlobRef

Unpack: TypeAlias = Callable[[Sequence[bytes]], Vectors]
"""Stored vectors to (rows, D) float32; raises DamagedError when one is not of D numbers."""


@dataclass(frozen=True, slots=True)
class IdentitySummary:
    """An enrolled identity, without its templates."""

    identity: str
    templates: int
    mean_quality: float
    first_enrolled_utc_s: float
    last_enrolled_utc_s: float
    disabled: int = 0
    """Templates that are kept but not used; they count nowhere else here."""


def read_version(db: sqlite3.Connection) -> int:
    """The number of the gallery as it is."""
    return int(db.execute("SELECT version FROM gallery").fetchone()[0])


def read_templates(
    db: sqlite3.Connection, name_key: str | None, unpack: Unpack
) -> tuple[Template, ...]:
    """The templates in use of everybody, or of one identity, in the order of storing."""
    rows = db.execute(
        "SELECT name, vector, model_id, quality, source_sha256, created_utc_s, "
        "template_id, photo_name FROM templates JOIN identities USING (identity_id) "
        "LEFT JOIN set_aside USING (template_id) LEFT JOIN photos USING (template_id) "
        "WHERE name_key = coalesce(?, name_key) AND reason IS NULL ORDER BY template_id",
        (name_key,),
    ).fetchall()
    vectors = unpack([row[1] for row in rows])
    return tuple(
        Template(row[0], vector, *row[2:]) for row, vector in zip(rows, vectors, strict=True)
    )


def read_sources(db: sqlite3.Connection, name_key: str) -> frozenset[str]:
    """`source_sha256` of all templates of an identity, also of those that are disabled."""
    rows = db.execute(
        "SELECT source_sha256 FROM templates JOIN identities USING (identity_id) "
        "WHERE name_key = ?",
        (name_key,),
    )
    return frozenset(row[0] for row in rows)


def read_identities(db: sqlite3.Connection) -> tuple[IdentitySummary, ...]:
    """Who is enrolled, by name."""
    rows = db.execute(
        "SELECT name, count(*) - count(reason), "
        "coalesce(avg(quality) FILTER (WHERE reason IS NULL), avg(quality)), "
        "min(created_utc_s), max(created_utc_s), count(reason) "
        "FROM templates JOIN identities USING (identity_id) "
        "LEFT JOIN set_aside USING (template_id) "
        "GROUP BY identity_id ORDER BY name_key"
    )
    return tuple(IdentitySummary(*row) for row in rows)


def read_erasures(db: sqlite3.Connection) -> tuple[Erasure, ...]:
    """Everybody who was removed and is not enrolled again, newest first."""
    rows = db.execute(
        "SELECT place, version, erased_utc_s FROM erasures ORDER BY version DESC, place"
    )
    return tuple(
        Erasure(digest=digest, version=version, erased_utc_s=erased_utc_s)
        for digest, version, erased_utc_s in rows
    )


def read_published(db: sqlite3.Connection, target: str) -> dict[BlobRef, bool]:
    """The blobs that may lie where the gallery is published, and of which it is certain."""
    rows = db.execute(
        "SELECT sha256, size_bytes, is_there FROM published WHERE place = ?", (target,)
    )
    return {BlobRef(sha256, size_bytes): bool(is_there) for sha256, size_bytes, is_there in rows}


def read_snapshot(db: sqlite3.Connection, model_id: str, unpack: Unpack) -> GallerySnapshot:
    """All templates in use, identities by name. The caller holds a transaction."""
    rows = db.execute(
        "SELECT name, vector FROM templates JOIN identities USING (identity_id) "
        "LEFT JOIN set_aside USING (template_id) "
        "WHERE reason IS NULL ORDER BY name_key, template_id"
    ).fetchall()
    names = tuple(dict.fromkeys(name for name, _ in rows))
    number = {name: index for index, name in enumerate(names)}
    return GallerySnapshot(
        identities=names,
        labels=np.array([number[name] for name, _ in rows], np.int32),
        vectors=unpack([blob for _, blob in rows]),
        model_id=model_id,
        version=read_version(db),
    )
