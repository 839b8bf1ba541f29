"""Two people of the clip walk towards each other; each has the right name when they have parted."""

from __future__ import annotations

import json
import shutil
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from support import staged_scenes as staged

from edge_reid.agent.pipeline import Pipeline
from edge_reid.agent.policy import MatchPolicy, PolicyHolder
from edge_reid.capture.open_source import open_source
from edge_reid.core.bundled_models import default_model
from edge_reid.core.config.agent_settings import AgentSettings
from edge_reid.core.config.settings_file import load_settings
from edge_reid.core.types import Hit, HitType, Known
from edge_reid.gallery.store import GalleryStore
from edge_reid.matching.gallery_thresholds import GalleryThresholds
from edge_reid.matching.index import Index
from edge_reid.vision.detect import load_detector
from edge_reid.vision.embed import Embedder

RED, BROWN = "red-sleeves", "brown-jacket"
pytestmark = pytest.mark.e2e

FRAMES = 100
PARTED = 60
"""From this frame on they are a step apart again, and have been looked at."""


class Boxed(NamedTuple):
    """A box at a frame, and the name that its track was last told by."""

    frame: int
    track_id: int
    middle_px: float
    name: str | None


def walk(start_px: float, meeting_px: float, end_px: float) -> np.ndarray:
    half = FRAMES // 2
    return np.concatenate(
        [np.linspace(start_px, meeting_px, half), np.linspace(meeting_px, end_px, half)]
    )


def watch(clip: Path, settings: AgentSettings) -> tuple[list[Boxed], list[Hit]]:
    embedder = Embedder(settings.models.embedding)
    with GalleryStore.open(settings.gallery) as store:
        index = Index(store.snapshot())
    (camera,) = settings.cameras.values()
    pipeline = Pipeline(
        "gate",
        detector=load_detector(settings.models.detector),
        embedder=embedder,
        policies=PolicyHolder(
            MatchPolicy(index, settings.decide, GalleryThresholds.of(embedder.manifest))
        ),
        settings=camera,
    )
    told: dict[int, str | None] = {}
    boxes: list[Boxed] = []
    hits: list[Hit] = []
    with open_source(camera.source) as source:
        for frame in source:
            step = pipeline.step(frame)
            hits += step.hits
            for hit in step.hits:
                known = isinstance(hit.decision, Known)
                told[hit.track_id] = hit.decision.identity if known else None
            boxes += [
                Boxed(frame.index, track.track_id, track.box.centre[0], told.get(track.track_id))
                for track in step.tracks
                if track.observed
            ]
    return boxes, [*hits, *pipeline.finish().hits]


def unmeasured(folder: Path) -> Path:
    """The default model, of which nobody measured how alike people are to themselves: with it the
    tracker goes by places alone.
    """
    model = default_model("embedding")
    copy = Path(shutil.copy(model, folder))
    manifest = json.loads(model.with_suffix(".json").read_text(encoding="utf-8"))
    manifest["genuine_quantiles"] = []
    copy.with_suffix(".json").write_text(json.dumps(manifest), encoding="utf-8")
    return copy


def play(
    gallery: Path, folder: Path, *, model: Path | None = None, **ends_px: float
) -> tuple[list[Boxed], list[Hit]]:
    """Red comes from the left, Brown, in front, from the right; where each goes in the end."""
    clip = folder / "scene.mp4"
    walks = {RED: walk(150, 372, ends_px["red"]), BROWN: walk(600, 385, ends_px["brown"])}
    staged.write_scene(clip, walks)
    own = {"site": "lab", "camera": "gate", "gallery": gallery, "source": {"uri": str(clip)}}
    models = {"models": {"embedding": model}} if model else {}
    return watch(clip, load_settings(None, own | models))


def hide(gallery: Path, folder: Path) -> list[Hit]:
    """Brown walks behind Red, stays there for a while, and comes out where they came from."""
    clip = folder / "scene.mp4"
    still = 26
    brown = np.concatenate(
        [np.linspace(600, 380, 40), np.full(still, 380), np.linspace(380, 640, 50)]
    )
    red = np.concatenate(
        [np.linspace(150, 376, 40), np.full(still, 376), np.linspace(376, 120, 50)]
    )
    staged.write_scene(clip, {BROWN: brown, RED: red})
    own = {"site": "lab", "camera": "gate", "gallery": gallery, "source": {"uri": str(clip)}}
    return watch(clip, load_settings(None, own))[1]


def names_of(boxes: list[Boxed], *, left: str, right: str) -> tuple[int, int]:
    """(boxes that have the right name after the meeting, all)."""
    after = [each for each in boxes if each.frame >= PARTED]
    return sum(each.name == (left if each.middle_px < 380 else right) for each in after), len(after)


def sides_of(boxes: list[Boxed]) -> dict[int, set[bool]]:
    """By track, whether it was on the left, before and after the meeting."""
    sides = defaultdict(set)
    for each in boxes:
        if each.frame < 40 or each.frame >= PARTED:
            sides[each.track_id].add(each.middle_px < 380)
    return sides


def test_the_tracker_tells_people_who_meet_and_turn_back_by_their_looks(
    people: Path, tmp_path: Path
) -> None:
    boxes, hits = play(people, tmp_path, red=60, brown=700)
    assert sorted(sides_of(boxes).values()) == [{False}, {True}]
    right, every = names_of(boxes, left=RED, right=BROWN)
    assert every >= 38
    assert right == every
    for track_id in (1, 2):
        assert len({hit.decision.identity for hit in hits if hit.track_id == track_id}) == 1


def test_people_who_meet_and_turn_back_keep_their_names_though_their_tracks_swap(
    people: Path, tmp_path: Path
) -> None:
    boxes, hits = play(people, tmp_path, model=unmeasured(tmp_path), red=60, brown=700)
    expected = {1: {True, False}, 2: {True, False}}
    assert sides_of(boxes) == expected, "places alone tell them apart"
    right, every = names_of(boxes, left=RED, right=BROWN)
    assert every >= 38
    assert right == every
    for identity in (RED, BROWN):
        told = {hit.continues or hit.track_id for hit in hits if hit.decision.identity == identity}
        assert len(told) == 1, "by their numbers the visits swap people"
    for track_id in (1, 2):
        first, *between, last = [hit.type for hit in hits if hit.track_id == track_id]
        assert (first, set(between), last) == (HitType.NEW, {HitType.UPDATE}, HitType.END)
    assert all(hit.captured_utc_s >= hit.first_seen_utc_s for hit in hits)


def test_people_who_pass_each_other_keep_their_names(people: Path, tmp_path: Path) -> None:
    boxes, _ = play(people, tmp_path, red=700, brown=60)
    right, every = names_of(boxes, left=BROWN, right=RED)
    assert every >= 38
    assert right == every


def test_who_comes_out_from_behind_somebody_goes_on_with_the_visit(
    people: Path, tmp_path: Path
) -> None:
    hits = hide(people, tmp_path)
    assert len({hit.track_id for hit in hits}) == 3, "nobody was out of sight"
    visits: dict[int, set[str | None]] = defaultdict(set)
    for hit in hits:
        known = isinstance(hit.decision, Known)
        visits[hit.continues or hit.track_id].add(hit.decision.identity if known else None)
    assert sorted(visits.values(), key=str) == [{BROWN}, {RED}]
