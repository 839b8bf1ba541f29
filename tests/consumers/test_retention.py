"""A sink deletes what is older than it should keep, now and then, once its store is there."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from support.decided_tracks import an_event
from support.postgres import Postgres

from edge_reid.consumers import retention
from edge_reid.consumers.event_query import EventQuery
from edge_reid.consumers.retention import Retention
from edge_reid.consumers.store_urls import open_store, read_events
from edge_reid.wire.events import rfc3339
from edge_reid.wire.payloads import EventPayload

DAY_S = 86_400.0


def aged(seq: int, days: float) -> EventPayload:
    decided_at = rfc3339(time.time() - days * DAY_S)
    return an_event(seq).payload(seq).model_copy(update={"decided_at": decided_at})


def test_what_is_too_old_goes_at_once_and_then_every_hour(tmp_path: Path) -> None:
    where = f"sqlite:///{tmp_path / 'hits.db'}"
    store = open_store(where)
    keeper = Retention(store, 90 * DAY_S)
    store.write([aged(1, 91), aged(2, 89)])
    keeper.turn()
    assert [event.seq for event in read_events(where, EventQuery())] == [2]
    store.write([aged(3, 91)])
    keeper.turn()
    assert [event.seq for event in read_events(where, EventQuery())] == [3, 2], "not yet"
    Retention(store, None).turn()
    assert len(read_events(where, EventQuery())) == 2, "nobody has said for how long"
    Retention(store, 90 * DAY_S).turn()
    store.close()
    assert [event.seq for event in read_events(where, EventQuery())] == [2]


def test_a_database_that_is_away_is_asked_again(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(retention, "RETRY_S", 0.0)
    where = postgres.new_place()
    store = open_store(where)
    store.write([aged(1, 91), aged(2, 89)])
    keeper = Retention(store, 90 * DAY_S)
    postgres.crash()
    keeper.turn()
    assert "old events not deleted yet" in caplog.text
    postgres.start()
    keeper.turn()
    store.close()
    assert [event.seq for event in read_events(where, EventQuery())] == [2]
