"""How fast this machine is, stage by stage, on a real clip; and what the design saves."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_reid.agent.metrics import StageClock, StageSummary, resident_mb
from edge_reid.agent.pipeline import Pipeline
from edge_reid.agent.policy import MatchPolicy, PolicyHolder
from edge_reid.capture.frame_source import FrameSource
from edge_reid.capture.open_source import open_source
from edge_reid.core.config.agent_settings import AgentSettings
from edge_reid.core.config.camera_settings import CameraSettings
from edge_reid.core.config.decide_settings import DecideSettings
from edge_reid.core.progress import Progress
from edge_reid.core.types import Frame, GallerySnapshot
from edge_reid.matching.gallery_thresholds import GalleryThresholds
from edge_reid.matching.index import Index
from edge_reid.vision.crops import cut
from edge_reid.vision.detect import Detector, load_detector
from edge_reid.vision.embed import Embedder

CROWD = 1000
"""People in the made-up gallery: matching costs what it would cost on a well-used device."""

KEPT_DURATIONS = 20_000
"""The newest so many of each stage are looked at."""

NOBODY_KNOWN = DecideSettings(threshold=0.99)


@dataclass(frozen=True, slots=True)
class Benchmark:
    """One pass over a clip."""

    frames: int
    video_s: float
    wall_s: float
    stages: tuple[StageSummary, ...]
    embeddings: int
    peak_rss_mb: float

    @property
    def fps(self) -> float:
        return self.frames / self.wall_s

    @property
    def real_time(self) -> float:
        """Seconds of video handled in one second."""
        return self.video_s / self.wall_s


@dataclass(frozen=True, slots=True, eq=False)
class _Parts:
    detector: Detector
    embedder: Embedder
    index: Index
    clock: StageClock
    settings: CameraSettings


def measure(settings: AgentSettings, *, naive: bool, progress: Progress) -> Benchmark:
    """Run the clip of the only camera through the agent's stages, or naively.

    Naively means the detector on every frame and an embedding of every person on every frame,
    as simple pipelines do it. Output (MQTT, files) is left out either way.
    """
    clock = StageClock(keep=KEPT_DURATIONS)
    (camera,) = settings.cameras.values()
    detector = load_detector(
        settings.models.detector, runtime=settings.models.runtime, threads=settings.models.threads
    )
    embedder = Embedder(
        settings.models.embedding, runtime=settings.models.runtime, threads=settings.models.threads
    )
    index = Index(made_up_gallery(embedder.manifest.dimension, embedder.manifest.model_id))
    with open_source(camera.source) as source:
        frames = _timed(source, clock, progress)
        start = time.perf_counter()
        run = _run_naively if naive else _run
        count, embeddings = run(frames, _Parts(detector, embedder, index, clock, camera))
        wall_s = time.perf_counter() - start
        video_s = count / source.fps
    return Benchmark(count, video_s, wall_s, clock.summary(), embeddings, resident_mb())


def describe_machine() -> str:
    """Processor, cores, system and Python, in one line: no figure without it."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    processor = names[0] if names else platform.processor() or platform.machine()
    system = f"{platform.system()} {platform.machine()}"
    return f"{processor}, {os.cpu_count()} cores, {system}, Python {platform.python_version()}"


def made_up_gallery(dimension: int, model_id: str) -> GallerySnapshot:
    """A gallery of `CROWD` random people, one template each; nobody real is near any of them."""
    vectors = np.random.default_rng(0).standard_normal((CROWD, dimension)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    names = tuple(f"nobody-{number}" for number in range(CROWD))
    return GallerySnapshot(names, np.arange(CROWD, dtype=np.int32), vectors, model_id, version=1)


def _timed(source: FrameSource, clock: StageClock, progress: Progress) -> Iterator[Frame]:
    frames = iter(source)
    while True:
        with clock.stage("capture"):
            frame = next(frames, None)
        if frame is None:
            return
        yield frame
        progress(frame.index + 1, source.frames_expected)


def _run(frames: Iterator[Frame], parts: _Parts) -> tuple[int, int]:
    pipeline = Pipeline(
        "bench",
        detector=parts.detector,
        embedder=parts.embedder,
        policies=PolicyHolder(
            MatchPolicy(parts.index, NOBODY_KNOWN, thresholds=GalleryThresholds(()))
        ),
        settings=parts.settings,
        stage_clock=parts.clock,
    )
    for frame in frames:
        pipeline.step(frame)
    pipeline.finish()
    return pipeline.counters.frames, pipeline.counters.embeddings


def _run_naively(frames: Iterator[Frame], parts: _Parts) -> tuple[int, int]:
    clock, detector = parts.clock, parts.detector
    count = embeddings = 0
    for frame in frames:
        with clock.stage("detect"):
            found = detector.detect(frame.image)
        strong = [item.box for item in found if item.score >= detector.strong_score]
        crops = [cut(frame.image, box) for box in strong]
        with clock.stage("embed"):
            vectors = parts.embedder.embed(crops) if crops else ()
        with clock.stage("match"):
            for vector in vectors:
                parts.index.search(vector)
        count, embeddings = count + 1, embeddings + len(crops)
    return count, embeddings
