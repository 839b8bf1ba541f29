"""A data set as a table: what is read, and every mistake in it at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from edge_reid.core.errors import ConfigError
from trainer.data.datasets import NO_CAMERA, read_source
from trainer.data.run_data import load_run_data
from trainer.recipe.recipe import DataSource, Recipe, Stage

WriteTable = Callable[..., Path]
STAGE = Stage(height_px=64, width_px=32, epochs=1)


@pytest.fixture
def table(tmp_path: Path) -> WriteTable:
    """Write a CSV beside a folder `crops` of people."""

    def write(*lines: str, encoding: str = "utf-8") -> Path:
        file = tmp_path / "people.csv"
        file.write_text("\n".join(lines) + "\n", encoding=encoding)
        return file

    return write


@pytest.fixture
def crops(make_people: Callable[..., Path]) -> list[str]:
    """Names of pictures, relative to the CSV: 12 people, 6 each."""
    folder = make_people("crops")
    return [f"crops/{path.name}" for path in sorted(folder.iterdir())]


def test_a_table_says_who_and_where(table: WriteTable, crops: list[str], tmp_path: Path) -> None:
    file = table(
        "camera,path,identity",
        f"gate,{crops[0]},Müller",
        f'yard,{crops[1]},"Anna, the tall one"',
        f",{crops[2]},Müller",
        "",
        f"gate,{tmp_path / crops[3]},Müller",
        encoding="utf-8-sig",  # as spreadsheets write it
    )
    data = read_source(file)
    assert data.identities == ("Anna, the tall one", "Müller")
    assert data.labels.tolist() == [1, 0, 1, 1]
    assert data.cameras.tolist() == [0, 1, NO_CAMERA, 0]
    assert data.paths[0] == tmp_path / crops[0]


def test_a_table_is_trained_on_like_a_folder(table: WriteTable, crops: list[str]) -> None:
    file = table("path,identity", *(f"{crop},{crop[6:10]}" for crop in crops))
    run = load_run_data(Recipe(sources=(DataSource(path=file),), stages=(STAGE,), hold_out=2))
    assert (len(run.train), len(run.train.identities)) == (60, 10)
    assert len(run.validation) == 12
    assert not run.validation.has_cameras


def test_every_mistake_is_listed(table: WriteTable, crops: list[str], tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    file = table(
        "path,identity",
        f"{crops[0]},anna",
        "crops/missing.jpg,anna",
        f"{crops[1]},",
        f"{crops[2]},bob,gate",
        "notes.txt,bob",
        f"{crops[0]},bob",
        ",carl",
    )
    with pytest.raises(ConfigError) as caught:
        read_source(file)
    starts = [problem.split(" ")[:3] for problem in caught.value.problems]
    assert starts == [
        ["line", "3:", "crops/missing.jpg:"],
        ["line", "4:", "expected"],
        ["line", "5:", "expected"],
        ["line", "6:", "notes.txt:"],
        ["line", "7:", crops[0]],
        ["line", "8:", "expected"],
    ]
    assert "is anna's already, on line 2" in caught.value.problems[4]


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("path;identity", "expected the header path,identity .* got 'path;identity'"),
        ("path,camera", "no identity"),
        ("path,identity,colour", "expected no columns but path, identity, camera, got colour"),
        ("path,identity,path", "expected each column once"),
    ],
)
def test_a_wrong_header_is_refused(table: WriteTable, header: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        read_source(table(header))


def test_a_table_of_another_encoding_or_of_nothing(table: WriteTable) -> None:
    with pytest.raises(ConfigError, match="expected UTF-8, got byte 0xfc .* save it as UTF-8"):
        read_source(table("path,identity", "a.jpg,Müller", encoding="latin-1"))
    with pytest.raises(ConfigError, match="expected the header"):
        read_source(table(""))


def test_a_thousand_mistakes_do_not_flood_the_screen(table: WriteTable) -> None:
    with pytest.raises(ConfigError) as caught:
        read_source(table("path,identity", *(f"{n}.jpg,anna" for n in range(1000))))
    assert len(caught.value.problems) == 101
    assert caught.value.problems[-1] == "and 900 mistakes more"


def test_a_path_too_long_to_be_one_is_a_mistake_of_its_row(table: WriteTable) -> None:
    """A stray quotation mark makes one of several lines."""
    file = table("path,identity", f"{'x' * 300}.jpg,anna")
    with pytest.raises(ConfigError, match="line 2: x+.*: no such file beside the CSV"):
        read_source(file)


def test_a_camera_may_have_a_long_serial_number(table: WriteTable, crops: list[str]) -> None:
    serial = "99999999999999999999"  # more than 64 bits
    file = table("path,identity,camera", f"{crops[0]},anna,{serial}", f"{crops[1]},anna,1")
    cameras = read_source(file).cameras
    assert len(set(cameras.tolist())) == 2
    assert NO_CAMERA not in cameras
