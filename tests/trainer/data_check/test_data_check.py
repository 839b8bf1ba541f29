"""`edge-reid data check` on people cut from the campus clip, with mistakes put in."""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from support import campus

from edge_reid.cli.main import main
from edge_reid.core.bundled_models import EMBEDDING, shipped_model
from edge_reid.core.errors import TrainingError
from edge_reid.vision.crops import cut
from edge_reid.vision.embed import Embedder
from trainer.data_check.data_report import check_data

CROPS_EACH = 9
PEOPLE = ("red-sleeves", "fair-hair", "red-jacket", "light-blue-coat", "striped-jumper")
Check = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture(scope="session")
def campus_crops(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder per identity, nine crops of the first visit each."""
    folder = tmp_path_factory.mktemp("campus") / "people"
    boxes = {person.identity: person.visits[0].boxes for person in campus.people(*PEOPLE)}
    chosen = {
        (name, frame): of[frame]
        for name, of in boxes.items()
        for frame in np.array(sorted(of))[np.linspace(1, len(of) - 2, CROPS_EACH).astype(int)]
    }
    frames = campus.read_frames({int(frame) for _, frame in chosen})
    for (name, frame), box in chosen.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        crop = cv2.cvtColor(cut(frames[int(frame)], box), cv2.COLOR_RGB2BGR)
        cv2.imwrite(str(folder / name / f"{frame:03}.png"), crop)
    return folder


@pytest.fixture
def data(campus_crops: Path, tmp_path: Path) -> Path:
    """A copy to put mistakes into."""
    return Path(shutil.copytree(campus_crops, tmp_path / "people"))


@pytest.fixture
def check(capfd: pytest.CaptureFixture[str]) -> Check:
    """Runs the verb; returns its exit code and what it says."""

    def run(*words: object) -> tuple[int, dict[str, Any]]:
        capfd.readouterr()
        with pytest.raises(SystemExit) as left:
            main(["data", "check", "--json", *map(str, words)])
        out = capfd.readouterr().out
        return int(left.value.code or 0), json.loads(out) if out else {}

    return run


DOUBTS = (
    "unreadable",
    "same_picture_two_identities",
    "may_be_one_person",
    "may_be_two_people",
    "may_show_somebody_else",
)


def test_good_data_is_fine(data: Path, check: Check) -> None:
    code, said = check(data)
    assert code == 0
    assert (said["identities"], said["images"], said["images_without_camera"]) == (5, 45, 45)
    assert said["images_of"] == dict.fromkeys(sorted(PEOPLE), CROPS_EACH)
    assert said["spans"]["images per identity"] == [9, 9, 9]
    assert [said[doubt] for doubt in DOUBTS] == [[], [], [], [], []]
    assert said["failures"] == []


def test_mistakes_are_found_and_shown(data: Path, check: Check, tmp_path: Path) -> None:
    (data / "somebody").mkdir()
    for crop in sorted((data / "red-sleeves").iterdir())[::2]:
        crop.rename(data / "somebody" / crop.name)
    for crop in sorted((data / "striped-jumper").iterdir()):
        crop.rename(data / "red-jacket" / f"again-{crop.name}")
    (data / "striped-jumper").rmdir()
    stray = min((data / "fair-hair").iterdir())
    moved = stray.rename(data / "light-blue-coat" / "moved.png")
    (data / "fair-hair" / "empty.jpg").write_bytes(b"")

    code, said = check(data, "--out", tmp_path / "report")
    assert code == 0, "all of this can be trained on, badly"
    (pair,) = said["may_be_one_person"]
    assert pair["identities"] == ["red-sleeves", "somebody"]
    (mixed,) = said["may_be_two_people"]
    assert mixed["identity"] == "red-jacket"
    again = [{Path(path).name.startswith("again") for path in part} for part in mixed["parts"]]
    assert sorted(again, key=str) == [{False}, {True}]
    (found,) = said["may_show_somebody_else"]
    assert (found["path"], found["resembles"]) == (str(moved), "fair-hair")
    (bad,) = said["unreadable"]
    assert bad["path"] == str(data / "fair-hair" / "empty.jpg")
    assert len(said["advice"]) == 4

    assert json.loads((tmp_path / "report" / "report.json").read_text()) == said
    for name in ("identities_01.png", "doubts_01.png"):
        page = cv2.imread(str(tmp_path / "report" / name))
        assert page.shape[1] > 800
        assert page.std() > 20, "pictures and words, not blank paper"


@pytest.mark.parametrize("saved_again", [False, True])
def test_a_picture_under_two_identities_is_a_contradiction(
    data: Path, check: Check, saved_again: bool
) -> None:
    original = min((data / "fair-hair").iterdir())
    other = data / "red-jacket" / "copy.jpg"
    if saved_again:
        small = cv2.resize(cv2.imread(str(original)), None, fx=0.7, fy=0.7)
        cv2.imwrite(str(other), small, [cv2.IMWRITE_JPEG_QUALITY, 70])
    else:
        other.write_bytes(original.read_bytes())
    code, said = check(data)
    assert code == 1
    (shared,) = said["same_picture_two_identities"]
    assert shared["identities"] == ["fair-hair", "red-jacket"]
    assert shared["exact"] is not saved_again
    assert "labels contradict themselves" in said["failures"][0]


def test_repeated_pictures_are_counted(data: Path, check: Check) -> None:
    for crop in sorted((data / "fair-hair").iterdir()):
        (data / "fair-hair" / f"copy-{crop.name}").write_bytes(crop.read_bytes())
    code, said = check(data, "--model", shipped_model(EMBEDDING))
    assert code == 0
    assert said["exact_copies"] == CROPS_EACH
    assert said["near_duplicates"] >= CROPS_EACH


def test_several_sources_are_checked_together(data: Path, check: Check, tmp_path: Path) -> None:
    other = tmp_path / "more"
    (data / "striped-jumper").rename(other)
    table = tmp_path / "more.csv"
    lines = [f"more/{path.name},jumper" for path in sorted(other.iterdir())]
    table.write_text("\n".join(["path,identity", *lines]))
    code, said = check(data, table)
    assert (code, said["identities"], said["images"]) == (0, 5, 45)
    assert f"{table}/jumper" in said["images_of"]


def test_one_identity_cannot_be_trained_on(data: Path, check: Check) -> None:
    for name in PEOPLE[1:]:
        shutil.rmtree(data / name)
    code, said = check(data)
    assert code == 1
    assert said["failures"] == [
        (
            "training needs 2 identities of 2 readable images or more, there is 1; "
            "add people, or pictures of them"
        )
    ]


def test_words_for_people(data: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (data / "fair-hair" / "empty.jpg").write_bytes(b"")
    with pytest.raises(SystemExit, match="0"):
        main(["data", "check", str(data)])
    out = capfd.readouterr().out
    assert "5 identities, 45 readable pictures, cameras not known" in out
    assert "1  unreadable files: fair-hair/empty.jpg" in out
    assert "to do  unreadable files are left out of training" in out
    assert "fine   fit to train on" in out
    assert "--out FOLDER draws the pictures in doubt" in out


def test_data_that_cannot_be_read_is_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="1"):
        main(["data", "check", str(tmp_path / "missing")])
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("error: data ")
    assert "expected a folder of person crops or a .csv" in line


def test_a_full_disk_is_one_line_and_leaves_no_cut_picture(
    data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))  # enough for the report
    try:
        with pytest.raises(SystemExit) as left:
            main(["data", "check", str(data), "--out", str(out)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert left.value.code == 1
    told = "cannot be written: File too large; make room there, or give another folder"
    assert capfd.readouterr().err == f"error: --out {out}: {told}\n"
    assert [path.name for path in out.iterdir()] == ["report.json"]


def test_an_out_that_is_a_file_is_refused_before_the_work(
    data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(SystemExit, match="1"):
        main(["data", "check", str(data), "--out", str(tmp_path / "out")])
    assert "expected a folder that can be made" in capfd.readouterr().err


def test_the_check_needs_no_tensorflow(data: Path) -> None:
    """It runs where only the box's packages are installed."""
    program = (
        "import sys; sys.modules.update(dict.fromkeys(['tensorflow', 'keras', 'torch', 'scipy',"
        "'matplotlib', 'PIL']));"
        "from edge_reid.cli.main import main; main(sys.argv[1:])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "data", "check", str(data)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_pictures_of_nobody_are_refused(campus_crops: Path, tmp_path: Path) -> None:
    """Market-1501's distractors alone: there is no label to judge."""
    crop = next(campus_crops.glob("*/*.png"))
    for name in ("0000_c1s1_000001_00.png", "-1_c1s1_000002_00.png"):
        shutil.copy(crop, tmp_path / name)
    embedder = Embedder(shipped_model(EMBEDDING))
    with pytest.raises(TrainingError, match="expected pictures of people, got 2 of nobody"):
        check_data([tmp_path], embedder)
