"""SQL that disables templates, enables, moves and deletes them.

The functions run within a transaction of the caller.
"""

from __future__ import annotations

import sqlite3
import unicodedata
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from edge_reid.core.errors import GalleryError
from edge_reid.gallery.identity import identity_key


@dataclass(frozen=True, slots=True)
class DisabledTemplate:
    """A template that is kept, and neither matched nor published."""

    identity: str
    template_id: int
    reason: str
    quality: float
    disabled_utc_s: float
    photo_name: str | None = None


@dataclass(frozen=True, slots=True)
class Merged:
    """Result of a merge."""

    moved: int
    """Templates that got a new owner."""
    doubled: int
    """Templates that were deleted, since the new owner has the same photo."""


def disable(
    db: sqlite3.Connection, path: Path, reasons: Mapping[int, str], now_utc_s: float
) -> None:
    """Stop using templates.

    Raises:
        GalleryError: a template is not in use.
    """
    for template_id, reason in reasons.items():
        added = db.execute(
            "INSERT OR IGNORE INTO set_aside "
            "SELECT template_id, ?, ? FROM templates WHERE template_id = ?",
            (reason, now_utc_s, template_id),
        )
        if added.rowcount != 1:
            raise GalleryError(
                f"gallery {path}: expected the number of a template in use, got {template_id}; "
                "`edge-reid gallery show NAME` shows them"
            )


def read_disabled(db: sqlite3.Connection, name_key: str | None) -> tuple[DisabledTemplate, ...]:
    """Templates that are disabled, of one identity or all, by name and number."""
    rows = db.execute(
        "SELECT name, template_id, reason, quality, set_aside_utc_s, photo_name "
        "FROM set_aside JOIN templates USING (template_id) JOIN identities USING (identity_id) "
        "LEFT JOIN photos USING (template_id) "
        "WHERE name_key = coalesce(?, name_key) ORDER BY name_key, template_id",
        (name_key,),
    )
    return tuple(DisabledTemplate(*row) for row in rows)


def enable(db: sqlite3.Connection, path: Path, template_ids: Collection[int]) -> None:
    """Use templates again.

    Raises:
        GalleryError: a template is not disabled.
    """
    for template_id in template_ids:
        gone = db.execute("DELETE FROM set_aside WHERE template_id = ?", (template_id,))
        if gone.rowcount != 1:
            raise GalleryError(
                f"gallery {path}: expected the number of a disabled template, got "
                f"{template_id}; `edge-reid gallery restore` without a number shows them"
            )


def join(
    db: sqlite3.Connection, giver: tuple[int, str], taker: tuple[int, str], path: Path
) -> Merged:
    """Give all templates of one identity (its number and name) to another.

    Of two templates of one photo the taker's stays, unless only the giver's is in use.
    """
    if giver[0] == taker[0]:
        raise GalleryError(f"gallery {path}: expected two identities, got {giver[1]!r} twice")
    shadows = db.execute(
        """
        DELETE FROM templates
        WHERE identity_id = ? AND template_id IN (SELECT template_id FROM set_aside)
        AND source_sha256 IN (
            SELECT source_sha256 FROM templates LEFT JOIN set_aside USING (template_id)
            WHERE identity_id = ? AND reason IS NULL
        )
        """,
        (taker[0], giver[0]),
    )
    moved = db.execute(
        "UPDATE OR IGNORE templates SET identity_id = ? WHERE identity_id = ?",
        (taker[0], giver[0]),
    )
    doubled = db.execute("DELETE FROM templates WHERE identity_id = ?", giver[:1])
    db.execute("DELETE FROM identities WHERE identity_id = ?", giver[:1])
    return Merged(moved.rowcount, shadows.rowcount + doubled.rowcount)


def delete(
    db: sqlite3.Connection, owner: tuple[int, str], template_ids: Collection[int], path: Path
) -> None:
    """Delete templates of an identity (its number and name), in use or disabled.

    Raises:
        GalleryError: a template is not of this identity.
    """
    for template_id in template_ids:
        gone = db.execute(
            "DELETE FROM templates WHERE template_id = ? AND identity_id = ?",
            (template_id, owner[0]),
        )
        if gone.rowcount != 1:
            raise _not_theirs(path, owner[1], template_id)


def move(
    db: sqlite3.Connection,
    giver: tuple[int, str],
    taker_id: int,
    template_ids: Collection[int],
    path: Path,
) -> Merged:
    """Give some templates of one identity (its number and name) to another.

    A template of a photo that the taker has too is deleted.

    Raises:
        GalleryError: a template is not the giver's.
    """
    moved = 0
    for template_id in template_ids:
        given = db.execute(
            "UPDATE OR IGNORE templates SET identity_id = ? "
            "WHERE template_id = ? AND identity_id = ?",
            (taker_id, template_id, giver[0]),
        )
        moved += given.rowcount
        if given.rowcount != 1:
            delete(db, giver, [template_id], path)
    return Merged(moved, len(template_ids) - moved)


def forget_name(db: sqlite3.Connection, name: str) -> None:
    """Erase a removed person's name from the file names of other people's photos."""
    key = identity_key(name)
    rows = db.execute("SELECT template_id, photo_name FROM photos").fetchall()
    for template_id, photo_name in rows:
        comparable = unicodedata.normalize("NFKC", photo_name).casefold()
        if key in comparable:
            db.execute(
                "UPDATE photos SET photo_name = ? WHERE template_id = ?",
                (comparable.replace(key, "…"), template_id),
            )


def is_empty(db: sqlite3.Connection, identity_id: int) -> bool:
    """Whether an identity has no template."""
    found = db.execute("SELECT 1 FROM templates WHERE identity_id = ? LIMIT 1", (identity_id,))
    return found.fetchone() is None


def _not_theirs(path: Path, name: str, template_id: int) -> GalleryError:
    return GalleryError(
        f"gallery {path}: expected the number of a template of {name!r}, got {template_id}; "
        "`edge-reid gallery show NAME` shows them"
    )
