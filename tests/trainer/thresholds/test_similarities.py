"""The quantiles come from comparisons as the device makes them: tracks with templates."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge_reid.core.types import GallerySnapshot
from edge_reid.matching.index import Index
from trainer.data.datasets import DISTRACTOR_IDENTITY, JUNK_IDENTITY, PersonData
from trainer.scoring.crop_embeddings import CropEmbeddings
from trainer.scoring.track_means import crops_per_track
from trainer.thresholds.similarities import decision_similarities, decisions

QUALITIES = np.array([0.3, 0.9, 0.5, 0.2, 0.7])


def pictures(labels: list[int], cameras: list[int]) -> PersonData:
    names = tuple(f"person-{label}" for label in sorted(set(labels)))
    paths = tuple(Path(str(number)) for number in range(len(labels)))
    return PersonData(paths, np.array(labels), np.array(cameras), names)


def alike_good(rows: np.ndarray) -> CropEmbeddings:
    return CropEmbeddings.of_equal_quality(rows)


def unit_rows(count: int) -> np.ndarray:
    rows = np.random.default_rng(0).normal(size=(count, 8)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_a_track_meets_all_impostors_and_oneself_under_other_cameras() -> None:
    data = pictures(labels=[0, 0, 1, 1], cameras=[1, 2, 1, 2])
    embeddings = np.eye(4, dtype=np.float32)
    embeddings[3] = embeddings[0]  # person 1 in camera 2 looks just like person 0 in camera 1
    impostor, genuine = decision_similarities(data, alike_good(embeddings))
    assert sorted(impostor.tolist()) == [0.0] * 6 + [1.0] * 2
    assert genuine.tolist() == [0.0] * 4


def test_a_track_is_the_mean_of_its_crops_by_their_quality() -> None:
    data = pictures(labels=[0, 0, 1, 1, 1], cameras=[1, 1, 2, 2, 1])
    rows = unit_rows(5)
    impostor, _ = decision_similarities(data, CropEmbeddings(rows, QUALITIES[:5]))

    def meets(track: list[int], templates: list[int]) -> list[float]:
        mean = QUALITIES[track] @ rows[track]
        return [float(rows[each] @ mean / np.linalg.norm(mean)) for each in templates]

    expected = meets([0, 1], [2, 3, 4]) + meets([4], [0, 1]) + meets([2, 3], [0, 1])
    assert impostor.tolist() == pytest.approx(expected)


def test_similarities_are_the_very_bits_of_the_devices_search() -> None:
    data = pictures(labels=[0, 0, 1, 1, 1], cameras=[1, 1, 2, 2, 1])
    crops = CropEmbeddings(unit_rows(5), QUALITIES)
    made = decisions(data, crops)
    names = tuple(map(str, range(5)))
    snapshot = GallerySnapshot(names, np.arange(5, dtype=np.int32), crops.rows, "model", 1)
    for track, similarities in zip(made.tracks.embeddings, made.similarity, strict=True):
        found = {near.identity: near.similarity for near in Index(snapshot).search(track)}
        assert [found[name] for name in names] == similarities.tolist()


def test_no_more_crops_count_than_the_device_keeps() -> None:
    many = 4 * crops_per_track()
    data = pictures(labels=[0] * many + [1, 1], cameras=[1] * many + [1, 2])
    rows = unit_rows(many + 2)
    chosen = np.linspace(0, many - 1, crops_per_track()).round().astype(int)
    mean = rows[chosen].mean(axis=0)
    impostor, _ = decision_similarities(data, alike_good(rows))
    assert float(rows[-1] @ mean / np.linalg.norm(mean)) in [
        pytest.approx(float(s)) for s in impostor
    ]


@pytest.mark.parametrize("nobody", [JUNK_IDENTITY, DISTRACTOR_IDENTITY])
def test_junk_and_distractors_are_nobody(nobody: int) -> None:
    data = pictures(labels=[0, 0, 1, nobody], cameras=[1, 2, 1, 2])
    impostor, genuine = decision_similarities(data, alike_good(np.eye(4, dtype=np.float32)))
    assert (len(impostor), len(genuine)) == (4, 2)


def test_without_cameras_one_half_of_a_person_meets_the_other() -> None:
    data = pictures(labels=[0, 0, 1, 1], cameras=[-1] * 4)
    assert not data.has_cameras
    impostor, genuine = decision_similarities(data, alike_good(np.eye(4, dtype=np.float32)))
    assert len(genuine) == 4
    assert len(impostor) == 8


def test_the_same_picture_under_two_names_is_not_more_than_equal() -> None:
    """float32 takes the product of a unit row with itself past 1."""
    rows = np.random.default_rng(0).normal(size=(50, 256)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    assert (rows @ rows.T).max() > 1.0
    data = pictures(labels=[*range(50), *range(50, 100)], cameras=[1] * 100)
    impostor, _ = decision_similarities(data, alike_good(np.concatenate([rows, rows])))
    assert impostor.max() == 1.0
