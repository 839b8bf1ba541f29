"""The statements by which identities are found, entered and erased, and templates entered.

Each runs within a transaction of the caller's.
"""

from __future__ import annotations

import sqlite3
import time
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

from edge_reid.core.errors import GalleryError
from edge_reid.core.types import Template
from edge_reid.gallery.curation import forget_name, is_empty
from edge_reid.gallery.gallery_queries import read_version
from edge_reid.gallery.identity import identity_key, identity_name
from edge_reid.gallery.tree import place_of
from edge_reid.matching.vectors import pack

Enrolled: TypeAlias = tuple[int, str]
"""An identity's number in the file, and its name as it is stored."""


def find(db: sqlite3.Connection, name: str) -> Enrolled | None:
    """An identity by its name, in any case; None: nobody is called so."""
    row = db.execute(
        "SELECT identity_id, name FROM identities WHERE name_key = ?", (identity_key(name),)
    ).fetchone()
    return None if row is None else (int(row[0]), str(row[1]))


def need(db: sqlite3.Connection, path: Path, name: str) -> Enrolled:
    """An identity by its name, in any case; raises GalleryError when nobody is called so."""
    found = find(db, name)
    if found is None:
        raise GalleryError(
            f"gallery {path}: nobody called {name!r} is enrolled; "
            "`edge-reid gallery list` shows who is"
        )
    return found


def find_or_enter(db: sqlite3.Connection, path: Path, name: str) -> int:
    """The number of an identity, entered if it is new.

    Raises:
        GalleryError: it is enrolled in another spelling.
    """
    found = find(db, name)
    if found is None:
        forget_erasure(db, name)
        row = (name, identity_key(name))
        added = db.execute("INSERT INTO identities (name, name_key) VALUES (?, ?)", row)
        return int(added.lastrowid or 0)
    check_spelling(path, name, found)
    return found[0]


def check_spelling(path: Path, name: str, found: Enrolled | None) -> None:
    """Raises GalleryError when somebody is enrolled by that name in another spelling."""
    if found and found[1] != name:
        raise GalleryError(
            f"gallery {path}: {name!r} is enrolled as {found[1]!r}; "
            "write it the same way, or give another name"
        )


def insert(db: sqlite3.Connection, path: Path, template: Template) -> Template:
    """Enter a template, with its identity if that is new; returns it as it is stored.

    Raises:
        GalleryError: its identity is enrolled in another spelling, or has one of that source.
    """
    name = identity_name(template.identity)
    row = (
        find_or_enter(db, path, name),
        template.model_id,
        pack(template.vector),
        float(template.quality),
        template.source_sha256,
        float(template.created_utc_s),
    )
    try:
        cursor = db.execute(
            "INSERT INTO templates (identity_id, model_id, vector, quality, source_sha256, "
            "created_utc_s) VALUES (?, ?, ?, ?, ?, ?)",
            row,
        )
    except sqlite3.IntegrityError as error:
        raise GalleryError(
            f"gallery {path}: {name!r} already has a template of the source "
            f"{template.source_sha256[:16]}…; leave it out"
        ) from error
    if template.photo_name is not None:
        db.execute("INSERT INTO photos VALUES (?, ?)", (cursor.lastrowid, template.photo_name))
    return replace(template, identity=name, template_id=cursor.lastrowid)


def rename(db: sqlite3.Connection, path: Path, identity: Enrolled, name: str) -> None:
    """Call an identity by another name; raises GalleryError when somebody else is called so."""
    number, known_as = identity
    other = find(db, name)
    if other and other[0] != number:
        raise GalleryError(
            f"gallery {path}: {other[1]!r} is enrolled already; "
            "`edge-reid gallery merge` joins the two"
        )
    if not other:
        note_erased(db, known_as)  # or a device's older version would bring it back
        forget_erasure(db, name)
    row = (identity_name(name), identity_key(name), number)
    db.execute("UPDATE identities SET name = ?, name_key = ? WHERE identity_id = ?", row)


def erase_if_empty(db: sqlite3.Connection, identity: Enrolled) -> bool:
    """Erase an identity that has no template any more; returns whether it had none."""
    if not is_empty(db, identity[0]):
        return False
    db.execute("DELETE FROM identities WHERE identity_id = ?", identity[:1])
    note_erased(db, identity[1])
    return True


def note_erased(db: sqlite3.Connection, name: str) -> None:
    """Have devices forget a name with the next version, and forget it here wherever it stands."""
    db.execute(
        "INSERT OR REPLACE INTO erasures VALUES (?, ?, ?)",
        (place_of(name), read_version(db) + 1, time.time()),
    )
    forget_name(db, name)


def forget_erasure(db: sqlite3.Connection, name: str) -> None:
    """The name is somebody's again."""
    db.execute("DELETE FROM erasures WHERE place = ?", (place_of(name),))
