"""Unknown people get names: who is known again, who is not, and what each event says."""

from __future__ import annotations

import logging
import sqlite3
import time
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace

import numpy as np
import pytest
from support.decided_tracks import MODEL_ID, seen
from support.following_agent import MANIFEST

from edge_reid.core.config.agent_settings import AgentSettings
from edge_reid.core.config.decide_settings import StrangerSettings
from edge_reid.core.errors import ModelError
from edge_reid.core.types import HitType, Known
from edge_reid.matching.threshold import threshold_for
from edge_reid.strangers.recogniser import HANDOVER_S, VISITS_KEPT, StrangerRecogniser
from edge_reid.strangers.stranger_store import StrangerStore

DIMENSION = 64
QUANTILES = ((0.5, 0.1), (0.01, 0.5), (0.001, 0.7))
ANNA, BEN, ZOE = np.eye(DIMENSION)[:3]
NOISE = np.eye(DIMENSION)[10:]


def at(similarity: float, person: np.ndarray, towards: int = 0) -> np.ndarray:
    """A look at somebody, of this cosine to what they really look like."""
    return similarity * person + np.sqrt(1 - similarity**2) * NOISE[towards]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "strangers.db"


@pytest.fixture
def store(path):
    with StrangerStore.open_or_make(
        path, model_id=MODEL_ID, dimension=DIMENSION, keep_s=3600.0
    ) as store:
        yield store


def recogniser_of(store, camera="gate", clock=time.time, **settings):
    return StrangerRecogniser(
        store,
        StrangerSettings(keep_s=3600.0, **settings),
        camera=camera,
        origin="lab/device",
        impostor_quantiles=QUANTILES,
        purges=True,
        clock=clock,
    )


@pytest.fixture
def recogniser(store):
    return recogniser_of(store)


def new(recogniser, *sight, min_crops=3, **more):
    (hit,) = recogniser.assign([seen(HitType.NEW, *sight, **more)], min_crops)
    return hit.stranger


def end(recogniser, *sight, min_crops=3, **more):
    (hit,) = recogniser.assign([seen(HitType.END, *sight, **more)], min_crops)
    return hit.stranger


def names(store):
    return [each.name for each in store.strangers()]


def test_a_newcomer_has_a_name_from_the_end_of_the_track_on(recogniser, store):
    assert new(recogniser, 1, ANNA, 0.0, 2.0) is None
    assert names(store) == []
    name = end(recogniser, 1, ANNA, 0.0, 9.0)
    assert names(store) == [name]


def test_back_again_the_name_is_told_at_once_and_stays(recogniser, store):
    name = end(recogniser, 1, ANNA, 0.0, 9.0)
    assert new(recogniser, 2, at(0.9, ANNA), 60.0, 62.0) == name
    assert end(recogniser, 2, BEN, 60.0, 70.0) == name  # whatever it looks like in the end
    (anna,) = store.strangers()
    assert (anna.times_seen, anna.last_seen_utc_s) == (2, 70.0)


def test_who_is_recognised_only_by_the_whole_track_has_the_name_at_its_end(recogniser):
    name = end(recogniser, 1, ANNA, 0.0, 9.0)
    assert new(recogniser, 2, at(0.3, ANNA), 60.0, 62.0) is None
    assert end(recogniser, 2, at(0.9, ANNA), 60.0, 70.0) == name


def test_the_threshold_comes_from_the_model_and_rises_with_the_people(recogniser, store):
    end(recogniser, 1, ANNA, 0.0, 9.0)
    alone = threshold_for(QUANTILES, 0.002, 1)
    assert new(recogniser, 2, at(alone + 0.01, ANNA), 20.0, 22.0) is not None
    assert new(recogniser, 3, at(alone - 0.01, ANNA), 40.0, 42.0) is None
    for number in range(4):
        end(recogniser, 10 + number, NOISE[20 + number], 0.0, 9.0)
    of_five = threshold_for(QUANTILES, 0.002, 5)
    assert of_five > alone
    fresh = recogniser_of(store)
    assert new(fresh, 4, at(of_five - 0.01, ANNA), 60.0, 62.0) is None
    assert new(fresh, 5, at(of_five + 0.01, ANNA), 80.0, 82.0) is not None


