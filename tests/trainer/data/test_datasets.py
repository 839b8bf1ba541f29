"""Reading data sets: every layout, and one clear line for each thing that can be wrong."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edge_reid.core.errors import TrainingError
from trainer.data import datasets
from trainer.data.decoded_crops import load_crops
from trainer.data.pictures import readable_part
from trainer.data.run_data import load_run_data
from trainer.recipe.recipe import make_recipe
from trainer.scoring.crop_embeddings import CropEmbeddings
from trainer.scoring.evaluate import read_split, score

MakePeople = Callable[..., Path]


def copy(picture: Path, *places: Path) -> None:
    for place in places:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(picture.read_bytes())


@pytest.fixture
def picture(people: Path) -> Path:
    """Of somebody, somewhere."""
    return min(people.iterdir())


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


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("sets/pku_reid/labels.csv", "pku_reid"),
        ("sets/gate/hall.csv", "hall.csv"),
        ("sets/gate", "gate"),
        ("labels.csv", "here"),
        (".", "here"),
    ],
)
def test_what_a_data_set_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, name: str
) -> None:
    """Several sets of labels.csv could not be told apart."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert datasets.set_name(Path(source)) == name


def test_a_split_is_called_like_its_data_set(people: Path, tmp_path: Path) -> None:
    by_folder(people, tmp_path / "gate", cameras=True)
    rows = [
        f"{file.relative_to(tmp_path / 'gate')},{file.parts[-3]},{file.parts[-2]}"
        for file in sorted((tmp_path / "gate").rglob("*.jpg"))
    ]
    labels = tmp_path / "gate" / "labels.csv"
    labels.write_text("\n".join(["path,identity,camera", *rows]), encoding="utf-8")
    assert read_split(labels).name == "gate"


@pytest.mark.parametrize("cameras", [True, False])
def test_a_folder_per_identity_is_read(people: Path, tmp_path: Path, cameras: bool) -> None:
    data = datasets.read_source(by_folder(people, tmp_path / "folders", cameras=cameras))
    assert (len(data), len(data.identities), data.has_cameras) == (72, 12, cameras)


