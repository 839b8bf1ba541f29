"""The SQLite file of what other devices say of strangers: its tables, made anew when damaged."""

from __future__ import annotations

import logging
import sqlite3
import time

from edge_reid.core.errors import DamagedError
from edge_reid.storage.database import Database, DatabaseKind, is_damage
from edge_reid.storage.quarantine import remove
from edge_reid.storage.row_checksums import seal
from edge_reid.storage.soundness import migrate, open_sound
from edge_reid.storage.sqlite import made_beside

BUSY_TIMEOUT_S = 5.0

_TABLES = (
    """CREATE TABLE sharing (
        only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
        model_id TEXT NOT NULL,
        dimension INTEGER NOT NULL,
        last_edition INTEGER NOT NULL,  -- of all that this agent has ever said
        erased_through_utc_s REAL  -- everything written until then is erased; NULL: nothing
    )""",
    """CREATE TABLE heard (
        heard_id INTEGER PRIMARY KEY AUTOINCREMENT,
        agent TEXT NOT NULL,
        name TEXT NOT NULL,
        edition INTEGER NOT NULL,
        camera TEXT NOT NULL,
        first_seen_utc_s REAL NOT NULL,
        last_seen_utc_s REAL NOT NULL,
        forgotten_utc_s REAL NOT NULL,
        vector BLOB,  -- NULL: withdrawn; the row stays so long, lest an old message bring it back
        UNIQUE (agent, name)
    )""",
    """CREATE TABLE former_names (
        name TEXT PRIMARY KEY,
        present TEXT NOT NULL,
        agent TEXT NOT NULL,  -- who says so; '' for this one
        forgotten_utc_s REAL NOT NULL
    )""",
    """CREATE TABLE erased_names (
        name TEXT PRIMARY KEY,
        erased_utc_s REAL NOT NULL
    )""",
    """CREATE TABLE erasures (
        erasure_id TEXT PRIMARY KEY,
        done_utc_s REAL NOT NULL
    )""",
)
HEARD = DatabaseKind(
    noun="heard strangers",
    application_id=0x65726853,  # `erhS`
    migrations=(_TABLES,),
    keys={
        "sharing": "only_row",
        "heard": "heard_id",
        "former_names": "name",
        "erased_names": "name",
        "erasures": "erasure_id",
    },
    description="strangers that other devices have told of",
    if_other="move it",
    if_damaged="restart the agent, which starts a new one, or delete it",
)
_log = logging.getLogger(__name__)


def open_or_make(file: Database, model_id: str, dimension: int) -> sqlite3.Connection:
    """The file, made if there is none; one that is damaged is replaced: it is heard anew.

    Raises:
        GalleryError: it is of another kind, of a newer edge-reid, or cannot be made.
    """
    if not file.path.exists():
        _make(file, model_id, dimension)
    try:
        return open_sound(file, BUSY_TIMEOUT_S)
    except (DamagedError, sqlite3.Error, UnicodeDecodeError) as error:
        if isinstance(error, sqlite3.Error) and not is_damage(error):
            raise
        _log.error("heard strangers %s: was damaged, and a new one is started", file.path)
    remove(file.path)
    _make(file, model_id, dimension)
    return open_sound(file, BUSY_TIMEOUT_S)


def _make(file: Database, model_id: str, dimension: int) -> None:
    now_ms = int(time.time() * 1000)  # others know editions of a file that is lost: rise over those
    with made_beside(file, BUSY_TIMEOUT_S) as connection:
        migrate(connection, HEARD)
        connection.execute(
            "INSERT INTO sharing VALUES (1, ?, ?, ?, NULL)", (model_id, dimension, now_ms)
        )
        seal(connection, HEARD.keys)