def test_the_nearest_is_meant(recogniser):
    end(recogniser, 1, ANNA, 0.0, 9.0)
    twin = at(0.9, ANNA)
    second = end(recogniser, 2, twin, 1.0, 8.0)  # at the same time, so somebody else
    assert new(recogniser, 3, at(0.99, twin, towards=1), 60.0, 62.0) == second


def test_when_two_have_swapped_tracks_their_names_go_along(recogniser):
    anna, ben = end(recogniser, 1, ANNA, 0.0, 9.0), end(recogniser, 2, BEN, 0.0, 9.0)
    assert new(recogniser, 3, ANNA, 60.0, 62.0) == anna
    assert new(recogniser, 4, BEN, 60.0, 62.0) == ben
    swapped = [seen(HitType.UPDATE, 3, BEN, 60.0, 70.0), seen(HitType.UPDATE, 4, ANNA, 60.0, 70.0)]
    assert [hit.stranger for hit in recogniser.assign(swapped, 3)] == [ben, anna]
    assert end(recogniser, 3, BEN, 60.0, 80.0) == ben
    assert end(recogniser, 4, ANNA, 60.0, 80.0) == anna


class TestVisits:
    def test_the_track_that_goes_on_with_a_visit_has_its_name_though_both_were_in_view(
        self, recogniser, store
    ):
        """Anna's track ended, and she goes on as Ben's, who began before her end."""
        anna = end(recogniser, 1, ANNA, 0.0, 3.0)
        assert end(recogniser, 2, ANNA, 0.0, 9.0, continues=1) == anna
        assert names(store) == [anna]

    def test_its_name_is_told_from_the_beginning_on(self, recogniser):
        anna = end(recogniser, 1, ANNA, 0.0, 9.0)
        assert new(recogniser, 2, at(0.3, ANNA), 11.0, 12.0, continues=1) == anna
        assert end(recogniser, 2, at(0.3, ANNA), 11.0, 20.0, continues=1) == anna
        assert end(recogniser, 3, at(0.3, ANNA), 22.0, 30.0, continues=1) == anna

    def test_of_a_visit_without_a_name_the_looks_decide(self, recogniser):
        anna = end(recogniser, 1, ANNA, 0.0, 9.0)
        assert end(recogniser, 3, at(0.9, ANNA), 60.0, 70.0, continues=2) == anna

    def test_only_the_newest_visits_are_kept(self, recogniser):
        anna = end(recogniser, 1, ANNA, 0.0, 9.0)
        for number in range(2, 2 + VISITS_KEPT):
            end(recogniser, number, BEN, 10.0 * number, 10.0 * number + 5)
        assert end(recogniser, 999, ZOE, 11.0, 12.0, continues=1) != anna


class TestNobodyIsInTwoPlaces:
    def test_two_who_were_in_view_together_are_two(self, recogniser, store):
        assert end(recogniser, 1, ANNA, 0.0, 9.0) != end(recogniser, 2, ANNA, 5.0, 12.0)
        assert len(names(store)) == 2

    def test_but_a_track_may_take_over_from_another(self, recogniser, store):
        first = end(recogniser, 1, ANNA, 0.0, 9.0)
        assert end(recogniser, 2, ANNA, 9.0 - HANDOVER_S / 2, 20.0) == first
        assert len(names(store)) == 1

    def test_somebody_in_view_is_not_also_another_track(self, recogniser):
        name = end(recogniser, 1, ANNA, 0.0, 9.0)
        assert new(recogniser, 2, ANNA, 60.0, 62.0) == name
        assert new(recogniser, 3, ANNA, 60.5, 62.5) is None
        assert end(recogniser, 3, ANNA, 60.5, 70.0) not in (None, name)
        assert end(recogniser, 2, ANNA, 60.0, 80.0) == name

    def test_cameras_may_see_the_same_person_together(self, recogniser, store):
        name = end(recogniser, 1, ANNA, 0.0, 9.0)
        assert end(recogniser_of(store, "door"), 1, ANNA, 3.0, 12.0) == name


