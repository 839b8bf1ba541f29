"""The detector on real CCTV: its people, its promises, and what a wrong file costs."""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge_reid.core.bundled_models import DETECTOR, shipped_model
from edge_reid.core.errors import ModelError, UsageError
from edge_reid.core.geometry import Boxes, iou_matrix
from edge_reid.core.manifest import DetectorManifest, EmbeddingManifest, file_sha256, write_manifest
from edge_reid.core.types import Detection, Image
from edge_reid.vision.detect import load_detector
from edge_reid.vision.detectors.family import (
    Canvas,
    DetectorFamily,
    FamilySettings,
    settings_in,
)
from edge_reid.vision.detectors.registry import FAMILIES
from edge_reid.vision.runtime import TensorSpec

MODEL = shipped_model(DETECTOR)
ROOT = Path(__file__).resolve().parents[2]
CLIP = ROOT / "tests" / "data" / "campus.mp4"
YOLOX = ROOT.parent / "shared" / "models" / "yolox_nano_person_512x288_dyn.tflite"


@pytest.fixture(scope="module")
def street() -> Image:
    """One frame of the demo clip, with several people in it."""
    capture = cv2.VideoCapture(str(CLIP))
    capture.set(cv2.CAP_PROP_POS_FRAMES, 60)
    read, frame = capture.read()
    assert read, f"{CLIP} cannot be read"
    return cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)


@pytest.fixture
def copied(tmp_path: Path) -> Callable[..., Path]:
    """The shipped detector under another roof, its manifest changed as told."""

    def copy(**changes: Any) -> Path:
        path = tmp_path / "model.tflite"
        shutil.copy(MODEL, path)
        manifest = DetectorManifest.model_validate_json(MODEL.with_suffix(".json").read_bytes())
        write_manifest(manifest.model_copy(update=changes), path)
        return path

    return copy


def boxes_of(detections: tuple[Detection, ...]) -> Boxes:
    return np.array([detection.box.to_array() for detection in detections]).reshape(-1, 4)


def test_people_are_found_upright_inside_the_frame_and_best_first(street: Image) -> None:
    detector = load_detector(MODEL)

    people = detector.detect(street)

    strong = [person for person in people if person.score >= detector.strong_score]
    assert len(strong) >= 2
    assert all(person.box.height > 1.3 * person.box.width for person in strong)
    scores = [person.score for person in people]
    assert scores == sorted(scores, reverse=True)
    assert min(scores) >= detector.weak_score
    height, width = street.shape[:2]
    boxes = boxes_of(people)
    assert (boxes >= 0).all()
    assert (boxes[:, [0, 2]] <= width).all()
    assert (boxes[:, [1, 3]] <= height).all()
    overlaps = iou_matrix(boxes, boxes) - np.eye(len(boxes), dtype=np.float32)
    assert overlaps.max() <= detector.manifest.nms_iou + 1e-3


def test_results_repeat(street: Image) -> None:
    detector = load_detector(MODEL)
    first = detector.detect(street)
    detector.detect(street[:, ::-1].copy())
    assert detector.detect(street) == first
    assert load_detector(MODEL).detect(street) == first


def test_both_runtimes_find_the_same_people(both_runtimes: tuple[str, str], street: Image) -> None:
    ours, theirs = (
        load_detector(MODEL, runtime=name, weak_score=0.45).detect(street) for name in both_runtimes
    )
    assert len(ours) == len(theirs)
    assert iou_matrix(boxes_of(ours), boxes_of(theirs)).max(axis=1).min() > 0.9


def test_the_frame_may_be_of_any_size(street: Image) -> None:
    detector = load_detector(MODEL)
    people = boxes_of(detector.detect(street)[:2])
    larger = cv2.resize(street, None, fx=1.5, fy=1.5)
    assert iou_matrix(people * 1.5, boxes_of(detector.detect(larger))).max(axis=1).min() > 0.7


def test_nobody_on_a_blank_wall() -> None:
    wall = np.full((480, 640, 3), 127, np.uint8)
    assert load_detector(MODEL).detect(wall) == ()


def test_scores_given_here_override_the_manifest(street: Image) -> None:
    shipped = load_detector(MODEL)
    strict = load_detector(MODEL, strong_score=0.7, weak_score=0.6)

    assert (strict.strong_score, strict.weak_score) == (0.7, 0.6)
    expected = tuple(person for person in shipped.detect(street) if person.score >= 0.6)
    assert strict.detect(street) == expected


def test_a_weak_score_above_the_strong_one() -> None:
    with pytest.raises(
        UsageError, match=r"weak_score should be at most strong_score, got 0\.6 and"
    ):
        load_detector(MODEL, weak_score=0.6)


