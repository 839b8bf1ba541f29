"""What `--start` leads to: weights, and the network, the size and the colours that they are of."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edge_reid.core.bundled_models import CHECKPOINT, EMBEDDING, shipped_model
from edge_reid.core.errors import TrainingError, UsageError
from edge_reid.core.manifest import load_embedding_manifest

pytest.importorskip("tensorflow")

from trainer.recipe.recipe import make_recipe
from trainer.run.training_start import TrainingStart, start_share


def a_run(folder: Path, **settings: object) -> str:
    """Path of the weights of a run: of an OSNet of half the width, that ended at 64×32."""
    sizes = [{"height_px": height, "width_px": height // 2, "epochs": 1} for height in (96, 64)]
    recipe = {"sources": [{"path": "people"}], "start_from": "start.npz", "stages": sizes}
    network = {"backbone": "osnet", "alpha": 0.5}
    (folder / "recipe.json").write_text(make_recipe(recipe | network | settings).model_dump_json())
    (folder / "weights.npz").touch()
    return str(folder / "weights.npz")


@pytest.mark.parametrize(
    ("start", "network", "size_px"),
    [
        ("shipped", ("osnet", 1.0), (160, 80)),
        ("open", ("osnet", 0.5), (192, 96)),
        ("mobilenet", ("mobilenetv2", 1.0), (192, 96)),
        ("imagenet", ("mobilenetv2", 1.0), (192, 96)),
    ],
)
def test_a_word_brings_a_network_and_a_size(
    start: str, network: tuple[str, float], size_px: tuple[int, int]
) -> None:
    begun = TrainingStart.of(start)
    assert (begun.network, begun.size_px) == (network, size_px)
    assert begun.network_asked(None, None) == begun.network_asked(network[0], None) == network
    assert begun.is_reid == (start != "imagenet")


def test_the_path_of_shipped_weights_is_their_word() -> None:
    assert TrainingStart.of(str(shipped_model(CHECKPOINT))) == TrainingStart.of("shipped")


def test_a_fine_tune_of_the_shipped_weights_is_fed_as_the_shipped_model() -> None:
    shipped = load_embedding_manifest(shipped_model(EMBEDDING))
    assert TrainingStart.of("shipped").settings == {
        "start_from": shipped_model(CHECKPOINT),
        "grey_world": shipped.grey_world,
    }


def test_the_weights_of_a_run_bring_what_its_recipe_says(tmp_path: Path) -> None:
    begun = TrainingStart.of(a_run(tmp_path))
    assert (begun.network, begun.size_px) == (("osnet", 0.5), (64, 32))
    assert begun.settings == {"start_from": tmp_path / "weights.npz", "grey_world": 0.0}
    assert begun.network_asked("mobilenetv2", None) == ("mobilenetv2", 1.0)
    assert begun.network_asked(None, 0.25) == ("osnet", 0.25)


def test_a_fine_tune_is_fed_as_the_run_that_it_begins_with(tmp_path: Path) -> None:
    weights = a_run(tmp_path, backbone="mobilenetv2", alpha=1.0, grey_world=0.25)
    assert TrainingStart.of(weights).settings["grey_world"] == 0.25


def test_weights_without_a_recipe_are_taken_as_the_standard_network(tmp_path: Path) -> None:
    for name, setting in (("copy.npz", "start_from"), ("mobilenet_v2.pth", "imagenet")):
        (tmp_path / name).touch()
        begun = TrainingStart.of(str(tmp_path / name))
        assert (begun.network, begun.size_px) == (("mobilenetv2", 1.0), (192, 96))
        assert begun.settings[setting] == tmp_path / name


def test_any_network_can_begin_with_imagenet() -> None:
    begun = TrainingStart.of("imagenet")
    assert begun.settings == {}
    assert begun.network_asked("mobilenetv3-small", 0.75) == ("mobilenetv3-small", 0.75)


@pytest.mark.parametrize(
    ("start", "told"),
    [
        ("shipped", "person_reid_osnet_160x80_int8, whose terms .*: research .*; --start open beg"),
        (
            "mobilenet",
            "person_reid_mobilenetv2_192x96_int8, whose terms .*: research .*; --start o",
        ),
        ("open", r"person_reid_open_192x96_int8, whose terms .*: Apache-2\.0[^;]*; see [^;]*$"),
        ("imagenet", "ImageNet's weights$"),
    ],
)
def test_it_is_said_what_a_training_begins_with_and_on_whose_terms(start: str, told: str) -> None:
    assert re.match(f"start: (weights of )?{told}", TrainingStart.of(start).remark)


def test_shipped_weights_of_another_network_are_refused() -> None:
    with pytest.raises(UsageError, match="expected --start mobilenet for mobilenetv2 1, got open"):
        TrainingStart.of("open").network_asked("mobilenetv2", None)
    with pytest.raises(UsageError, match="imagenet or a file for osnet 0.25, got shipped"):
        TrainingStart.of("shipped").network_asked(None, 0.25)


def test_what_cannot_be_trained_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.tflite").write_bytes(b"TFL3")
    with pytest.raises(TrainingError, match=r"got an exported model; give the weights\.npz"):
        TrainingStart.of(str(tmp_path / "mine.tflite"))
    (tmp_path / "mine.onnx").touch()
    with pytest.raises(TrainingError, match=r"weights as \.npz, \.pth or \.h5, got \.onnx"):
        TrainingStart.of(str(tmp_path / "mine.onnx"))
    with pytest.raises(TrainingError, match="expected shipped, open, mobilenet, imagenet"):
        TrainingStart.of(str(tmp_path / "none.npz"))


def test_shipped_weights_that_a_bundle_left_out_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_weights(name: str) -> Path:
        return tmp_path / name if name.endswith(".npz") else shipped_model(name)

    monkeypatch.setattr("trainer.run.training_start.shipped_model", without_weights)
    with pytest.raises(TrainingError, match=f"--start shipped: .* got no file .*{CHECKPOINT}"):
        TrainingStart.of("shipped")


def test_a_fine_tune_of_the_default_keeps_more_of_its_start() -> None:
    others = {start_share(TrainingStart.of(start).network) for start in ("open", "mobilenet")}
    assert others == {0.3}
    assert start_share(TrainingStart.of("shipped").network) == 0.6
