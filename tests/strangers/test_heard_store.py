"""What other devices say of strangers, on disk: the newest of it, and no longer than it holds."""

from __future__ import annotations

import dataclasses
import stat
import time
from dataclasses import replace

import pytest
from support.gallery_examples import DIMENSION, MODEL, OTHER_MODEL
from support.stranger_examples import looks

from edge_reid.core.errors import GalleryError
from edge_reid.gallery.store import GalleryStore
from edge_reid.matching.vectors import pack
from edge_reid.strangers.heard_purge import purge_others
from edge_reid.strangers.heard_store import HeardStrangerStore
from edge_reid.strangers.heard_stranger import HeardStranger
from edge_reid.wire.payloads import NUMBER_MAX

MOST = 100
ANON, OTHER, THIRD = "anon-aaaaaa-1", "anon-bbbbbb-2", "anon-cccccc-3"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "heard.db"


def opened(path, model_id=MODEL):
    return HeardStrangerStore.open_or_make(path, model_id=model_id, dimension=DIMENSION)


@pytest.fixture
def store(path):
    with opened(path) as store:
        yield store


def heard(name=ANON, agent="gate-1", edition=1, seed=1, **changes):
    person = HeardStranger(
        agent, name, edition, (), "gate", 10.0, 20.0, 1000.0, looks(seed)[0].vector
    )
    return replace(person, **changes)


def names(store):
    return [(each.agent, each.name) for each in store.people()]


def test_what_was_heard_is_there_again_later(path, store):
    person = heard(formerly=(OTHER,))
    assert store.learn([person], [], MOST) == 0
    with opened(path) as again:
        (found,) = again.people()
    assert pack(found.vector) == pack(person.vector)
    fields = {field.name for field in dataclasses.fields(person)} - {"vector"}
    assert {it: getattr(found, it) for it in fields} == {it: getattr(person, it) for it in fields}


def test_the_file_is_its_owners_alone(path, store):
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_of_two_messages_the_higher_edition_holds_in_whatever_order_they_come(store):
    assert store.learn([heard(edition=5, camera="new"), heard(edition=4)], [], MOST) == 1
    assert [each.camera for each in store.people()] == ["new"]
    assert store.learn([heard(edition=6, camera="newer")], [], MOST) == 0
    assert [each.camera for each in store.people()] == ["newer"]


def test_what_is_known_comes_again_with_every_connection_and_is_not_refused(store):
    told = [heard(edition=5), heard(OTHER, edition=6)]
    store.learn(told, [], MOST)
    assert store.learn(told, [], MOST) == 0
    assert store.learn([heard(edition=4)], [], MOST) == 1
    assert names(store) == [("gate-1", ANON), ("gate-1", OTHER)]


def test_two_devices_may_speak_of_one_person(store):
    store.learn([heard(), heard(agent="yard-1")], [], MOST)
    assert names(store) == [("gate-1", ANON), ("yard-1", ANON)]
    store.learn([], [("gate-1", ANON)], MOST)
    assert names(store) == [("yard-1", ANON)]


def test_who_was_withdrawn_comes_with_something_newer_only(store):
    store.learn([heard(edition=5)], [], MOST)
    store.learn([], [("gate-1", ANON)], MOST)
    assert store.learn([heard(edition=5)], [], MOST) == 1
    assert names(store) == []
    assert store.learn([heard(edition=6)], [], MOST) == 0
    assert names(store) == [("gate-1", ANON)]


def test_who_is_due_is_overwritten(path, store):
    gone = heard(forgotten_utc_s=100.0)
    store.learn([gone, heard(OTHER, seed=2)], [], MOST)
    store.purge(100.0, keep_s=5000.0)
    assert names(store) == [("gate-1", OTHER)]
    assert pack(gone.vector) not in on_disk(path)


def test_a_clock_that_was_set_back_keeps_nobody_longer(store):
    store.learn([heard(forgotten_utc_s=1e9)], [], MOST)
    store.purge(0.0, keep_s=50.0)
    store.purge(51.0, keep_s=50.0)
    assert names(store) == []


def test_who_has_told_of_most_loses_the_longest_unseen(store):
    store.learn([heard(agent="gate-1")], [], 4)
    flood = [
        heard(f"anon-bbbbbb-{number}", "yard-1", seed=number, last_seen_utc_s=float(number))
        for number in range(1, 20)
    ]
    store.learn(flood, [], 4)
    assert names(store) == [
        ("gate-1", ANON),
        *(("yard-1", f"anon-bbbbbb-{number}") for number in (17, 18, 19)),
    ]