@pytest.mark.skipif(not YOLOX.is_file(), reason="no second detector beside the repository")
def test_a_manifest_alone_brings_in_another_detector(tmp_path: Path, street: Image) -> None:
    path = tmp_path / "yolox.tflite"
    shutil.copy(YOLOX, path)
    manifest = DetectorManifest(
        name="yolox_nano",
        sha256=file_sha256(path),
        input_height_px=288,
        input_width_px=512,
        licence="Apache-2.0",
        source="Megvii",
        decoder="yolox",
        channel_order="bgr",
        strong_score=0.4,
        weak_score=0.25,
    )
    write_manifest(manifest, path)

    yolox, nanodet = load_detector(path), load_detector(MODEL, weak_score=0.2)

    sure = tuple(person for person in yolox.detect(street) if person.score >= 0.6)
    assert len(sure) >= 2
    assert iou_matrix(boxes_of(sure), boxes_of(nanodet.detect(street))).max(axis=1).min() > 0.5


def test_a_manifest_of_another_file(copied: Callable[..., Path]) -> None:
    path = copied()
    path.write_bytes(MODEL.read_bytes()[:-1])
    with pytest.raises(ModelError, match="its manifest expects sha256"):
        load_detector(path)


def test_a_truncated_model_never_reaches_the_runtime(copied: Callable[..., Path]) -> None:
    """tflite-runtime would take the process down with it."""
    path = copied()
    path.write_bytes(MODEL.read_bytes()[:100_000])
    with pytest.raises(ModelError, match="restore the file"):
        load_detector(path, runtime="tflite-runtime")


def test_no_manifest(copied: Callable[..., Path]) -> None:
    path = copied()
    path.with_suffix(".json").unlink()
    with pytest.raises(ModelError, match=r"model\.json: no such file; every model needs one"):
        load_detector(path)


def test_an_embedding_model_is_not_a_detector(copied: Callable[..., Path]) -> None:
    path = copied()
    manifest = EmbeddingManifest(
        name="other",
        sha256=file_sha256(path),
        input_height_px=192,
        input_width_px=96,
        licence="",
        source="",
        dimension=256,
        impostor_quantiles=((0.5, 0.1),),
    )
    write_manifest(manifest, path)
    with pytest.raises(
        ModelError, match="expected a person detector, its manifest says 'embedding'"
    ):
        load_detector(path)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"input_width_px": 416}, r"expects float32 \(1, 288, 416, 3\) in, the file takes float32"),
        ({"input_dtype": "uint8"}, r"expects uint8 \(1, 288, 512, 3\) in, the file takes float32"),
        ({"decoder": "yolox"}, r"decoder 'yolox' at strides \(8, 16, 32\) expects \(1, 3024, 4\)"),
        (
            {"decoder_settings": {"strides": [8, 16]}},
            r"expects \(1, 2880, 44\) and \(1, 2880, 1\) out, the file gives",
        ),
        (
            {"decoder": "detr"},
            "expected a decoder of nanodet, ssd, yolox in its manifest, got 'detr'",
        ),
        (
            {"decoder_settings": {"strides": [0], "priors": 9}},
            r"decoder_settings are none of 'nanodet': strides\.0: .*priors: unknown key",
        ),
    ],
)
def test_a_manifest_that_describes_another_model(
    copied: Callable[..., Path], change: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ModelError, match=complaint) as caught:
        load_detector(copied(**change))
    assert str(caught.value).startswith("model ")


class StretchedSettings(FamilySettings):
    """Of a family that the code does not know."""

    people_channel: int


def stretched_family(
    manifest: DetectorManifest, outputs: Sequence[TensorSpec], where: str, /
) -> DetectorFamily:
    """A family that stretches frames, and always sees one person, in the canvas's lower right."""
    settings = settings_in(manifest, StretchedSettings, where)
    height, width = manifest.input_height_px, manifest.input_width_px

    class Family:
        def canvas_of(self, image: Image) -> Canvas:
            scale_xy = width / image.shape[1], height / image.shape[0]
            return Canvas(np.asarray(cv2.resize(image, (width, height)), np.uint8), scale_xy)

        def people(
            self, outputs: Sequence[np.ndarray], weak_score: float
        ) -> tuple[Boxes, np.ndarray]:
            assert len(outputs) == 2
            assert settings.people_channel == 1
            box = [[width / 2, height / 2, width, height]] * 2
            return np.float32(box), np.float32([0.9, 0.8])

    return Family()


def test_a_family_is_one_maker_with_settings_of_its_own(
    copied: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(FAMILIES, "stretched", stretched_family)  # type: ignore[arg-type]
    path = copied(decoder="stretched", decoder_settings={"people_channel": 1})
    (person,) = load_detector(path).detect(np.zeros((300, 300, 3), np.uint8))
    assert person.box.to_array() == pytest.approx([150, 150, 300, 300])
    assert person.score == pytest.approx(0.9)
    with pytest.raises(ModelError, match="people_channel: is missing|people_channel"):
        load_detector(copied(decoder="stretched", decoder_settings={}))


def test_a_manifest_of_before_families_had_settings_is_still_one() -> None:
    table = json.loads(MODEL.with_suffix(".json").read_text())
    del table["decoder_settings"]
    manifest = DetectorManifest.model_validate(table | {"strides": [8, 16, 32], "pad_value": 114})
    assert manifest.decoder_settings == {"strides": [8, 16, 32], "pad_value": 114}
    assert DetectorManifest.model_validate_json(manifest.model_dump_json()) == manifest
