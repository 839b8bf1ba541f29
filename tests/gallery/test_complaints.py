"""What operators say of a template that misled: kept in the gallery, told by its doctor."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.gallery_examples import DIMENSION, MODEL, template

from edge_reid.gallery.findings import Bars, Finding, Kind
from edge_reid.gallery.gallery_doctor import examine
from edge_reid.gallery.gallery_tables import GALLERY
from edge_reid.gallery.store import GalleryStore

BARS = Bars(threshold=0.75, margin=0.05, genuine=None, quality=0.2)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[GalleryStore]:
    """anna has templates 1 and 2, ben 3."""
    with GalleryStore.create(tmp_path / "gallery.db", MODEL, DIMENSION) as made:
        anna = template("anna", 1)
        made.add_all([anna, replace(template("anna", 2), vector=anna.vector), template("ben", 3)])
        yield made


def found(store: GalleryStore) -> list[Finding]:
    return list(examine(store.templates(), BARS, complaints=store.complaints()))


def test_one_complaint_is_told_and_left_to_the_operator(store: GalleryStore) -> None:
    version = store.version
    store.complain(1, similarity=0.78, event_id="first")
    store.complain(1, similarity=0.78, event_id="first")
    assert store.version == version, "nothing of it is published"
    (finding,) = found(store)
    assert (finding.kind, finding.identity, finding.template_ids) == (
        Kind.COMPLAINED_OF,
        "anna",
        (1,),
    )
    assert not finding.disable
    assert "operators said once, last on 20" in finding.reason
    assert "similarity 0.78, the agent names somebody from 0.75 on" in finding.reason


def test_a_second_one_is_enough_unless_it_is_all_there_is_of_somebody(store: GalleryStore) -> None:
    for event_id, number in (("a", 1), ("b", 1), ("c", 3), ("d", 3), ("e", 3)):
        store.complain(number, similarity=0.8, event_id=event_id)
    told = {finding.template_ids[0]: finding for finding in found(store)}
    assert told[1].disable
    assert not told[3].disable, "ben would be gone"
    assert "3 times" in told[3].reason


def test_it_is_there_after_a_restart_and_in_a_format_that_older_releases_read(
    store: GalleryStore,
) -> None:
    store.complain(1, similarity=0.78, event_id="first")
    with GalleryStore.open(store.path) as again:
        assert [one.template_id for one in again.complaints()] == [1]
    with sqlite3.connect(store.path) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (4,) == (GALLERY.format,)


def test_it_goes_with_the_person_and_no_byte_of_it_stays(store: GalleryStore) -> None:
    store.complain(1, similarity=0.78, event_id="an-event-of-anna")
    assert b"an-event-of-anna" in b"".join(files_of(store))
    store.remove("anna")
    assert store.complaints() == ()
    assert b"an-event-of-anna" not in b"".join(files_of(store))


def files_of(store: GalleryStore) -> list[bytes]:
    return [path.read_bytes() for path in store.path.parent.glob(f"{store.path.name}*")]


def test_a_template_that_is_somebody_elses_now_misled_nobody(store: GalleryStore) -> None:
    store.complain(1, similarity=0.78, event_id="first")
    store.move("anna", "ben", [1])
    assert store.complaints() == ()


def test_whoever_enables_a_template_again_knows_better(store: GalleryStore) -> None:
    store.complain(1, similarity=0.78, event_id="first")
    store.disable({1: "misled"})
    assert found(store) == []
    store.enable([1])
    assert store.complaints() == ()


def test_a_template_that_is_gone_is_not_complained_of(store: GalleryStore) -> None:
    store.complain(99, similarity=0.78, event_id="first")
    assert store.complaints() == ()
