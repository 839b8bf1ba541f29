"""The gate: a file that holds up is kept with its measurements, one that does not is not."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.trainer
pytest.importorskip("tensorflow", reason="the converter is TensorFlow's")

from support.small_networks import embed, random_crops, small_network  # noqa: E402

from edge_reid.cli.main import main  # noqa: E402
from edge_reid.core.bundled_models import DETECTOR, EMBEDDING, shipped_model  # noqa: E402
from edge_reid.core.errors import TrainingError  # noqa: E402
from edge_reid.core.manifest import (  # noqa: E402
    file_sha256,
    load_embedding_manifest,
    manifest_path,
    write_manifest,
)
from edge_reid.vision.embed import Embedder  # noqa: E402
from edge_reid.vision.runtime import Model  # noqa: E402
from trainer.data.decoded_crops import read_image  # noqa: E402
from trainer.data.run_data import load_run_data  # noqa: E402
from trainer.export import export  # noqa: E402
from trainer.export.export import ExportOptions, export_run  # noqa: E402
from trainer.export.operators import read_operators  # noqa: E402
from trainer.export.quantize import Precision, to_tflite  # noqa: E402
from trainer.network.model import is_weights, save_weights  # noqa: E402
from trainer.recipe.recipe import read_recipe  # noqa: E402
from trainer.scoring.evaluate import evaluate_file, evaluate_run, split_people  # noqa: E402
from trainer.thresholds.picture_sketch import PictureSketch  # noqa: E402

RUN_BY_TFLITE_RUNTIME = """
import sys
from pathlib import Path
import numpy as np
from edge_reid.vision.runtime import Model
model = Model(Path(sys.argv[1]), runtime="tflite-runtime")
(row,) = model(np.load(sys.argv[2]))
np.save(sys.argv[3], row)
"""


CROPS = random_crops(16)


def run_file(content: bytes, crops: np.ndarray = CROPS) -> np.ndarray:
    """Unit rows (N, D) of crops, by the device's runtime."""
    with tempfile.NamedTemporaryFile(suffix=".tflite") as file:
        file.write(content)
        file.flush()
        model = Model(Path(file.name), runtime="litert")
        rows = np.concatenate([model(crop[np.newaxis])[0] for crop in crops])
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def lost(content: bytes, expected: np.ndarray) -> float:
    """Mean of 1 - cosine."""
    return float(np.mean(1.0 - np.sum(run_file(content) * expected, axis=1)))


def copied_run(run: Path, folder: Path, **changes: object) -> Path:
    """A run's folder again, as if its recipe had been another."""
    shutil.copytree(run, folder)
    recipe = json.loads((folder / "recipe.json").read_text())
    (folder / "recipe.json").write_text(json.dumps({**recipe, **changes}))
    return folder


@pytest.fixture
def lopsided(trained: Path, tmp_path: Path) -> Path:
    """A run whose float network answers as before, with one channel a thousand times the others.

    Nothing bounds the map behind block 1, and only block 2 reads it.
    """
    run = tmp_path / "lopsided"
    run.mkdir()
    for name in ("recipe.json", "environment.json"):
        shutil.copy(trained / name, run)
    weights = dict(np.load(trained / "weights.npz"))
    weights["block1_project_bn/gamma"][0] *= 1000.0
    weights["block1_project_bn/beta"][0] *= 1000.0
    weights["block2_expand_conv/kernel"][:, :, 0, :] /= 1000.0
    np.savez(run / "weights.npz", **weights)
    return run