def test_a_camera_is_known_by_its_name_whoever_it_saw(picture: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    copy(picture, data / "anna/gate/1.jpg", data / "anna/hall/2.jpg", data / "bob/gate/3.jpg")
    copy(picture, data / "bob/yard/4.jpg", data / "carl/hall/5.jpg")
    read = datasets.read_source(data)
    by_folder_name: dict[str, set[int]] = {}
    for path, camera in zip(read.paths, read.cameras.tolist(), strict=True):
        by_folder_name.setdefault(path.parent.name, set()).add(camera)
    assert by_folder_name == {"gate": {0}, "hall": {1}, "yard": {2}}
    assert read.has_cameras


def test_pictures_beside_camera_folders_have_no_camera(picture: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    copy(picture, data / "anna/gate/1.jpg", data / "anna/2.jpg", data / "bob/3.jpg")
    read = datasets.read_source(data)
    cameras = {p.name: int(c) for p, c in zip(read.paths, read.cameras, strict=True)}
    assert cameras == {"1.jpg": 0, "2.jpg": datasets.NO_CAMERA, "3.jpg": datasets.NO_CAMERA}
    assert not read.has_cameras


def test_a_test_split_is_read_as_its_queries_and_gallery(picture: Path, tmp_path: Path) -> None:
    data = tmp_path / "split"
    copy(picture, data / "query/0007_c1s1_000001_00.jpg")
    copy(picture, data / "bounding_box_test/0007_c2s1_000002_00.jpg")
    copy(picture, data / "bounding_box_test/-1_c2s1_000003_00.jpg")
    read = datasets.read_source(data)
    assert (read.identities, read.labels.tolist(), read.cameras.tolist()) == (
        ("7",),
        [0, -1, 0],
        [1, 2, 2],
    )


def test_litter_is_passed_over_and_other_files_are_named(picture: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    copy(picture, data / "anna/1.jpg", data / "anna/2.JPEG")
    copy(picture, data / "__MACOSX/anna/1.jpg", data / "anna/._1.jpg", data / ".trash/9.jpg")
    copy(picture, data / "anna/Thumbs.db", data / "@eaDir/a/1.jpg")
    copy(picture, data / "anna/notes.txt", data / "anna/3.heic", data / "anna/gate/deep/4.jpg")
    (data / "bob").mkdir()
    read = datasets.read_source(data)
    assert read.identities == ("anna",)
    assert [path.name for path in read.paths] == ["1.jpg", "2.JPEG"]
    assert {path.name for path in read.unused} == {"notes.txt", "3.heic", "deep", "bob"}


@pytest.mark.parametrize(
    ("one", "other"), [("Anna", "anna"), ("Jos\u00e9", "Jose\u0301"), ("STRASSE", "straße")]
)
def test_names_that_some_systems_hold_for_one_are_refused(
    picture: Path, tmp_path: Path, one: str, other: str
) -> None:
    data = tmp_path / "data"
    copy(picture, data / one / "1.jpg", data / other / "2.jpg")
    if len(list(data.iterdir())) == 1:
        pytest.skip("this file system holds them for one")
    with pytest.raises(TrainingError, match="expected identities to differ in more than .* case"):
        datasets.read_source(data)


def test_camera_names_are_held_to_the_same(picture: Path, tmp_path: Path) -> None:
    copy(picture, tmp_path / "data/anna/Gate/1.jpg", tmp_path / "data/bob/gate/2.jpg")
    with pytest.raises(TrainingError, match="expected cameras to differ .* 'Gate' and 'gate'"):
        datasets.read_source(tmp_path / "data")


def test_a_link_to_a_picture_of_the_same_person_is_not_counted_twice(
    picture: Path, tmp_path: Path
) -> None:
    anna = tmp_path / "data/anna"
    copy(picture, anna / "1.jpg")
    (anna / "2.jpg").symlink_to(anna / "1.jpg")
    read = datasets.read_source(tmp_path / "data")
    assert [path.name for path in read.paths] == ["1.jpg"]
    assert [path.name for path in read.unused] == ["2.jpg"]


def test_a_folder_linked_as_somebody_else_is_refused(picture: Path, tmp_path: Path) -> None:
    copy(picture, tmp_path / "data/anna/1.jpg")
    (tmp_path / "data/bob").symlink_to(tmp_path / "data/anna", target_is_directory=True)
    with pytest.raises(TrainingError, match="bob/1.jpg and .*anna/1.jpg to be the same file"):
        datasets.read_source(tmp_path / "data")


def test_sources_that_overlap_are_refused(people: Path, make_people: MakePeople) -> None:
    sources = [datasets.read_source(place) for place in (make_people("other"), people, people)]
    datasets.check_apart(sources[:2])
    with pytest.raises(TrainingError, match="got .*0001_c1s1_000000_00.jpg in two of them"):
        datasets.check_apart(sources)


def test_pictures_in_both_layouts_are_refused(people: Path, picture: Path) -> None:
    copy(picture, people / "anna/1.jpg")
    with pytest.raises(TrainingError, match="expected all pictures in folders of identities"):
        datasets.read_source(people)


def test_several_sources_are_different_people(make_people: MakePeople) -> None:
    parts = [datasets.read_source(make_people(name, identities=3)) for name in ("a", "bb")]
    joined = datasets.join_sources(parts, ["a", "bb"])
    assert joined.identities == ("a/1", "a/2", "a/3", "bb/1", "bb/2", "bb/3")
    assert np.unique(joined.labels).tolist() == [0, 1, 2, 3, 4, 5]


def test_cameras_of_several_sources_are_different_cameras(people: Path, picture: Path) -> None:
    copy(picture, people.with_name("folders") / "anna/1.jpg")
    alone, unnumbered = (
        datasets.read_source(place) for place in (people, people.with_name("folders"))
    )
    joined = datasets.join_sources([alone, unnumbered, alone], ["a", "b", "c"])
    first, none, last = np.split(joined.cameras, [len(alone), len(alone) + 1])
    assert first.tolist() == alone.cameras.tolist()
    assert none.tolist() == [datasets.NO_CAMERA]
    assert len(np.unique(last)) == len(np.unique(first))
    assert set(last).isdisjoint(first)


def test_held_out_people_are_not_trained_on(people: Path) -> None:
    rest, held = datasets.hold_out(datasets.read_source(people), 4, seed=0)
    assert set(rest.labels).isdisjoint(held.labels)
    assert len(np.unique(held.labels)) == 4


def test_nobody_with_a_single_picture_is_held_out(people: Path) -> None:
    for person in range(20, 40):
        copy(min(people.iterdir()), people / f"{person:04}_c1s1_000000_00.jpg")
    _, held = datasets.hold_out(datasets.read_source(people), 11, seed=0)
    assert np.unique(held.labels, return_counts=True)[1].tolist() == [6] * 11


def test_one_query_per_person_and_camera(people: Path) -> None:
    data = datasets.read_source(people)
    query, gallery = datasets.query_gallery(data, seed=0)
    assert len(query) == 12 * 2
    assert sorted([*query, *gallery]) == list(range(len(data)))


def test_with_one_picture_a_camera_the_first_camera_is_looked_up(
    picture: Path, tmp_path: Path
) -> None:
    """VIPeR and PRID: everybody is once in each view, somebody in one view only."""
    data = tmp_path / "data"
    copy(picture, data / "anna/a/1.jpg", data / "anna/b/2.jpg")
    copy(picture, data / "bob/a/3.jpg", data / "bob/b/4.jpg", data / "carl/b/5.jpg")
    split = read_split(data)
    names = np.array([path.name for path in split.data.paths])
    assert names[split.query].tolist() == ["1.jpg", "3.jpg"]
    assert names[split.gallery].tolist() == ["2.jpg", "4.jpg", "5.jpg"]
    report = score(split, CropEmbeddings.of_equal_quality(np.ones((5, 1), np.float32)))
    assert "2 queries against 3 pictures" in report.remarks()
    assert report.remarks().endswith("1 people only to be mistaken for, never a query: carl")


def test_the_official_folder_is_scored_as_it_comes(picture: Path, tmp_path: Path) -> None:
    """Distractors count, junk does not, and what unpacking leaves behind is passed over."""
    query, gallery = tmp_path / "query", tmp_path / "bounding_box_test"
    copy(picture, query / "0001_c1s1_000151_00.jpg", query / "0002_c1s1_000376_00.jpg")
    copy(picture, gallery / "0001_c2s1_000301_00.jpg", gallery / "0002_c3s1_000401_00.jpg.jpg")
    copy(picture, gallery / "0000_c1s1_000151_01.jpg", gallery / "-1_c1s1_000401_03.jpg")
    copy(picture, tmp_path / "bounding_box_train/0009_c1s1_000001_00.jpg")
    for folder in (query, gallery):
        (folder / "Thumbs.db").write_bytes(b"windows")
        (folder / "._0001_c1s1_000151_00.jpg").write_bytes(b"macOS")
    split = read_split(tmp_path)
    names = [path.name for path in split.data.paths]
    of = {"0001": [1, 0], "0002": [0, 1], "0000": [0.6, 0.8], "-1_c": [1, 0]}
    report = score(
        split,
        CropEmbeddings.of_equal_quality(np.array([of[name[:4]] for name in names], np.float32)),
    )
    assert split.data.identities == ("1", "2")
    assert report.scores()["mAP"] == 1.0
    assert report.query.embeddings.tolist() == [[1, 0], [0, 1]]
    assert report.remarks() == (
        "2 queries against 3 pictures (1 junk ones left out), 1 of them distractors; the query's "
        "person under the query's camera is left out"
    )


def test_a_folder_per_camera_is_not_taken_for_people(picture: Path, tmp_path: Path) -> None:
    copy(picture, tmp_path / "VIPeR/cam_a/001_45.bmp", tmp_path / "VIPeR/cam_b/001_90.bmp")
    with pytest.raises(TrainingError, match=r"got a folder per camera \(cam_a, cam_b\)"):
        datasets.read_source(tmp_path / "VIPeR")


def test_another_seed_holds_out_the_same_people(people: Path) -> None:
    """They are whom the weights that a fine-tune starts from were not trained on."""

    def held_out(**changes: int) -> set[int]:
        stage = {"height_px": 64, "width_px": 32, "epochs": 1}
        recipe = {"sources": [{"path": people}], "stages": [stage], "hold_out": 4} | changes
        return set(load_run_data(make_recipe(recipe)).validation.labels.tolist())

    assert held_out(seed=2) == held_out(seed=3) != held_out(hold_out_seed=2)


def test_it_is_said_on_whom_a_run_is_measured(make_people: MakePeople) -> None:
    few = make_people(identities=6, images=2)
    stage = {"height_px": 64, "width_px": 32, "epochs": 1}
    data = load_run_data(make_recipe({"sources": [{"path": few}], "stages": [stage]}))
    assert "nobody is held out" in data.validation_remark()
    assert "cross-camera" not in data.validation_remark()


def test_a_person_with_one_picture_is_left_out_and_named(people: Path) -> None:
    (people / "0099_c1s1_000000_00.jpg").write_bytes(next(people.iterdir()).read_bytes())
    kept, single = datasets.trainable_part(datasets.read_source(people))
    assert single == ("99",)
    assert np.unique(kept.labels).tolist() == list(range(12))


def test_one_person_alone_cannot_be_trained_on(make_people: MakePeople) -> None:
    data = datasets.read_source(make_people(identities=1))
    with pytest.raises(TrainingError, match="expected at least 2 identities .* got 1"):
        datasets.trainable_part(data)


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


def test_a_link_to_itself_is_a_picture_that_cannot_be_read(picture: Path, tmp_path: Path) -> None:
    anna = tmp_path / "crops" / "anna"
    copy(picture, anna / "1.jpg", anna / "2.jpg")
    (anna / "3.jpg").symlink_to("3.jpg")
    readable, bad = readable_part(datasets.read_source(tmp_path / "crops"))
    assert [path.name for path in readable.paths] == ["1.jpg", "2.jpg"]
    assert [file.path.name for file in bad] == ["3.jpg"]


@pytest.mark.skipif(sys.platform != "linux", reason="names are any bytes on Linux alone")
@pytest.mark.parametrize("place", [b"M\xfcller/1.jpg", b"anna/f\xfcnf.jpg", b"anna/\xfcber.txt"])
def test_names_that_are_no_utf_8_are_refused(picture: Path, tmp_path: Path, place: bytes) -> None:
    """As old archives of Windows leave them; a report and a run's hash are made of names."""
    crops = tmp_path / "crops"
    copy(picture, crops / "anna" / "1.jpg", crops / os.fsdecode(place))
    with pytest.raises(TrainingError, match=r"expected names in UTF-8, got .*\\udcfc.*; rename"):
        datasets.read_source(crops)
