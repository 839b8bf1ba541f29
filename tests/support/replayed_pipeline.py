"""The agent's stages over a clip whose detections are given, and who is who by what they tell."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from support.tracking_clips import TrackingClip

from edge_reid.agent.pipeline import Pipeline
from edge_reid.agent.policy import MatchPolicy, PolicyHolder
from edge_reid.core.bundled_models import DETECTOR, EMBEDDING, shipped_model
from edge_reid.core.config.agent_settings import AgentSettings
from edge_reid.core.geometry import Box
from edge_reid.core.manifest import DetectorManifest, EmbeddingManifest
from edge_reid.core.types import Detection, Frame, GallerySnapshot, Hit, Image
from edge_reid.matching.gallery_thresholds import GalleryThresholds
from edge_reid.matching.index import Index
from edge_reid.strangers.recogniser import StrangerRecogniser
from edge_reid.vision.detect import load_detector
from edge_reid.vision.embed import Embedder

Seen = dict[int, list[tuple[object, Box]]]
"""By look, (who, box) of everybody seen there."""


@dataclass(frozen=True)
class Told:
    """What a track is from a look on: the visit that it continues, and its anonymous name."""

    look: int
    visit: int
    stranger: str | None


@dataclass(frozen=True)
class ReplayedRun:
    """What came of it."""

    visits: Seen
    """By the track that each visit began as."""
    people: Seen
    """By anonymous name; by visit where there is none."""
    embedded: int
    """Crops."""
    cpu_s: float
    """Seconds of processor, all but reading the clip and the detector."""


class _UnmeasuredEmbedder(Embedder):
    """The shipped one, of which nobody measured how alike people are to themselves."""

    def __init__(self, model_path: Path) -> None:
        super().__init__(model_path, threads=1)
        self.manifest = self.manifest.model_copy(update={"genuine_quantiles": ()})


@dataclass
class _ReplayedDetector:
    """Finds what was found before."""

    manifest: DetectorManifest
    strong_score: float
    weak_score: float
    found: Sequence[Detection] = ()

    def with_scores(self, *, strong: float | None, weak: float | None) -> _ReplayedDetector:
        raise NotImplementedError(f"{strong}, {weak}: they were in force when it was recorded")

    def detect(self, image: Image) -> tuple[Detection, ...]:
        return tuple(self.found)


@dataclass
class _Story:
    """What is told of each track, look by look."""

    told: dict[int, list[Told]] = field(default_factory=dict)

    def add(self, look: int, hits: Sequence[Hit]) -> None:
        for hit in hits:
            visit = hit.track_id if hit.continues is None else hit.continues
            so_far = self.told.setdefault(hit.track_id, [])
            if so_far and so_far[-1].visit == visit:
                first = so_far.pop()
                so_far.append(Told(first.look, visit, hit.stranger or first.stranger))
            else:  # what is told first holds from the beginning
                so_far.append(Told(look if so_far else 0, visit, hit.stranger))

    def visit(self, track_id: int, look: int) -> int:
        """The track that the visit began as."""
        return next(
            (each.visit for each in reversed(self.told.get(track_id, ())) if each.look <= look),
            track_id,
        )

    def names(self) -> dict[int, str]:
        """By visit."""
        return {
            each.visit: each.stranger
            for story in self.told.values()
            for each in story
            if each.stranger
        }


def replay(
    clip: TrackingClip,
    frames: Sequence[Image],
    looks: Sequence[int],
    folder: Path,
    stack: ExitStack,
) -> ReplayedRun:
    """Look at these frames of a clip, with `[strangers]`, nobody enrolled and default settings.

    Args:
        frames: all of the clip.
        folder: empty; for the file of strangers.
        stack: closes it.
    """
    embedder = Embedder(shipped_model(EMBEDDING), threads=1)
    manifest, settings = embedder.manifest, _settings(folder)
    (camera,) = settings.cameras.values()
    detector = _as_recorded()
    thresholds = GalleryThresholds.of(manifest)
    policy = MatchPolicy(_nobody(manifest, fuse=thresholds.fuse), camera.decide, thresholds)
    pipeline = Pipeline(
        "bench",
        detector=detector,
        embedder=embedder,
        policies=PolicyHolder(policy),
        settings=camera,
    )
    strangers = StrangerRecogniser.open(
        settings, manifest, camera="bench", is_live=False, stack=stack
    )
    assert strangers is not None

    def named(hits: Sequence[Hit]) -> Sequence[Hit]:
        return strangers.assign(hits, camera.decide.min_crops)

    return _run(clip, frames, looks, pipeline, detector, named)


def followed(
    clip: TrackingClip, frames: Sequence[Image], looks: Sequence[int], *, by_looks: bool
) -> tuple[Seen, int]:
    """Whom the tracks show by their numbers, and how many crops were embedded; with `by_looks` off
    tracks go by places alone.
    """
    model = shipped_model(EMBEDDING)
    embedder = Embedder(model, threads=1) if by_looks else _UnmeasuredEmbedder(model)
    thresholds = GalleryThresholds.of(embedder.manifest)
    settings = _settings(Path("nowhere"))
    (camera,) = settings.cameras.values()
    nobody = _nobody(embedder.manifest, fuse=thresholds.fuse)
    detector = _as_recorded()
    pipeline = Pipeline(
        "bench",
        detector=detector,
        embedder=embedder,
        policies=PolicyHolder(MatchPolicy(nobody, camera.decide, thresholds)),
        settings=camera,
    )
    seen: Seen = {}
    for look in looks:
        detector.found = clip.detections[look]
        step = pipeline.look(Frame(frames[look], look, look / clip.fps))
        seen[look] = [(track.track_id, track.box) for track in step.tracks if track.observed]
    return seen, pipeline.counters.embeddings


def _run(
    clip: TrackingClip,
    frames: Sequence[Image],
    looks: Sequence[int],
    pipeline: Pipeline,
    detector: _ReplayedDetector,
    named: Callable[[Sequence[Hit]], Sequence[Hit]],
) -> ReplayedRun:
    story, seen = _Story(), {}
    began_s = time.process_time()
    for look in looks:
        detector.found = clip.detections[look]
        step = pipeline.look(Frame(frames[look], look, look / clip.fps))
        story.add(look, named(step.hits))
        seen[look] = [(track.track_id, track.box) for track in step.tracks if track.observed]
    story.add(looks[-1], named(pipeline.finish().hits))
    cpu_s = time.process_time() - began_s
    visits: Seen = {
        look: [(story.visit(number, look), box) for number, box in pairs]
        for look, pairs in seen.items()
    }
    names = story.names()
    people: Seen = {
        look: [(names.get(visit, visit), box) for visit, box in pairs]
        for look, pairs in visits.items()
    }
    return ReplayedRun(visits, people, pipeline.counters.embeddings, cpu_s)


def _settings(folder: Path) -> AgentSettings:
    table = {"site": "bench", "camera": "bench", "agent": "bench", "gallery": folder / "none.db"}
    more = {"source": {"uri": "none.mp4"}, "strangers": {"path": folder / "strangers.db"}}
    return AgentSettings.model_validate(table | more)


def _as_recorded() -> _ReplayedDetector:
    real = load_detector(shipped_model(DETECTOR))
    return _ReplayedDetector(real.manifest, real.strong_score, real.weak_score)


def _nobody(manifest: EmbeddingManifest, *, fuse: bool) -> Index:
    none = np.empty(0, np.int32), np.empty((0, manifest.dimension), np.float32)
    return Index(GallerySnapshot((), *none, manifest.model_id, version=0), fuse=fuse)