def test_a_file_that_holds_up_is_kept_with_what_was_measured_on_it(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "mine.tflite"
    with pytest.raises(SystemExit, match="0"):
        main(["export", str(trained), "--budget", "100", "--out", str(out)])
    printed = capsys.readouterr().out
    assert "ms a crop: median of 100, one thread, litert" in printed
    assert "not int8: none" in printed
    assert "fine-tuned through int8 rounding for 5 and then 10 minutes, so 15 more at m" in printed
    assert "held_out_queries" in printed
    assert " %" in printed

    metrics = load_embedding_manifest(out).metrics
    data = load_run_data(read_recipe(trained / "recipe.json"))
    of_file = evaluate_file(out, split_people(data.validation, "held_out"))
    of_run = evaluate_run(trained, None)
    cosines = np.sum(of_file.embeddings * of_run.embeddings, axis=1)
    lost = of_run.ranking.mean_average_precision - of_file.ranking.mean_average_precision
    assert metrics["held_out_map_points_lost"] == pytest.approx(100 * lost, abs=0.01)
    assert metrics["held_out_cosine_mean"] == pytest.approx(cosines.mean(), abs=1e-4)
    assert metrics["held_out_cosine_worst"] == pytest.approx(cosines.min(), abs=1e-4)
    assert metrics["held_out_rank1"] == pytest.approx(of_file.ranking.rank(1), abs=1e-4)


def test_a_file_that_lost_too_much_is_not_kept_and_it_is_said_what_to_try(
    lopsided: Path, trained: Path, tmp_path: Path
) -> None:
    assert np.allclose(
        evaluate_run(lopsided, None).embeddings, evaluate_run(trained, None).embeddings, atol=1e-3
    )
    whole, broken = (
        export_run(run, tmp_path / f"{run.name}.tflite", ExportOptions("int8", 100.0, 16)).manifest
        for run in (trained, lopsided)
    )
    cosines = [each.metrics["held_out_cosine_mean"] for each in (whole, broken)]
    assert 1 - cosines[1] > 2 * (1 - cosines[0])

    budget = broken.metrics["held_out_map_points_lost"] - 0.1
    out = tmp_path / "models" / "mine.tflite"
    with pytest.raises(
        TrainingError, match=f"at most {budget:.4g} mAP points lost, the int8"
    ) as no:
        export_run(lopsided, out, ExportOptions("int8", budget, 16))
    assert f"try edge-reid export {lopsided} --int8 --fine-tune 10 --out {out}" in str(no.value)
    assert not out.exists()
    refused = out.with_suffix(".refused.tflite")
    assert f"it is not kept as {out}, but lies in {refused}" in str(no.value)
    assert load_embedding_manifest(refused).metrics == broken.metrics


@pytest.mark.soak
def test_int8_that_loses_too_much_is_fine_tuned_until_it_does_not(
    lopsided: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "mine.tflite"
    lost = export_run(lopsided, out, ExportOptions("int8", 100.0, 16)).manifest.metrics
    budget = lost["held_out_map_points_lost"] - 0.1
    options = ExportOptions("int8", budget, 16, fine_tune_most=2.0)
    metrics = export_run(lopsided, out, options).manifest.metrics
    assert "fine-tuning it for 2 minutes" in capsys.readouterr().out
    assert metrics["held_out_map_points_lost"] <= budget
    assert metrics["held_out_cosine_mean"] > lost["held_out_cosine_mean"]


def test_a_failed_export_leaves_the_older_file_as_it_was(trained: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine.tflite"
    export_run(trained, out, ExportOptions(budget_points=100.0, calibration=16))
    before = file_sha256(out)
    with pytest.raises(TrainingError, match="it is not kept"):
        export_run(trained, out, ExportOptions("float32", budget_points=-100.0))
    assert load_embedding_manifest(out).sha256 == file_sha256(out) == before


def test_scores_of_no_budget_or_of_two_sets_of_one_name_are_refused(
    trained: Path, tmp_path: Path
) -> None:
    float32 = ExportOptions("float32", budget_points=float("nan"))
    with pytest.raises(TrainingError, match="expected at most nan mAP points lost"):
        export_run(trained, tmp_path / "mine.tflite", float32)
    people = trained.parent / "people"
    twice = ExportOptions("float32", validate=(people, people))
    with pytest.raises(TrainingError, match="different names, got people twice"):
        export_run(trained, tmp_path / "mine.tflite", twice)


def test_a_manifest_says_what_its_weights_come_from(trained: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine.tflite"
    manifest = export_run(trained, out, ExportOptions("float32")).manifest
    assert manifest.training_data == (
        "people: generated, free",
        "start.npz, which it started from: data not known",
    )
    assert manifest.licence == "as the training data allow, and start.npz"
    trained_on = load_run_data(read_recipe(trained / "recipe.json")).train.paths
    sketch = PictureSketch.from_text(manifest.training_pictures)
    assert sketch.recognised(trained_on) == list(trained_on)
    assert "started from start.npz" in manifest.source
    assert "stopped" not in manifest.source


@pytest.mark.parametrize("given", [Path(EMBEDDING).stem, str(shipped_model(EMBEDDING))])
def test_a_manifest_names_the_terms_of_the_teachers(
    trained: Path, tmp_path: Path, given: str
) -> None:
    """Of one with a manifest of ours; of another it says that they are not known."""
    teachers = [{"path": given}, {"path": "answers.npz"}]
    run = copied_run(trained, tmp_path / "run", teachers=teachers)
    manifest = export_run(run, tmp_path / "mine.tflite", ExportOptions("float32")).manifest
    shipped = load_embedding_manifest(shipped_model(EMBEDDING))
    assert manifest.training_data == (
        "people: generated, free",
        "start.npz, which it started from: data not known",
        *shipped.training_data,
        "answers.npz, which it was distilled from: data not known",
    )
    assert manifest.licence == (
        f"as the training data allow, and start.npz, and {Path(given).name}: {shipped.licence}, "
        "and answers.npz"
    )


def test_a_manifest_names_the_terms_of_a_run_that_its_own_started_from(
    trained: Path, tmp_path: Path
) -> None:
    """And of what that one started from and was distilled from: research stays research."""
    research = Path(EMBEDDING).stem
    earlier = copied_run(trained, tmp_path / "earlier", teachers=[research])
    shop = {"path": str(trained.parent / "people"), "terms": "own, for our shop"}
    start = str(earlier / "weights.npz")
    later = copied_run(trained, tmp_path / "later", sources=[shop], start_from=start)
    manifest = export_run(later, tmp_path / "mine.tflite", ExportOptions("float32")).manifest
    shipped = load_embedding_manifest(shipped_model(EMBEDDING))
    assert manifest.training_data == (
        "people: own, for our shop",
        "people: generated, free",
        "start.npz, which it started from: data not known",
        *shipped.training_data,
    )
    assert manifest.licence == (
        f"as the training data allow, and start.npz, and {research}: {shipped.licence}"
    )

    (earlier / "recipe.json").unlink()
    manifest = export_run(later, tmp_path / "mine.tflite", ExportOptions("float32")).manifest
    assert manifest.training_data[1:] == ("weights.npz, which it started from: data not known",)


def test_a_run_that_was_stopped_half_way_says_so(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    with np.load(run / "checkpoint.npz") as stored:
        arrays = dict(stored)
    arrays["progress"] = np.array([0, 5, 1.0])
    np.savez(run / "checkpoint.npz", **arrays)
    out = tmp_path / "mine.tflite"
    with pytest.raises(SystemExit, match="0"):
        main(["export", str(run), "--float32", "--out", str(out)])
    assert "warning: the run was stopped in stage 1 of 2" in capsys.readouterr().out
    assert load_embedding_manifest(out).source.endswith("stopped in stage 1 of 2")


def test_a_damaged_weights_file_is_told_as_what_it_is(trained: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    weights = run / "weights.npz"
    for content in (weights.read_bytes()[:5000], b"version https://git-lfs.github.com/spec/v1\n"):
        weights.write_bytes(content)
        with pytest.raises(TrainingError, match=r"weights\.npz: expected the weights of a run"):
            evaluate_run(run, None)


def test_int16_holds_what_int8_cannot() -> None:
    network = small_network()
    expected = embed(network, CROPS)
    int8, int16x8 = (to_tflite(network, each, CROPS) for each in ("int8", "int16x8"))
    assert lost(int16x8, expected) < 0.5 * lost(int8, expected)
    operators = read_operators(int16x8)
    assert operators.other["CONV_2D → int16"] == 4
    assert operators.other["CAST → float32"] == 1  # uint8 in, as every file of ours
    assert not operators.int8


def test_a_mirrored_export_is_compared_with_the_mirrored_network(
    trained: Path, tmp_path: Path
) -> None:
    out = tmp_path / "mine.tflite"
    words = ["export", str(trained), "--float32", "--mirror", "--out", str(out)]
    with pytest.raises(SystemExit, match="0"):
        main(words)
    manifest = load_embedding_manifest(out)
    assert manifest.metrics["held_out_cosine_worst"] > 0.9999
    assert "mean of a crop and its mirror image" in manifest.source


def test_a_file_is_fed_as_its_network_was(trained: Path, tmp_path: Path) -> None:
    run, out = tmp_path / "run", tmp_path / "mine.tflite"
    shutil.copytree(trained, run)
    recipe = read_recipe(run / "recipe.json").model_copy(update={"grey_world": 1.0})
    (run / "recipe.json").write_text(recipe.model_dump_json())
    manifest = export_run(run, out, ExportOptions("float32")).manifest
    assert manifest.grey_world == 1.0
    assert manifest.metrics["held_out_cosine_worst"] > 0.9999
    picture = [read_image(load_run_data(recipe).validation.paths[0])]
    as_it_is = tmp_path / "as_it_is.tflite"
    shutil.copy(out, as_it_is)
    write_manifest(manifest.model_copy(update={"grey_world": 0.0}), as_it_is)
    changed = Embedder(out).embed(picture) @ Embedder(as_it_is).embed(picture).T
    assert changed[0, 0] < 0.9999


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_float_files_agree_with_the_network(
    trained: Path, tmp_path: Path, precision: Precision
) -> None:
    out = tmp_path / "mine.tflite"
    made = export_run(trained, out, ExportOptions(precision, budget_points=100.0))
    assert made.manifest.metrics["held_out_cosine_worst"] > 0.999
    assert set(read_operators(out.read_bytes()).other) >= {"CONV_2D → float32"}


@pytest.mark.parametrize("precision", ["int8", "int16x8", "float16"])
def test_a_mirrored_file_takes_a_crop_and_its_mirror_image_for_the_same(
    precision: Precision,
) -> None:
    network, turned = small_network(), CROPS[:, :, ::-1]
    mean = network.predict_on_batch(CROPS) + network.predict_on_batch(turned)
    mean /= np.linalg.norm(mean, axis=1, keepdims=True)
    plain, both = (to_tflite(network, precision, CROPS, mirror=each) for each in (False, True))
    assert np.abs(run_file(plain) - run_file(plain, turned)).max() > 0.01
    np.testing.assert_allclose(run_file(both), run_file(both, turned), atol=1e-6)
    assert lost(both, mean) < 0.005
    operators = [read_operators(content) for content in (plain, both)]
    assert operators[1].int8["CONV_2D"] == operators[0].int8["CONV_2D"]  # not a second network
    if precision == "int8":
        assert not operators[1].other


@pytest.mark.parametrize("precision", ["int8", "int16x8", "float32"])
def test_both_runtimes_give_the_same_embeddings(precision: Precision, tmp_path: Path) -> None:
    """tflite-runtime in a process of its own: it cannot share one with TensorFlow."""
    pytest.importorskip("tflite_runtime")
    content = to_tflite(small_network(), precision, CROPS, mirror=True)
    (tmp_path / "mine.tflite").write_bytes(content)
    np.save(tmp_path / "crop.npy", CROPS[:1])
    files = [str(tmp_path / name) for name in ("mine.tflite", "crop.npy", "row.npy")]
    subprocess.run([sys.executable, "-c", RUN_BY_TFLITE_RUNTIME, *files], check=True)
    row = np.load(tmp_path / "row.npy")[0]
    assert run_file(content)[0] @ row / np.linalg.norm(row) > 0.999


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("m.tflite", b"hello"),
        ("m.tflite", b"\x1c\0\0\0TFL3 without a manifest"),
        ("m.json", b"[1, 2]"),
        ("m.json", b"[" * 100_000),
        ("m.json", manifest_path(shipped_model(DETECTOR)).read_bytes()),
    ],
    ids=["text", "model of another", "list", "deep list", "manifest of a detector"],
)
def test_a_file_of_another_kind_is_not_overwritten(
    name: str, content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Said before the run is scored, which takes minutes."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SystemExit, match="2"):
        main(["export", "runs/none", "--out", str(tmp_path / "m.tflite")])
    assert "or no file, got another kind of file; give another path" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_bytes() == content


@pytest.mark.parametrize("count", ["0", "-5"])
def test_int8_needs_crops_to_be_calibrated_with(
    count: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["export", "runs/none", "--out", f"{tmp_path}/m.tflite", "--calibration", count])
    said = capsys.readouterr().err  # in between in the words of the typer that is installed
    assert re.search(rf"--calibration: expected a number .*1, got {count}; ", said)


def test_a_model_is_not_left_without_its_manifest(tmp_path: Path) -> None:
    """Left alone, it would be another file than an export, and the next export be refused."""
    out, shipped = tmp_path / "m.tflite", load_embedding_manifest(shipped_model(EMBEDDING))
    manifest_path(out).mkdir()  # so that none can be written
    with pytest.raises(IsADirectoryError):
        export._write(export.ExportCandidate(b"TFL3", shipped, ()), shipped, out)
    assert not out.exists()


def test_an_archive_of_a_later_kind_of_zip_holds_no_weights(tmp_path: Path) -> None:
    save_weights(small_network(), tmp_path / "weights.npz")
    content = bytearray((tmp_path / "weights.npz").read_bytes())
    content[content.rindex(b"PK\x01\x02") + 6] = 99  # the version that it needs
    assert not is_weights(io.BytesIO(content))


def test_a_checkpoint_takes_the_place_of_older_weights_and_of_no_other_archive(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    older, other = tmp_path / "older.npz", tmp_path / "embeddings.npz"
    save_weights(small_network(), older, dtype="float16")
    np.savez(other, names=np.array(["a"]), embeddings=np.zeros((1, 4)))
    for path, said in ((older, "runs/none"), (other, "expected older weights or no file")):
        before = path.read_bytes()
        with pytest.raises(SystemExit):
            main(
                ["export", "runs/none", "--out", f"{tmp_path}/m.tflite", "--checkpoint", f"{path}"]
            )
        assert said in capsys.readouterr().err
        assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--int8", "--float16"], "got --int8 and --float16"),
        (["--float32", "--fine-tune", "3"], "expected --fine-tune with --int8, got --float32"),
        (
            ["--int16x8", "--fine-tune-most", "9"],
            "expected --fine-tune-most with --int8, got --int16x8; leave it out",
        ),
        (
            ["--float16", "--calibration", "99"],
            "expected --calibration with --int8 or --int16x8, got --float16; leave it out",
        ),
    ],
)
def test_contradictions_are_refused(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["export", "runs/none", "--out", str(tmp_path / "m.tflite"), *words])
    assert said in " ".join(capsys.readouterr().err.split())
