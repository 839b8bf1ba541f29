"""The parts of People that need no agent: what is kept, how long, and the way back."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.gallery_examples import embeddings_of, snapshot_of, template, unit_vectors
from support.policies import policy_of
from support.set_clock import Clock

from edge_reid.agent.pipeline import Step
from edge_reid.core.bundled_models import EMBEDDING, shipped_model
from edge_reid.core.config.agent_settings import AgentSettings
from edge_reid.core.errors import GalleryError
from edge_reid.core.geometry import Box
from edge_reid.core.manifest import load_embedding_manifest
from edge_reid.core.types import Crop, Embedding, Frame, GallerySnapshot, Hit, HitType, Known
from edge_reid.gallery.store import GalleryStore
from edge_reid.matching.index import Index
from edge_reid.web import gallery_changes
from edge_reid.web.live_view import LiveView
from edge_reid.web.page_gallery import UNDO_S, GalleryChange, PageGallery
from edge_reid.web.pending_enrolments import KEPT_S, MOST, PendingEnrolments

BOX = Box(0, 0, 40, 100)
IMAGE = np.zeros((120, 160, 3), np.uint8)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def settings(tmp_path: Path) -> AgentSettings:
    """Of an agent whose gallery has two people with two templates each."""
    path, manifest = tmp_path / "gallery.db", load_embedding_manifest(shipped_model(EMBEDDING))
    vectors = unit_vectors(4, manifest.dimension)
    with GalleryStore.create(path, manifest.model_id, manifest.dimension) as store:
        for number, name in enumerate(("anna", "anna", "ben", "ben")):
            store.add(template(name, number, vector=vectors[number], model_id=manifest.model_id))
    camera = {"camera": "gate", "source": {"uri": "0"}}
    return AgentSettings.model_validate({"site": "lab", "gallery": path, **camera})


@pytest.fixture
def gallery(settings: AgentSettings, clock: Clock) -> Iterator[PageGallery]:
    page = PageGallery(settings, clock)
    yield page
    page.close()


def do(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)


def contents(settings: AgentSettings) -> list[tuple[str, int, bytes]]:
    """All templates in use."""
    with GalleryStore.open(settings.gallery) as store:
        return [
            (each.identity, each.template_id or 0, each.vector.tobytes())
            for each in store.templates()
        ]


@pytest.mark.parametrize(
    "change",
    [
        lambda store: gallery_changes.rename(store, "anna", "Anna B."),
        lambda store: gallery_changes.merge(store, "anna", "ben"),
        lambda store: gallery_changes.move(store, "anna", "carl", 1),
        lambda store: gallery_changes.disable(store, "anna", 1, "too dark"),
    ],
    ids=["rename", "merge", "move", "disable"],
)
def test_a_change_is_taken_back_to_what_was_there(
    settings: AgentSettings, gallery: PageGallery, change: Any
) -> None:
    before = contents(settings)
    do(gallery.change(change))
    assert contents(settings) != before
    last = gallery.last
    assert last is not None
    do(gallery.undo(last.number))
    assert contents(settings) == before
    with pytest.raises(GalleryError, match="expected the last change"):
        do(gallery.undo(last.number))


def test_what_was_removed_does_not_come_back(settings: AgentSettings, gallery: PageGallery) -> None:
    for act in (
        lambda store: gallery_changes.remove_template(store, "ben", 3),
        lambda store: gallery_changes.remove(store, "anna"),
    ):
        do(gallery.change(act))
        assert gallery.last is not None
        assert gallery.last.undo is None
        assert "anna" not in gallery.last.words
        with pytest.raises(GalleryError, match="expected the last change"):
            do(gallery.undo(gallery.last.number))


def test_a_merge_that_deleted_something_cannot_be_taken_back(
    settings: AgentSettings, gallery: PageGallery
) -> None:
    with GalleryStore.open(settings.gallery) as store:
        first = store.templates("anna")[0]
        store.add(template("ben", 9, vector=first.vector, model_id=first.model_id,
                           source_sha256=first.source_sha256))  # fmt: skip
    do(gallery.change(lambda store: gallery_changes.merge(store, "anna", "ben")))
    assert gallery.last is not None
    assert "1 of photos that both had were deleted" in gallery.last.words
    assert gallery.last.undo is None


def test_what_somebody_else_has_changed_since_is_not_taken_back(
    settings: AgentSettings, gallery: PageGallery
) -> None:
    do(gallery.change(lambda store: gallery_changes.rename(store, "anna", "carl")))
    assert gallery.last is not None
    with GalleryStore.open(settings.gallery) as store:
        store.remove("ben")
    with pytest.raises(GalleryError, match="somebody else has changed it since"):
        do(gallery.undo(gallery.last.number))
    assert {name for name, *_ in contents(settings)} == {"carl"}


def test_the_way_back_is_forgotten_in_time(
    settings: AgentSettings, gallery: PageGallery, clock: Clock
) -> None:
    do(gallery.change(lambda store: gallery_changes.rename(store, "anna", "carl")))
    clock.now_s += UNDO_S - 1
    assert gallery.last is not None
    clock.now_s += 2
    assert gallery.last is None


def test_a_change_that_fails_changes_nothing_and_the_last_one_stays(
    settings: AgentSettings, gallery: PageGallery
) -> None:
    do(gallery.change(lambda store: gallery_changes.rename(store, "anna", "carl")))
    before, last = contents(settings), gallery.last
    for act in (
        lambda store: gallery_changes.rename(store, "nobody", "x"),
        lambda store: gallery_changes.disable(store, "ben", 1, "another's"),
        lambda store: gallery_changes.enable(store, "ben", 3),
        lambda store: gallery_changes.move(store, "carl", "carl", 1),
    ):
        with pytest.raises(GalleryError):
            do(gallery.change(act))
    assert (contents(settings), gallery.last) == (before, last)
    do(gallery.change(lambda store: gallery_changes.disable(store, "ben", 3, "too dark")))
    with pytest.raises(GalleryError, match="got the only one in use"):
        do(gallery.change(lambda store: gallery_changes.disable(store, "ben", 4, "all")))


def test_a_gallery_that_is_damaged_is_not_changed(
    settings: AgentSettings, gallery: PageGallery
) -> None:
    settings.gallery.write_bytes(b"no database at all, but long enough to be looked at" * 40)
    with pytest.raises(GalleryError, match="gallery"):
        do(gallery.change(lambda store: gallery_changes.rename(store, "anna", "carl")))
    assert gallery.last is None


def test_pending_enrolments_are_taken_once_and_forgotten_in_time(clock: Clock) -> None:
    pending = PendingEnrolments(clock)

    def store(_: GalleryStore) -> GalleryChange:
        return GalleryChange("done")

    first = pending.put("anna", ("look again",), store)
    assert pending.take(first).concerns == ("look again",)
    for ticket in (first, "guessed", ""):
        with pytest.raises(GalleryError, match="enrol the person anew"):
            pending.take(ticket)
    old = pending.put("anna", (), store)
    clock.now_s += KEPT_S + 1
    with pytest.raises(GalleryError, match="enrol the person anew"):
        pending.take(old)
    pushed_out, *_ = [pending.put("anna", (), store) for _ in range(MOST + 1)]
    with pytest.raises(GalleryError, match="enrol the person anew"):
        pending.take(pushed_out)


def test_crops_are_found_by_track_and_go_with_the_person() -> None:
    view, index = LiveView(600), Index(snapshot_of(unit_vectors(2)))
    of_anna, of_other = embeddings_of(unit_vectors(2, seed=1), qualities=[0.4, 0.6])
    better = embeddings_of(unit_vectors(1, seed=2), qualities=[0.9])[0]
    decision = Known("id-0", 0.9, 0.6, None, 3)
    view.take(step_of([(1, of_anna), (2, of_other), (1, better)], decision), policy_of(index))
    assert [crop.embedding for crop in view.crops_of("gate", 1)] == [better, of_anna]
    assert view.crops_of("yard", 1) == ()
    view.rename("id-0", "id-1", 1)
    (record,) = view.hits
    assert isinstance(record.decision, Known)
    assert record.decision.identity == "id-1"
    view.tidy(Index(without("id-1", index)))
    assert (view.hits, view.crops_of("gate", 1)) == ((), ())
    assert len(view.crops_of("gate", 2)) == 1, "of somebody else"


def test_a_gallery_from_before_a_renaming_takes_nobody_for_gone() -> None:
    view, older = LiveView(600), snapshot_of(unit_vectors(2))
    newer = replace(older, identities=("anna", "id-1"), version=2)
    of_anna, _ = embeddings_of(unit_vectors(2, seed=1))
    step = step_of([(1, of_anna)], Known("id-0", 0.9, 0.6, None, 3))
    view.take(step, policy_of(Index(older)))
    view.rename("id-0", "anna", 2)
    view.tidy(Index(older))
    assert names_of(view) == ["anna"], "the agent has not read the gallery anew yet"
    view.take(step, policy_of(Index(older)))
    assert names_of(view) == ["anna"], "decided by that"
    view.tidy(Index(newer))
    assert names_of(view) == ["anna"]
    view.tidy(Index(replace(newer, identities=("ben", "id-1"), version=3)))
    assert names_of(view) == []


def test_who_was_merged_by_mistake_has_their_own_hits_again() -> None:
    view, both = LiveView(600), snapshot_of(unit_vectors(2))
    merged = replace(both, identities=("id-1", "id-2"), version=2)
    apart = replace(both, version=3)
    crops = embeddings_of(unit_vectors(3, seed=1))
    for track, name, crop in ((1, "id-0", 0), (2, "id-1", 1), (3, "id-0", 2)):
        step = step_of([(track, crops[crop])], Known(name, 0.9, 0.6, None, 3), track)
        view.take(step, policy_of(Index(both)))
    before = {record.track_id: record.naming for record in view.hits}
    renamed = view.rename("id-0", "id-1", 2)
    assert names_of(view) == ["id-1", "id-1", "id-1"]
    view.take(
        step_of([(3, crops[2])], Known("id-1", 0.8, 0.6, None, 3), 3), policy_of(Index(merged))
    )
    view.take_names_back(renamed, 3)
    view.tidy(Index(replace(merged)))
    after = {record.track_id: record.naming for record in view.hits}
    assert (after[1], after[2]) == (before[1], before[2])
    assert after[3].decision.identity == "id-1", "decided when they were one"
    view.tidy(Index(apart))
    assert names_of(view) == ["id-1", "id-1", "id-0"]


def names_of(view: LiveView) -> list[str]:
    return [one.decision.identity for one in view.hits if isinstance(one.decision, Known)]


def step_of(crops: list[tuple[int, Embedding]], decision: Known, of_track: int = 1) -> Step:
    """Of one camera, with a hit of one track."""
    cut = tuple(Crop(track, BOX, IMAGE[:100, :40], 0.5, 7.0) for track, _ in crops)
    theirs = tuple(embedding for track, embedding in crops if track == of_track)
    hit = Hit(
        HitType.NEW, decision, of_track, BOX, (160, 120), 7.0, 7.0, 7.0, 7.0, embeddings=theirs
    )
    embeddings = tuple(embedding for _, embedding in crops)
    return Step("gate", Frame(IMAGE, 0, 7.0), (hit,), (), {}, cut, embeddings)


def without(name: str, index: Index) -> GallerySnapshot:
    """A gallery of the same model in which somebody is not."""
    assert name in index
    return snapshot_of(unit_vectors(1))
