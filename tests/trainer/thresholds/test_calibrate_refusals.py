"""Thresholds are not taken from people a model has learnt, nor over those that rest on more."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from support.small_runs import draw_people
from support.threshold_examples import crowd, manifest

from edge_reid.cli.main import main
from edge_reid.core.bundled_models import EMBEDDING, shipped_model
from edge_reid.core.errors import TrainingError
from edge_reid.core.manifest import load_embedding_manifest, write_manifest
from trainer.thresholds.calibrate_refusals import refuse_worse_table
from trainer.thresholds.picture_sketch import PictureSketch
from trainer.thresholds.threshold_table import calibrate

MODEL = Path("mine.tflite")
TWELVE, FORTY, MANY = (
    calibrate([crowd(people, crops=2)], sizes=(1,), replicates=1) for people in (12, 40, 150)
)


def test_pictures_are_recognised_wherever_they_lie(tmp_path: Path) -> None:
    trained = sorted(draw_people(tmp_path / "mine").iterdir())
    others = sorted(draw_people(tmp_path / "other").iterdir())
    moved = tmp_path / "elsewhere.jpg"
    shutil.copy(trained[0], moved)
    sketch = PictureSketch.from_text(PictureSketch.of(trained).text)
    assert sketch.recognised([moved, *others]) == [moved]
    assert PictureSketch().recognised(trained) == []
    both = sketch.joined(PictureSketch.of(others))
    assert both.recognised([moved, others[3]]) == [moved, others[3]]


def test_of_many_pictures_enough_are_recognised(tmp_path: Path) -> None:
    files = [tmp_path / f"{number}" for number in range(5000)]
    for file in files:
        file.write_text(file.name)
    sketch = PictureSketch.of(files)
    assert len(sketch.text) == 512 * 12
    assert len(sketch.recognised(files[:300])) > 5


def test_a_table_of_more_people_is_not_overwritten() -> None:
    of_forty = FORTY.written_into(manifest())
    with pytest.raises(
        TrainingError,
        match=r"rest on 40 people \(crowd-40\), got 12 people, who show 5 % .*--force",
    ):
        refuse_worse_table(MODEL, of_forty, TWELVE)
    refuse_worse_table(MODEL, of_forty, FORTY)
    refuse_worse_table(MODEL, of_forty, MANY)


def test_neither_is_one_that_was_borrowed_and_reaches_further() -> None:
    borrowed = FORTY.written_into(manifest()).model_copy(update={"calibration": None})
    with pytest.raises(TrainingError, match="rest on comparisons down to 0.2 %, got 12 people"):
        refuse_worse_table(MODEL, borrowed, TWELVE)
    refuse_worse_table(MODEL, borrowed, MANY)
    refuse_worse_table(MODEL, manifest().model_copy(update={"impostor_quantiles": ()}), TWELVE)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """The shipped model, as if it had been trained on drawn people."""
    file = tmp_path / "mine.tflite"
    shutil.copy(shipped_model(EMBEDDING), file)
    pictures = sorted(draw_people(tmp_path / "mine", identities=12, images=4).iterdir())
    noted = {"name": "mine", "training_pictures": PictureSketch.of(pictures).text}
    shipped = load_embedding_manifest(shipped_model(EMBEDDING))
    write_manifest(shipped.model_copy(update=noted), file)
    return file


def test_people_it_was_trained_on_are_refused_unless_it_is_forced(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = model.with_suffix(".json").read_bytes()

    def calibrated(folder: Path, *words: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as left:
            main(["calibrate", str(model), str(folder), *words])
        return int(left.value.code or 0), capsys.readouterr().err

    code, said = calibrated(tmp_path / "mine")
    assert code == 1
    assert "expected people that it was not trained on, got at least 48 of the 48" in said
    code, said = calibrated(draw_people(tmp_path / "others", identities=12, images=4))
    assert code == 1
    shipped = load_embedding_manifest(model).calibration
    assert shipped is not None
    assert f"rest on {shipped.people} people ({', '.join(shipped.data)}), got 12 people" in said
    assert model.with_suffix(".json").read_bytes() == before
    assert calibrated(tmp_path / "mine", "--force")[0] == 0
    assert load_embedding_manifest(model).calibration.people == 12  # type: ignore[union-attr]
