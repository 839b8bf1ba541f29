"""Which heights of people a camera sees, and what the doctor then recommends."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge_reid.core.geometry import Box
from edge_reid.core.manifest import DetectorManifest, HeightRecall
from edge_reid.core.types import Detection, Frame, Image
from edge_reid.diagnostics.camera_heights import (
    PICTURES,
    CameraLook,
    Sighting,
    TriedDetector,
    advice,
    bands,
    look_at,
    trusted_heights,
)

LEAST_CROP_PX = 48


def manifest(name: str, *recalls: tuple[int, int, float]) -> DetectorManifest:
    return DetectorManifest(
        name=name,
        sha256="0" * 64,
        input_height_px=288,
        input_width_px=512,
        licence="",
        source="",
        decoder="nanodet",
        strong_score=0.5,
        weak_score=0.3,
        recall_by_height=tuple(
            HeightRecall(from_px=low, below_px=below, recall=recall, people=10)
            for low, below, recall in recalls
        ),
    )


class Finds:
    """A detector that always answers the same."""

    strong_score, weak_score = 0.5, 0.3

    def __init__(self, name: str, *people: Detection) -> None:
        self.manifest = manifest(name, (32, 80, 0.4), (80, 1080, 0.9))
        self.people = people
        self.looks = 0

    def detect(self, image: Image) -> tuple[Detection, ...]:
        assert image.shape == (540, 960, 3)
        self.looks += 1
        return self.people


def tried(name: str, *people: Detection) -> TriedDetector:
    return TriedDetector(Path(f"{name}.tflite"), Finds(name, *people))


def person(height_px: float, left_px: float = 0, score: float = 0.9) -> Detection:
    return Detection(Box(left_px, 10, left_px + height_px / 2, 10 + height_px), score)


def frames(count: int, rate_hz: float) -> list[Frame]:
    image = np.zeros((540, 960, 3), np.uint8)
    return [Frame(image, index, 7.0 + index / rate_hz) for index in range(count)]


def seen(*heights: tuple[float, str], ms: dict[str, float]) -> CameraLook:
    """What was seen on a 1080p camera: height, and the detectors that found it, as letters."""
    sightings = tuple(Sighting(px, px, frozenset(by)) for px, by in heights)
    return CameraLook((1920, 1080), PICTURES, sightings, ms)


class TestLooking:
    def test_the_same_person_is_one_sighting_of_whoever_found_them(self) -> None:
        tall, small = person(100), person(40, 300)
        used, far = tried("used", tall), tried("far", person(104), small)
        look = look_at(frames(1, 10), (used, far), 20)
        found = sorted((round(s.scaled_px), sorted(s.found_by)) for s in look.sightings)
        assert [names for _, names in found] == [["far"], ["far", "used"]]
        assert found[0][0] == 80  # a frame 540 high is scaled to 1080
        assert min(sighting.height_px for sighting in look.sightings) == pytest.approx(40)
        assert look.size_px == (960, 540)

    def test_what_is_not_sure_is_nobody(self) -> None:
        look = look_at(frames(1, 10), [tried("used", person(100, score=0.49))], 20)
        assert look.sightings == ()

    def test_pictures_are_spread_over_the_time_and_no_further(self) -> None:
        used = tried("used")
        look = look_at(frames(600, 20), [used], 20)
        assert look.pictures == PICTURES
        assert look_at(frames(600, 20), [used], 10).pictures == PICTURES
        assert look_at(frames(5, 1), [used], 20).pictures == 5

    def test_a_share_of_each_band_is_found(self) -> None:
        look = seen((90, "ab"), (95, "a"), (500, "b"), ms={"a": 1, "b": 1})
        rows = [(band.low_px, band.sightings, band.found) for band in bands(look)]
        assert rows == [(80, 2, {"a": 1, "b": 0.5}), (450, 1, {"a": 0, "b": 1})]


class TestTrust:
    def test_the_longest_run_of_heights_with_enough_recall(self) -> None:
        told = manifest("a", (64, 80, 0.79), (80, 100, 0.8), (100, 160, 1.0), (160, 200, 0.5))
        assert trusted_heights(told) == (80, 160)

    def test_a_gap_ends_a_run(self) -> None:
        told = manifest("a", (32, 48, 0.9), (48, 64, 0.1), (64, 80, 0.9), (80, 200, 0.9))
        assert trusted_heights(told) == (64, 200)

    def test_a_manifest_that_does_not_say(self) -> None:
        assert trusted_heights(manifest("a")) is None
        assert trusted_heights(manifest("a", (64, 80, 0.2))) is None


class TestAdvice:
    used, near, far = tried("u"), tried("n"), tried("f")

    def told(self, look: CameraLook) -> list[str]:
        return advice(look, (self.used, self.near, self.far), LEAST_CROP_PX)

    def test_a_detector_that_finds_more_is_named_with_its_cost(self) -> None:
        look = seen(*[(90, "f")] * 3, (150, "fu"), ms={"u": 9, "n": 4, "f": 19})
        (line,) = self.told(look)
        assert line.startswith('models.detector = "f.tflite" finds 100 % in 19 ms a look')
        assert "u, in use, finds 25 % of the sightings in 9 ms" in line

    def test_a_cheaper_one_that_finds_as_many_is_named(self) -> None:
        look = seen(*[(220, "nuf")] * 5, ms={"u": 9, "n": 4, "f": 19})
        assert self.told(look)[0].startswith('models.detector = "n.tflite" finds 100 % in 4 ms')

    def test_heights_beyond_what_the_manifest_promises_are_counted(self) -> None:
        look = seen((60, "f"), (79, "u"), (80, "u"), ms={"u": 9, "n": 4, "f": 19})
        (line,) = (line for line in self.told(look) if "not trusted" in line)
        assert line == (
            "2 of 3 sightings are of heights that u is not trusted with: by its manifest it is "
            "from 80 to 1080 px"
        )

    def test_the_one_in_use_stays_when_another_is_hardly_cheaper(self) -> None:
        look = seen(*[(220, "nuf")] * 5, ms={"u": 9, "n": 8, "f": 19})
        assert self.told(look) == [
            "u finds 100 % of the sightings in 9 ms a look: it fits this camera"
        ]

    def test_people_too_small_to_be_embedded_are_counted(self) -> None:
        look = seen((47, "f"), (48, "f"), (60, "f"), ms={"u": 9, "n": 8, "f": 19})
        assert any(
            line.startswith("1 of 3 sightings are lower than 48 px") for line in self.told(look)
        )

    def test_a_substream_is_enough_for_large_people(self) -> None:
        look = seen(*[(400, "u")] * 10, ms={"u": 9, "n": 8, "f": 19})
        assert any("a substream of 960×540" in line for line in self.told(look))

    def test_nobody_passed(self) -> None:
        (line,) = self.told(seen(ms={"u": 9, "n": 8, "f": 19}))
        assert line.startswith("nobody was seen on 40 pictures: look again")
