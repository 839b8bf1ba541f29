"""Reading data sets: both layouts, and one clear line for each thing that can be wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edge_reid.core.errors import TrainingError
from trainer import datasets
from trainer.crops import load_crops

MakePeople = Callable[..., Path]


def by_folder(source: Path, to: Path, *, cameras: bool) -> Path:
    """The same pictures as a folder per identity."""
    for file in source.iterdir():
        person, camera = file.name.split("_")[:2]
        place = to / person / camera if cameras else to / person
        place.mkdir(parents=True, exist_ok=True)
        (place / file.name).write_bytes(file.read_bytes())
    return to


def test_market_names_give_people_and_cameras(people: Path) -> None:
    data = datasets.read_source(people)
    assert (len(data), len(data.identities), data.has_cameras) == (72, 12, True)
    assert data.paths[0].name == "0001_c1s1_000000_00.jpg"
    assert set(data.cameras.tolist()) == {1, 2}


@pytest.mark.parametrize("cameras", [True, False])
def test_a_folder_per_identity_is_read(people: Path, tmp_path: Path, cameras: bool) -> None:
    data = datasets.read_source(by_folder(people, tmp_path / "folders", cameras=cameras))
    assert (len(data), len(data.identities), data.has_cameras) == (72, 12, cameras)


def test_several_sources_are_different_people(make_people: MakePeople) -> None:
    parts = [datasets.read_source(make_people(name, identities=3)) for name in ("a", "bb")]
    joined = datasets.join_sources(parts, ["a", "bb"])
    assert joined.identities == ("a/1", "a/2", "a/3", "bb/1", "bb/2", "bb/3")
    assert np.unique(joined.labels).tolist() == [0, 1, 2, 3, 4, 5]


def test_held_out_people_are_not_trained_on(people: Path) -> None:
    rest, held = datasets.hold_out(datasets.read_source(people), 4, seed=0)
    assert set(rest.labels).isdisjoint(held.labels)
    assert len(np.unique(held.labels)) == 4


def test_one_query_per_person_and_camera(people: Path) -> None:
    data = datasets.read_source(people)
    query, gallery = datasets.query_gallery(data, seed=0)
    assert len(query) == 12 * 2
    assert sorted([*query, *gallery]) == list(range(len(data)))


def test_a_person_with_one_picture_is_left_out_and_named(people: Path) -> None:
    (people / "0099_c1s1_000000_00.jpg").write_bytes(next(people.iterdir()).read_bytes())
    kept, single = datasets.trainable_part(datasets.read_source(people))
    assert single == ("99",)
    assert np.unique(kept.labels).tolist() == list(range(12))


def test_one_person_alone_cannot_be_trained_on(make_people: MakePeople) -> None:
    data = datasets.read_source(make_people(identities=1))
    with pytest.raises(TrainingError, match="expected at least 2 identities .* found 1"):
        datasets.trainable_part(data)


@pytest.mark.parametrize("content", [b"", b"no picture"])
def test_an_unreadable_picture_is_named(people: Path, content: bytes) -> None:
    bad = sorted(people.iterdir())[5]
    bad.write_bytes(content)
    with pytest.raises(TrainingError, match=f"{bad.name}.*found {len(content)} bytes"):
        load_crops(datasets.read_source(people).paths, 64, 32)


def test_a_folder_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no images"):
        datasets.read_source(tmp_path)
    with pytest.raises(TrainingError, match="expected a folder"):
        datasets.read_source(tmp_path / "missing")


def test_decoded_crops_are_kept_until_a_file_changes(people: Path, tmp_path: Path) -> None:
    paths = datasets.read_source(people).paths
    first = load_crops(paths, 64, 32, tmp_path / "cache")
    paths[0].write_bytes(paths[-1].read_bytes() + b" ")
    second = load_crops(paths, 64, 32, tmp_path / "cache")
    assert np.array_equal(second[0], first[-1])
    assert np.array_equal(second[1:], first[1:])
