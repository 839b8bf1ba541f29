"""What is counted of unknown people across runs, what is said of it, and what it may move."""

from __future__ import annotations

import json
import re
import stat
from pathlib import Path

import cv2
import numpy as np
import pytest
from support import campus, mjpeg_camera
from support.consumer import Consumer, eventually
from support.mjpeg_camera import MjpegCamera
from support.mosquitto import Mosquitto
from support.scraped_agent import ScrapedAgent

from edge_reid.agent import camera_status_report
from edge_reid.agent.app import Outputs, run_agent
from edge_reid.agent.drift_watch import JUDGED_AT, DriftWatch, ScoreBlock
from edge_reid.agent.policy import MatchPolicy, PolicyHolder
from edge_reid.agent.score_file import ScoreFile
from edge_reid.cli.main import main
from edge_reid.core.bundled_models import EMBEDDING, shipped_model
from edge_reid.core.config.agent_settings import AgentSettings
from edge_reid.core.config.decide_settings import DecideSettings
from edge_reid.core.manifest import EmbeddingManifest, load_embedding_manifest
from edge_reid.core.opencv import to_rgb
from edge_reid.core.types import GallerySnapshot, Known, Unknown
from edge_reid.matching.gallery_thresholds import GalleryThresholds
from edge_reid.matching.index import Index

PEOPLE = 3


@pytest.fixture(scope="module")
def manifest() -> EmbeddingManifest:
    return load_embedding_manifest(shipped_model(EMBEDDING))


def gallery(manifest: EmbeddingManifest, version: int = 1) -> Index:
    vectors = np.eye(PEOPLE, manifest.dimension, dtype=np.float32)
    names = tuple(f"person-{number}" for number in range(PEOPLE))
    labels = np.arange(PEOPLE, dtype=np.int32)
    return Index(GallerySnapshot(names, labels, vectors, manifest.model_id, version), fuse=True)


class Camera:
    """One that decides by the manifest's thresholds, and who watches its unknown people."""

    def __init__(
        self, manifest: EmbeddingManifest, kept: ScoreBlock | None = None, **rules: object
    ) -> None:
        self.manifest = manifest
        thresholds = GalleryThresholds.of(manifest)
        decide = DecideSettings.model_validate(rules)
        self.holder = PolicyHolder(MatchPolicy(gallery(manifest), decide, thresholds))
        self.notices: list[str] = []
        self.watch = DriftWatch(manifest, self.holder, kept=kept, notice=self.notices.append)

    def see(self, tracks: int, shift: float, seed: int = 1) -> None:
        """Let so many unknown people walk by, all more alike by this than measured."""
        rng = np.random.default_rng(seed)
        lowest = (1.0, self.manifest.impostor_quantiles[0][1] - 0.25)
        ps, similarities = zip(lowest, *self.manifest.impostor_quantiles, strict=True)
        each = np.interp(np.log(rng.random((tracks, PEOPLE))), np.log(ps)[::-1], similarities[::-1])
        for similarity in each.max(axis=1) + shift:
            self.watch.adapt()
            threshold = self.holder.current.threshold
            known = Known("person-0", float(similarity), threshold, 0.3, 3)
            unknown = Unknown(float(similarity), threshold, 3)
            self.watch.note(known if similarity >= threshold else unknown)


def test_a_drift_is_said_with_the_threshold_that_would_keep_the_rate(
    manifest: EmbeddingManifest,
) -> None:
    camera = Camera(manifest)
    before = camera.holder.current.threshold
    camera.see(JUDGED_AT[0] - 10, shift=0.12)
    assert camera.watch.report is None
    camera.see(600, shift=0.12)
    report = camera.watch.report
    assert report is not None
    assert report.verdict.state == "higher"
    assert report.threshold_advised == pytest.approx(before + 0.12, abs=0.03)
    assert camera.holder.current.threshold == before, "nobody wants it to be moved"
    (notice,) = camera.notices
    assert "more alike to those enrolled than the model's manifest says" in notice
    assert re.search(r"; a threshold of 0\.\d{3} would keep the rate$", notice)


def test_without_a_drift_nothing_is_said(manifest: EmbeddingManifest) -> None:
    camera = Camera(manifest, adapt=True)
    camera.see(2500, shift=0.0)
    assert camera.watch.report is not None
    assert camera.watch.report.verdict.state == "none"
    assert camera.watch.report.threshold_advised is None
    assert camera.notices == []
    assert camera.watch.block.scores.tracks < 600, "another block has begun"


def test_a_threshold_is_moved_only_as_far_as_it_may_and_stays_there(
    manifest: EmbeddingManifest,
) -> None:
    camera = Camera(manifest, adapt=True, adapt_most=0.05)
    before = camera.holder.current.threshold
    camera.see(3000, shift=0.12)
    assert camera.holder.current.threshold == pytest.approx(before + 0.05)
    assert sum("as decide.adapt wants it" in notice for notice in camera.notices) == 1
    free = Camera(manifest, adapt=True, adapt_most=0.3)
    free.see(5000, shift=0.12)
    assert free.holder.current.threshold == pytest.approx(before + 0.12, abs=0.02)
    low = Camera(manifest, adapt=True, adapt_most=0.3)
    low.see(5000, shift=-0.12)
    assert low.holder.current.threshold == pytest.approx(before - 0.12, abs=0.03)


