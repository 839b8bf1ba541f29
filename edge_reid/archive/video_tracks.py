"""The tracks of one video file, each as one embedding. By the agent's own pipeline."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from edge_reid.agent.pipeline import Pipeline
from edge_reid.agent.policy import MatchPolicy, PolicyHolder
from edge_reid.archive.archive_store import ArchiveModels
from edge_reid.archive.archive_urls import open_archive
from edge_reid.archive.archived_track import ArchivedTrack, VideoTracks
from edge_reid.archive.track_archive import stacked
from edge_reid.capture.open_source import open_source
from edge_reid.core.config.agent_settings import AgentSettings
from edge_reid.core.config.decide_settings import DecideSettings
from edge_reid.core.config.settings_file import load_settings
from edge_reid.core.config.source_settings import SourceSettings
from edge_reid.core.config.vision_settings import RuntimeName
from edge_reid.core.errors import VideoError
from edge_reid.core.manifest import file_sha256
from edge_reid.core.types import GallerySnapshot, Hit, HitType, Vector
from edge_reid.matching.fusion import mean_vector
from edge_reid.matching.gallery_thresholds import GalleryThresholds
from edge_reid.matching.index import Index
from edge_reid.vision.detect import Detector, load_detector
from edge_reid.vision.embed import Embedder
from edge_reid.wire.events import rfc3339

PATIENCE_S = 60.0
"""How long a database is waited for that restarts, before a video is given up."""
ONE_CROP_IS_ENOUGH = DecideSettings(threshold=0.99, min_crops=1)


@dataclass(frozen=True, slots=True)
class VideoJob:
    """A file to be done, and what is known of it."""

    path: Path
    camera: str
    start_time: str
    """Of its first frame, RFC 3339."""


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """The models that are used, and how."""

    model: Path
    detector: Path
    runtime: RuntimeName

    @property
    def identity(self) -> ArchiveModels:
        """What an archive made with them says of them."""
        manifest = _models(self)[1].manifest
        return ArchiveModels(manifest.model_id, manifest.dimension, file_sha256(self.detector))


def add_video(job: VideoJob, choice: ModelChoice, where: str) -> int | None:
    """Put the tracks of a video into an archive, unless they are there.

    Args:
        job: the video.
        choice: the models that the archive was made with.
        where: the archive.

    Returns:
        how many tracks are new; None: it is there, and stays as it is.

    Raises:
        VideoError: the file is no video that can be read.
        ArchiveAccessError: the archive does not let us in.
        StoreError: the archive cannot be written.
    """
    archive, digest = open_archive(where, "--out", patience_s=PATIENCE_S), _digest(job.path)
    if archive.has(digest):
        return None
    found = _tracks(job, choice)
    dimension = archive.models.dimension
    vectors = stacked([vector for _, vector in found], dimension)
    return archive.add(VideoTracks(digest, tuple(track for track, _ in found), vectors))


def opening_mistake(path: Path) -> str:
    """Why no frame of a file can be had, without its name; empty: one can."""
    try:
        with path.open("rb"):
            pass
        open_source(SourceSettings(uri=str(path))).close()
    except OSError as error:
        return _unreadable(error)
    except VideoError as error:
        return error.reason
    return ""


def _digest(path: Path) -> str:
    try:
        return file_sha256(path)
    except OSError as error:
        raise VideoError(path, _unreadable(error)) from error


def _unreadable(error: OSError) -> str:
    return f"cannot be read: {error.strerror}"


def _tracks(job: VideoJob, choice: ModelChoice) -> list[tuple[ArchivedTrack, Vector]]:
    settings = _settings(job, choice).cameras[job.camera]
    detector, embedder = _models(choice)
    pipeline = Pipeline(
        job.camera,
        detector=detector,
        embedder=embedder,
        policies=PolicyHolder(
            MatchPolicy(_nobody(embedder), ONE_CROP_IS_ENOUGH, GalleryThresholds(()))
        ),
        settings=settings,
    )
    hits: list[Hit] = []
    with open_source(settings.source) as source:
        for frame in source:
            hits += pipeline.step(frame).hits
    hits += pipeline.finish().hits
    ends = (hit for hit in hits if hit.type is HitType.END)
    model_id = embedder.manifest.model_id
    fused = [(hit, mean_vector(hit.embeddings, model_id)) for hit in ends]
    return [(_archived(hit, job), vector) for hit, vector in fused if vector is not None]


def _archived(hit: Hit, job: VideoJob) -> ArchivedTrack:
    edges = hit.box.x1, hit.box.y1, hit.box.x2, hit.box.y2
    x1, y1, x2, y2 = (round(float(edge), 1) for edge in edges)
    return ArchivedTrack(
        job.path.name,
        job.camera,
        int(hit.track_id),
        rfc3339(hit.first_seen_utc_s),
        rfc3339(hit.last_seen_utc_s),
        rfc3339(hit.captured_utc_s),
        (x1, y1, x2, y2),
        hit.frame_size_px,
        len(hit.embeddings),
    )


def _settings(job: VideoJob, choice: ModelChoice) -> AgentSettings:
    models = {"embedding": choice.model, "detector": choice.detector}
    return load_settings(
        None,
        {
            "site": "archive",
            "camera": job.camera,
            "gallery": "unused.db",
            "source": {"uri": str(job.path), "start_time": job.start_time},
            "models": {**models, "runtime": choice.runtime, "threads": 1},
        },
    )


@cache
def _models(choice: ModelChoice) -> tuple[Detector, Embedder]:
    """Loaded once a process; one thread, as every core has a process."""
    detector = load_detector(choice.detector, runtime=choice.runtime, threads=1)
    return detector, Embedder(choice.model, runtime=choice.runtime, threads=1)


def _nobody(embedder: Embedder) -> Index:
    none = np.empty((0, embedder.manifest.dimension), np.float32)
    labels = np.empty(0, np.int32)
    return Index(GallerySnapshot((), labels, none, embedder.manifest.model_id, version=1))