class TestErasure:
    def test_nothing_is_left_of_them_and_they_do_not_come_again(self, path, store):
        gone = heard()
        store.learn([gone, heard(OTHER, seed=2)], [], MOST)
        store.erase(frozenset({ANON}), 50.0)
        assert names(store) == [("gate-1", OTHER)]
        assert pack(gone.vector) not in on_disk(path)
        assert store.learn([heard(edition=9), heard(agent="yard-1")], [], MOST) == 2
        assert names(store) == [("gate-1", OTHER)]

    def test_everybody(self, store):
        store.learn([heard(), heard(OTHER)], [], MOST)
        assert store.erased_through_utc_s is None
        store.erase(None, 50.0)
        store.erase(None, 40.0)
        assert names(store) == []
        assert store.erased_through_utc_s == 50.0
        assert store.learn([heard(edition=1)], [], MOST) == 1

    def test_which_are_done_is_known_after_a_restart(self, path, store):
        store.note_erasure("e-1", 1.0)
        with opened(path) as again:
            assert again.erasures() == {"e-1"}


class TestFormerNames:
    def test_whatever_one_of_them_is_called_by_the_others_are_found(self, store):
        store.learn([heard(formerly=(OTHER,))], [], MOST)
        store.rename(THIRD, OTHER, 1000.0)
        expected = {ANON, OTHER, THIRD}
        assert [store.present_names([name]) for name in sorted(expected)] == 3 * [expected]

    def test_ours_follow_from_name_to_name(self, store):
        store.rename(THIRD, OTHER, 1000.0)
        store.rename(OTHER, ANON, 1000.0)
        assert store.renamed() == {THIRD: ANON, OTHER: ANON}

    def test_nobody_elses_word_counts_for_ours(self, store):
        store.rename(THIRD, ANON, 1000.0)
        store.learn([heard(OTHER, formerly=(THIRD,))], [], MOST)
        assert store.renamed() == {THIRD: ANON}


def test_editions_rise_over_restarts(path, store):
    first, second, third = store.next_editions(3)
    assert (second, third) == (first + 1, first + 2)
    with opened(path) as again:
        assert list(again.next_editions(2)) == [third + 1, third + 2]


def test_editions_rise_also_over_a_file_that_is_lost(path, store):
    (last,) = store.next_editions(1)
    store.close()
    path.unlink()
    time.sleep(0.01)
    with opened(path) as again:
        (first,) = again.next_editions(1)
    assert last < first <= NUMBER_MAX


def test_of_another_model_nobody_is_kept(path, store):
    store.learn([heard()], [], MOST)
    store.close()
    with opened(path, OTHER_MODEL) as again:
        assert names(again) == []


def test_a_damaged_file_is_replaced_and_another_kind_refused(path, store, tmp_path):
    store.learn([heard()], [], MOST)
    store.close()
    body = bytearray(path.read_bytes())
    at = body.index(ANON.encode())
    body[at + 5] ^= 1
    path.write_bytes(body)
    with opened(path) as again:
        assert names(again) == []
    GalleryStore.create(tmp_path / "gallery.db", MODEL, DIMENSION).close()
    with pytest.raises(GalleryError, match="expected strangers that other devices have told of"):
        opened(tmp_path / "gallery.db")


def test_what_a_renamed_agent_has_heard_is_forgotten_in_time_too(tmp_path, caplog):
    ours, old = (tmp_path / f"heard-strangers-{name}.db" for name in ("new", "old"))
    gone = heard(forgotten_utc_s=100.0)
    for path in (ours, old):
        with opened(path) as store:
            store.learn([gone, heard(OTHER, seed=2)], [], MOST)
    (tmp_path / "heard-strangers-spoilt.db").write_bytes(b"no database" * 100)
    purge_others(ours, 100.0, keep_s=5000.0)
    with opened(old) as store:
        assert names(store) == [("gate-1", OTHER)]
    assert pack(gone.vector) not in old.read_bytes()
    with opened(ours) as store:
        assert len(names(store)) == 2  # its own agent does that
    assert "heard-strangers-spoilt.db" in caplog.text


def on_disk(path):
    return b"".join(file.read_bytes() for file in path.parent.iterdir())