def test_a_fixed_threshold_is_never_moved(manifest: EmbeddingManifest) -> None:
    camera = Camera(manifest, adapt=True, threshold=0.62)
    camera.see(3000, shift=0.12)
    assert camera.watch.report is not None
    assert camera.watch.report.verdict.state == "higher"
    assert camera.watch.report.threshold_advised is None
    assert camera.holder.current.threshold == 0.62


def test_another_gallery_begins_a_block_and_what_was_found_stays(
    manifest: EmbeddingManifest,
) -> None:
    camera = Camera(manifest, adapt=True)
    camera.see(1200, shift=0.08)
    moved, found = camera.holder.current.threshold, camera.watch.block.verdict
    camera.holder.swap(camera.holder.current.with_gallery(gallery(manifest, version=2)))
    camera.see(1, shift=0.08)
    assert camera.watch.block.scores.tracks <= 1
    assert camera.watch.block.verdict == found
    assert camera.holder.current.threshold == moved


def test_what_is_counted_outlives_the_run_and_is_nobody_elses_business(
    manifest: EmbeddingManifest, tmp_path: Path
) -> None:
    camera, path = Camera(manifest), tmp_path / "scores-device.json"
    camera.see(400, shift=0.12)
    file = ScoreFile(path)
    file.keep({"gate": camera.watch})
    file.save()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "person" not in path.read_text()
    again = Camera(manifest, kept=ScoreFile(path).block_of("gate"))
    assert again.watch.block == camera.watch.block
    assert again.watch.report == camera.watch.report
    other = manifest.model_copy(update={"sha256": "f" * 64})
    assert Camera(other, kept=camera.watch.block).watch.block.verdict is None


@pytest.mark.parametrize(
    "damage", [b"", b"{", b"[1]", b'{"gate": 1}', b'{"gate": {"counts": [1]}}', b"\xff"]
)
def test_a_damaged_file_costs_the_counts_alone(
    manifest: EmbeddingManifest, tmp_path: Path, damage: bytes
) -> None:
    path = tmp_path / "scores.json"
    path.write_bytes(damage)
    file = ScoreFile(path)
    assert file.block_of("gate") is None
    file.keep({"gate": Camera(manifest).watch})
    file.save()
    assert ScoreFile(path).block_of("gate") is not None


def test_a_recording_counts_nothing(tmp_path: Path) -> None:
    clip = tmp_path / "gallery.db"
    with pytest.raises(SystemExit, match="0"):
        main(["gallery", "init", str(clip)])
    table = {"site": "lab", "camera": "gate", "agent": "device", "gallery": clip}
    agent = AgentSettings.model_validate(table | {"source": {"uri": str(short_clip(tmp_path))}})
    run_agent(agent, outputs=Outputs())
    assert not agent.scores_path.exists()


def short_clip(folder: Path) -> Path:
    """A folder of images, of people who walk by."""
    images = folder / "images"
    images.mkdir()
    for number, frame in campus.read_frames(set(range(80, 110))).items():
        cv2.imwrite(str(images / f"{number:04}.png"), cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    return images


@pytest.mark.broker
def test_the_status_of_a_live_camera_says_it(
    manifest: EmbeddingManifest,
    broker: Mosquitto,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mjpeg_camera, "PERIOD_S", 0.1)
    monkeypatch.setattr(camera_status_report, "STATUS_INTERVAL_S", 1.5)
    photos = campus.write_photos(campus.people("red-sleeves"), tmp_path / "photos", 100)
    path = tmp_path / "gallery.db"
    for words in (["init"], ["enroll", "red-sleeves", *photos["red-sleeves"], "--gallery"]):
        with pytest.raises(SystemExit, match="0"):
            main(["gallery", *map(str, words), str(path)])
    crowd = tuple(
        to_rgb(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
        for frame in campus.read_frames(set(range(80, 140))).values()
    )
    with MjpegCamera(crowd) as camera, Consumer(broker.broker()) as told:
        eventually(lambda: told.is_subscribed)
        table = {"camera": "gate", "gallery": path, "source": {"uri": camera.url}}
        agent = ScrapedAgent(**table, mqtt={"url": broker.url})
        agent.run_while(lambda: None)
        kept = json.loads(agent.settings.scores_path.read_text())
        kept["gate"]["counts"] = [0] * 102
        kept["gate"]["counts"][50] = JUDGED_AT[0] - 1
        agent.settings.scores_path.write_text(json.dumps(kept))
        agent.run_while(
            lambda: agent.wait_for(lambda: any(it["drift"] for it in told.payloads("/gate/status")))
        )
    (drift,) = [it["drift"] for it in told.payloads("/gate/status") if it["drift"]][:1]
    assert (drift["state"], drift["unknown_tracks"]) == ("higher", JUDGED_AT[0])
    assert drift["threshold_advised"] > 0.5
    assert drift["adapts"] is False
    again = json.loads(agent.settings.scores_path.read_text())
    assert again["gate"]["verdict"]["state"] == "higher"
