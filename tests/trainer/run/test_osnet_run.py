"""An OSNet is trained, stopped and exported as a MobileNet is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.trainer
pytest.importorskip("tensorflow", reason="needs TensorFlow")

from support.drawn_osnet import ALPHA, DIMENSION, drawn_osnet  # noqa: E402
from support.small_runs import draw_people  # noqa: E402

from edge_reid.cli.main import main  # noqa: E402
from edge_reid.core.errors import TrainingError  # noqa: E402
from edge_reid.core.manifest import load_embedding_manifest  # noqa: E402
from edge_reid.matching.vectors import unit_rows  # noqa: E402
from edge_reid.vision.embed import Embedder  # noqa: E402
from trainer.data.decoded_crops import load_crops  # noqa: E402
from trainer.export.export import ExportOptions, export_run  # noqa: E402
from trainer.export.quantize import Precision  # noqa: E402
from trainer.network import osnet  # noqa: E402
from trainer.network.mirroring import mirrored  # noqa: E402
from trainer.network.model import build_embedder, load_run, load_weights, save_weights  # noqa: E402
from trainer.network.operation_network import build_trainable  # noqa: E402
from trainer.recipe.recipe import Recipe, make_recipe  # noqa: E402
from trainer.run.train import start_run  # noqa: E402

POOLING = "pool_kernel/kernel"
SIZE = {"height_px": 64, "width_px": 32, "warmup_steps": 2}


@pytest.fixture(scope="module", params=[2, pytest.param(4, marks=pytest.mark.soak)])
def streams(request: pytest.FixtureRequest) -> Iterator[int]:
    """Of each block. Most of a small run is the tracing of its graph, and four have thrice as many
    operations, but none of another kind; test_osnet.py looks at the whole network.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(osnet, "_STREAMS", request.param)
        yield request.param


@pytest.fixture(scope="module")
def run(streams: int, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Head first, then all of it, from weights of crops twice as high."""
    folder = tmp_path_factory.mktemp("osnet")
    start = folder / "start.npz"
    save_weights(build_trainable(drawn_osnet(128, 64)), start)
    start_run(osnet_recipe(draw_people(folder / "people"), start), folder / "run")
    return folder / "run"


def osnet_recipe(people: Path, start: Path) -> Recipe:
    head = SIZE | {"epochs": 1, "frozen_blocks": 18, "learning_rate": 1e-3}
    whole = SIZE | {"epochs": 2, "frozen_blocks": 0, "learning_rate": 3e-4}
    return make_recipe(
        {
            "sources": [{"path": people, "terms": "generated, free"}],
            "stages": [head, whole],
            "start_from": start,
            "backbone": "osnet",
            "alpha": ALPHA,
            "dimension": DIMENSION,
            "hold_out": 4,
            "identities_per_batch": 4,
            "images_per_identity": 3,
            "ema": 0.5,
        }
    )


def test_it_learns_in_all_its_parts(run: Path) -> None:
    before = np.load(run.parent / "start.npz")
    after = np.load(run / "weights.npz")
    kernels = [name for name in before if name.endswith("kernel") and name != POOLING]
    moved = [name for name in kernels if not np.array_equal(before[name], after[name])]
    parts = {name.split("_")[0] for name in kernels}
    assert {name.split("_")[0] for name in moved} == parts  # stem, blocks, embedding
    assert len(moved) > 0.9 * len(kernels)  # but for gates whose ReLU gives nothing
    assert before[POOLING].shape != after[POOLING].shape
    epsilons = [name for name in before if "_epsilon" in name]
    assert all(np.array_equal(before[name], after[name]) for name in epsilons)


def test_its_file_computes_what_it_computes(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "small.tflite"
    with pytest.raises(SystemExit, match="0"):
        main(["export", str(run), "--budget", "100", "--out", str(out)])
    printed = capsys.readouterr().out
    assert "fine-tuned" not in printed  # through the rounding: nothing does that with an OSNet
    manifest = load_embedding_manifest(out)
    assert (manifest.input_height_px, manifest.input_width_px) == (64, 32)
    assert manifest.dimension == DIMENSION
    assert manifest.metrics["held_out_cosine_mean"] > 0.97
    assert "osnet α 0.5" in manifest.source


@pytest.mark.parametrize(
    ("precision", "mirror", "share"), [("float32", False, 1e-3), ("float16", True, 0.1)]
)
def test_its_float_file_embeds_as_the_network_does(
    run: Path, tmp_path: Path, precision: Precision, mirror: bool, share: float
) -> None:
    """Off by a small share of what tells people apart, which is little in so short a run."""
    out = tmp_path / "float.tflite"
    manifest = export_run(run, out, ExportOptions(precision, mirror=mirror)).manifest
    assert manifest.quantisation == precision
    embedder = load_run(run).embedder
    network = mirrored(embedder) if mirror else embedder
    crops = load_crops(sorted((run.parent / "people").iterdir())[::6], 64, 32)
    rows = unit_rows(np.asarray(network(crops.astype(np.float32))))
    off = np.linalg.norm(Embedder(out).embed(list(crops)) - rows, axis=1)
    apart = np.linalg.norm(rows - rows.mean(axis=0), axis=1)
    assert off.max() < share * apart.min()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (ExportOptions(precision="int16x8"), "got --int16x8"),
        (ExportOptions(fine_tune_minutes=1), "got --fine-tune"),
        (ExportOptions(mirror=True), "got --mirror"),
        (ExportOptions(fine_tune_most=20, mirror=True), "got --fine-tune-most and --mirror"),
    ],
)
def test_what_is_not_made_of_it_is_refused(
    run: Path, tmp_path: Path, options: ExportOptions, said: str
) -> None:
    with pytest.raises(TrainingError, match=f"expected of an osnet an int8 or float file .*{said}"):
        export_run(run, tmp_path / "no.tflite", options)


def test_a_checkpoint_of_it_is_read_back(run: Path, tmp_path: Path) -> None:
    """`--checkpoint` keeps float16 weights, to fine-tune from."""
    loaded, file = load_run(run), tmp_path / "half.npz"
    save_weights(loaded.embedder, file, "float16")
    again = build_embedder(loaded.recipe, 64, 32)
    load_weights(again, file)
    crops = np.random.default_rng(1).integers(0, 256, (4, 64, 32, 3)).astype(np.float32)
    cosines = (unit_rows(again(crops)) * unit_rows(loaded.embedder(crops))).sum(axis=1)
    assert cosines.min() > 0.999


def test_what_an_export_advises_is_done_with_an_osnet(run: Path, tmp_path: Path) -> None:
    """Not --fine-tune nor --int16x8, which it refuses."""
    with pytest.raises(TrainingError, match=r"; try edge-reid export .* --float16 --out .*, or a"):
        export_run(run, tmp_path / "no.tflite", ExportOptions(budget_points=-100))
