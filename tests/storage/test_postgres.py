"""How a PostgreSQL database is addressed, and spoken to whatever its own settings are."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from support.decided_tracks import an_event
from support.postgres import Postgres
from support.simulated_archive import a_track

pytest.importorskip("psycopg", reason="psycopg is not installed (the extra `postgres`)")

import psycopg

from edge_reid.archive.archive_store import ArchiveModels
from edge_reid.archive.archive_urls import create_archive, open_archive
from edge_reid.archive.archived_track import VideoTracks
from edge_reid.consumers.event_query import EventQuery
from edge_reid.consumers.store_urls import open_store, read_events
from edge_reid.core.errors import StoreError, UsageError
from edge_reid.storage.postgres import checked_url

MODELS = ArchiveModels("0123456789abcdef", 4, "d" * 64)
NewDatabase = Callable[[Postgres, str], str]


@pytest.fixture
def new_database() -> NewDatabase:
    """Makes a database of SQL_ASCII with German dates, as a cluster without a locale has them."""

    def make(server: Postgres, name: str) -> str:
        with psycopg.connect(server.url, autocommit=True) as db:
            db.execute(
                f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'SQL_ASCII'"
                " LC_COLLATE 'C' LC_CTYPE 'C'"
            )
            db.execute(f"ALTER DATABASE {name} SET datestyle = 'German'")
        return server.url.replace("/postgres?", f"/{name}?")

    return make


def test_an_archive_reads_back_what_it_wrote_in_any_database(
    pgvector: Postgres, new_database: NewDatabase
) -> None:
    url = new_database(pgvector, "of_any_kind")
    track, vectors = a_track("Gäste.mp4", "gate", 1), np.eye(1, 4, dtype=np.float32)
    create_archive(url, MODELS).add(VideoTracks("1" * 64, (track,), vectors))
    found = open_archive(url).find(vectors[0], top=1, camera="gate", progress=lambda *_: None)
    assert [match.track for match in found.matches] == [track]
    assert create_archive(url, MODELS).has("1" * 64)


def test_no_name_of_a_camera_is_too_odd(pgvector: Postgres, new_database: NewDatabase) -> None:
    archive = create_archive(new_database(pgvector, "of_odd_cameras"), MODELS)
    track, vectors = a_track("1.mp4", "gate", 1), np.eye(1, 4, dtype=np.float32)
    archive.add(VideoTracks("1" * 64, (track,), vectors))

    def found(camera: str | None) -> int:
        progress = lambda *_: None  # noqa: E731
        return len(archive.find(vectors[0], top=9, camera=camera, progress=progress).matches)

    assert found("'; DROP TABLE edge_reid_archive.tracks CASCADE --") == 0
    for no_text in ("\udcff", "a\0b"):
        with pytest.raises(StoreError, match=r"^PostgreSQL: "):
            found(no_text)
    assert found(None) == 1


def test_so_does_a_sink(postgres: Postgres, new_database: NewDatabase) -> None:
    url = new_database(postgres, "of_any_kind")
    event = an_event(1).payload(1)
    store = open_store(url)
    store.write([event])
    store.expire(0.0)
    store.close()
    assert read_events(url, EventQuery()) == [event]


@pytest.mark.parametrize(
    "where",
    [
        "POSTGRESQL://me:s3cret@host/db",
        "postgresql:me:s3cret@host/db",
        "postgresql://me:s3%cret@host/db",
        "postgresql://me:s3cret@[::1]x/db",
        "postgresql://me:se/s3cret@[::1]x/db",
    ],
)
def test_what_is_no_address_is_said_without_its_password(where: str) -> None:
    with pytest.raises(UsageError, match=r"^--to: ") as refused:
        checked_url(where, "--to")
    assert "cret" not in str(refused.value)
    assert "PGPASSFILE" in str(refused.value)


def test_what_libpq_says_of_an_option_is_passed_on() -> None:
    with pytest.raises(UsageError, match='invalid URI query parameter: "ssl_mode"'):
        checked_url("postgresql://me@host/db?ssl_mode=require", "--to")