def test_somebody_who_turns_out_to_be_known_is_no_stranger(recogniser, store):
    end(recogniser, 1, BEN, 0.0, 9.0)
    name = new(recogniser, 2, BEN, 20.0, 22.0)
    known = replace(
        seen(HitType.NEW, 2, BEN, 20.0, 25.0), decision=Known("anna", 0.9, 0.7, None, 5)
    )
    (told,) = recogniser.assign([known], 3)
    assert told.stranger is None
    assert len(names(store)) == 1
    assert new(recogniser, 3, BEN, 30.0, 32.0) == name  # nobody holds the name any more


def test_too_few_crops_are_too_little_to_know_anybody_by(recogniser, store):
    name = end(recogniser, 1, ANNA, 0.0, 9.0)
    assert end(recogniser, 2, BEN, 20.0, 21.0, crops=2) is None
    assert end(recogniser, 3, ANNA, 20.0, 21.0, crops=2) is None
    assert names(store) == [name]


def test_how_many_crops_are_enough_may_change_while_it_runs(store):
    recogniser = recogniser_of(store)
    assert end(recogniser, 1, ANNA, 0.0, 9.0, crops=5, min_crops=6) is None
    assert end(recogniser, 2, ANNA, 20.0, 29.0, crops=6, min_crops=6) is not None


class TestTime:
    def test_who_was_seen_too_long_ago_is_somebody_new(self, recogniser):
        name = end(recogniser, 1, ANNA, 0.0, 9.0)
        assert end(recogniser, 2, ANNA, 9.0 + 3601.0, 3650.0) not in (None, name)

    def test_also_when_the_clock_of_the_video_went_back(self, recogniser):
        name = end(recogniser, 1, ANNA, 1e9, 1e9 + 9)
        assert end(recogniser, 2, ANNA, 0.0, 9.0) not in (None, name)

    def test_while_it_runs_whoever_is_due_is_forgotten(self, store, monkeypatch):
        monkeypatch.setattr("edge_reid.strangers.recogniser.PURGE_INTERVAL_S", 0.0)
        now = [1e9]
        recogniser = recogniser_of(store, clock=lambda: now[0])
        end(recogniser, 1, ANNA, 0.0, 9.0)
        now[0] += 3601.0
        recogniser.forget_due()
        assert names(store) == []

    def test_not_more_often_than_needed(self, store, monkeypatch):
        now = [1e9]
        recogniser = recogniser_of(store, clock=lambda: now[0])
        name = end(recogniser, 1, ANNA, 0.0, 9.0)
        now[0] += 3601.0
        recogniser.forget_due()
        assert names(store) == [name]


class TestOthers:
    def test_what_another_agent_of_the_device_has_seen_is_known(self, recogniser, path):
        with StrangerStore.open(path) as other:
            name = end(recogniser_of(other, "door"), 1, ANNA, 0.0, 9.0)
        assert new(recogniser, 1, ANNA, 20.0, 22.0) == name

    def test_a_merge_while_the_agent_runs(self, recogniser, path, store):
        first, second = end(recogniser, 1, ANNA, 0.0, 9.0), end(recogniser, 2, BEN, 0.0, 9.0)
        with StrangerStore.open(path) as other:
            other.merge(second, first)
        assert (
            new(recogniser, 3, at(0.9, ANNA + BEN) / np.linalg.norm(at(0.9, ANNA + BEN)), 30, 32)
            == first
        )

    def test_a_change_in_the_middle_of_reading_is_noticed_later(self, path):
        class Interrupted(StrangerStore):
            """Another agent writes as soon as this one has read."""

            def strangers(self):
                found = super().strangers()
                if not found:
                    with StrangerStore.open(path) as other:
                        told.append(end(recogniser_of(other, "door"), 1, ANNA, 0.0, 9.0))
                return found

        told: list[str] = []
        with Interrupted.open_or_make(
            path, model_id=MODEL_ID, dimension=DIMENSION, keep_s=3600.0
        ) as store:
            recogniser = recogniser_of(store)
            assert new(recogniser, 1, ANNA, 20.0, 22.0) is None
            assert [new(recogniser, 2, ANNA, 30.0, 32.0)] == told

    def test_forgotten_while_in_view_nothing_is_kept(self, recogniser, path, store):
        name = end(recogniser, 1, ANNA, 0.0, 9.0)
        assert new(recogniser, 2, ANNA, 30.0, 32.0) == name
        with StrangerStore.open(path) as other:
            other.forget(name)
        assert end(recogniser, 2, ANNA, 30.0, 40.0) == name
        assert names(store) == []


