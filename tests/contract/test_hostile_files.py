"""Manifests, commands, pictures and videos, bent everywhere: understood or refused."""

from __future__ import annotations

import random
import resource
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.bent_bytes import CASES, bent, bodies
from support.decided_tracks import ADDRESS

from edge_reid.capture.open_source import open_source
from edge_reid.consumers.command_client import new_command
from edge_reid.core.bundled_models import EMBEDDING, shipped_model
from edge_reid.core.config.command_settings import CommandSettings
from edge_reid.core.config.source_settings import SourceSettings
from edge_reid.core.errors import ModelError, PhotoError, SourceError
from edge_reid.core.manifest import file_sha256, load_embedding_manifest
from edge_reid.delivery.command_inbox import CommandInbox
from edge_reid.matching.threshold import threshold_for
from edge_reid.mqtt.connection import Received
from edge_reid.vision import photo
from edge_reid.vision.photo import read_photo
from edge_reid.vision.picture_header import declared_size_px, is_complete

SUFFIXES = (".bmp", ".jpg", ".png", ".tiff", ".webp")
PIXELS = 1_000_000
"""Allowed in these tests: decoding thousands of pictures of 100 megapixels would take an hour."""
LIMIT_MB = 200
"""What the process may have grown by in its worst moment."""


@pytest.mark.parametrize("cases", [2_000, pytest.param(CASES, marks=pytest.mark.soak)])
def test_a_manifest_is_understood_or_refused(tmp_path: Path, cases: int) -> None:
    model = tmp_path / "model.tflite"
    model.write_bytes(b"a model, as far as a manifest can tell")
    shipped = shipped_model(EMBEDDING)
    ours, theirs = file_sha256(model), file_sha256(shipped)
    whole = shipped.with_suffix(".json").read_bytes().replace(theirs.encode(), ours.encode())
    understood = 0
    for changed in bodies(whole, 1, cases):
        model.with_suffix(".json").write_bytes(changed)
        try:
            manifest = load_embedding_manifest(model)
            assert -1 <= threshold_for(manifest.impostor_quantiles, 0.01, 100) <= 1
        except ModelError:
            continue
        understood += 1
    assert 0 < understood < cases


def test_a_command_is_taken_refused_or_ignored() -> None:
    settings = CommandSettings(allow=("reload", "set-threshold"), max_age_s=3600)
    taken = answered = 0
    desk = CommandInbox(ADDRESS, settings)
    for name, threshold in (("reload", None), ("set-threshold", 0.7), ("sync-now", None)):
        whole = new_command(name, threshold).to_json().encode()  # type: ignore[arg-type]
        for body in bodies(whole, 2):
            desk.hear(Received(ADDRESS.agent_command, body, retained=False))
            while command := desk.next(0):
                assert command.command in settings.allow
                desk.done(command)
                taken += 1
            answered += len(desk.take_outgoing())
    state = desk.state
    assert (state.done, state.done + state.refused <= answered) == (taken, True)
    assert taken > 10
    assert state.ignored > 20_000


def test_the_header_of_a_picture_is_read_whatever_it_says() -> None:
    dice = random.Random(3)
    for whole in pictures():
        for _ in range(CASES):
            body = bent(whole[: dice.randrange(4, 400)], dice)
            size = declared_size_px(body)
            assert size is None or min(size) >= 0
            assert is_complete(body) in (True, False)


def pictures() -> list[bytes]:
    image = np.random.default_rng(0).integers(0, 256, (24, 16, 3)).astype(np.uint8)
    return [cv2.imencode(suffix, image)[1].tobytes() for suffix in SUFFIXES]


@pytest.mark.parametrize("number", range(len(SUFFIXES)), ids=SUFFIXES)
@pytest.mark.timeout(900)
def test_a_picture_is_decoded_or_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(photo, "MAX_PIXELS", PIXELS)
    whole, dice, path = pictures()[number], random.Random(4), tmp_path / "photo"
    before_mb, decoded = peak_mb(), 0
    for _ in range(CASES // len(SUFFIXES)):
        path.write_bytes(bent(whole, dice))
        try:
            image = read_photo(path).image
        except PhotoError:
            continue
        decoded += 1
        assert image.dtype == np.uint8
        assert image.ndim == 3
        assert image.shape[0] * image.shape[1] <= PIXELS
    assert decoded
    assert peak_mb() - before_mb < LIMIT_MB


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, bytes]]:
    """A small clip in each of two containers."""
    folder = tmp_path_factory.mktemp("clips")
    found = []
    for name, code in (("clip.mp4", "mp4v"), ("clip.avi", "MJPG")):
        writer = cv2.VideoWriter(str(folder / name), cv2.VideoWriter.fourcc(*code), 10, (64, 48))
        for brightness in range(0, 250, 50):
            writer.write(np.full((48, 64, 3), brightness, np.uint8))
        writer.release()
        found.append((name, (folder / name).read_bytes()))
    return found


@pytest.mark.parametrize("cases", [250, pytest.param(10_000, marks=pytest.mark.soak)])
@pytest.mark.timeout(900)
def test_a_video_gives_frames_or_is_refused(
    tmp_path: Path, videos: list[tuple[str, bytes]], cases: int
) -> None:
    """Nothing of it stays. Its worst moment is FFmpeg's, and as large as the frames it declares."""
    dice, before_mb = random.Random(5), resident_mb()
    frames = refused = 0
    for name, whole in videos:
        path = tmp_path / name
        for _ in range(cases):
            path.write_bytes(bent(whole, dice))
            try:
                with open_source(SourceSettings(uri=str(path))) as source:
                    assert 0 < source.fps <= 1000
                    assert source.frames_expected is None or source.frames_expected > 0
                    last_s = -1.0
                    for frame in source:
                        assert frame.image.dtype == np.uint8
                        assert frame.image.ndim == 3
                        assert np.isfinite(frame.captured_utc_s)
                        assert frame.captured_utc_s > last_s
                        last_s, frames = frame.captured_utc_s, frames + 1
            except SourceError:
                refused += 1
    assert frames > cases
    assert refused
    assert resident_mb() - before_mb < LIMIT_MB


def resident_mb() -> int:
    """Memory this process has now (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() >> 20


def peak_mb() -> int:
    """Most memory this process ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