def test_the_same_hits_give_the_same_names(tmp_path):
    told = []
    for number in range(2):
        with StrangerStore.open_or_make(
            tmp_path / f"{number}.db", model_id=MODEL_ID, dimension=DIMENSION, keep_s=3600.0
        ) as store:
            recogniser = recogniser_of(store)
            rng = np.random.default_rng(0)
            looks = [at(0.97, (ANNA, BEN, ZOE)[n % 3], int(rng.integers(40))) for n in range(30)]
            told.append(
                [end(recogniser, n, look, 20.0 * n, 20.0 * n + 9) for n, look in enumerate(looks)]
            )
    assert told[0] == told[1]
    assert len(set(told[0])) == 3


class TestTrouble:
    @pytest.fixture
    def hogged(self, path, store, monkeypatch):
        """`with hogged():` another program holds the file."""
        store._db.execute("PRAGMA busy_timeout = 10")

        @contextmanager
        def hold():
            with closing(sqlite3.connect(path, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                yield

        return hold

    def test_a_full_disk_costs_names_and_no_event(self, recogniser, store, caplog):
        store._db.execute("PRAGMA max_page_count = 1")  # no larger than it is now
        hits = [seen(HitType.END, n, NOISE[n], 20.0 * n, 20.0 * n + 9) for n in range(40)]
        with caplog.at_level(logging.ERROR):
            told = [recogniser.assign([hit], 3)[0] for hit in hits]
        assert [hit.track_id for hit in told] == list(range(40))
        assert told[-1].stranger is None
        assert len(caplog.records) == 1
        assert "disk is full" in caplog.text
        store._db.execute("PRAGMA max_page_count = 1000000")
        assert end(recogniser, 50, NOISE[41], 900.0, 909.0) is not None

    def test_each_time_of_trouble_is_told_once(self, recogniser, hogged, caplog):
        for start_s in (0.0, 100.0):
            with hogged():
                for track_id in range(3):
                    assert end(recogniser, track_id, BEN, start_s, start_s + 9) is None
            assert end(recogniser, 9, BEN, start_s + 20, start_s + 29) is not None
        assert len(caplog.records) == 2
        assert all("not known again" in each.getMessage() for each in caplog.records)

    def test_who_cannot_be_forgotten_is_told_in_other_words(
        self, recogniser, hogged, caplog, monkeypatch
    ):
        monkeypatch.setattr("edge_reid.strangers.recogniser.PURGE_INTERVAL_S", 0.0)
        recogniser = recogniser_of(recogniser._store)
        for _ in range(2):
            with hogged():
                recogniser.forget_due()
                recogniser.forget_due()
            recogniser.forget_due()
        told = [each.getMessage() for each in caplog.records]
        assert len(told) == 2
        assert all("unknown people are kept too long: " in each for each in told)

    def test_a_name_that_was_told_stays_though_the_end_cannot_be_kept(self, recogniser, hogged):
        name = end(recogniser, 1, ANNA, 0.0, 9.0)
        assert new(recogniser, 2, ANNA, 30.0, 32.0) == name
        with hogged():
            assert end(recogniser, 2, ANNA, 30.0, 40.0) == name
        assert new(recogniser, 3, ANNA, 60.0, 62.0) == name  # the track does not hold it any more

    def test_a_model_without_impostor_similarities_is_refused_at_the_start(self, tmp_path):
        settings = AgentSettings.model_validate(
            {
                "site": "lab",
                "camera": "gate",
                "agent": "gate-1",
                "gallery": tmp_path / "gallery.db",
                "source": {"uri": "0"},
                "strangers": {},
            }
        )
        blind = MANIFEST.model_copy(update={"impostor_quantiles": ()})
        with ExitStack() as stack, pytest.raises(ModelError, match="impostor_quantiles"):
            StrangerRecogniser.open(settings, blind, camera="gate", is_live=True, stack=stack)
        assert not settings.strangers_path.exists()
