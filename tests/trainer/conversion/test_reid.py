"""A re-identification network of Open Model Zoo gives the same as a TFLite file."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("openvino")
reid = pytest.importorskip("trainer.conversion.reid", reason="needs TensorFlow")

import openvino  # noqa: E402
from osnet_ir import write_ir  # noqa: E402
from small_osnet import DIMENSION, HEIGHT, WIDTH, SmallOsnet  # noqa: E402
from support.drawn_osnet import ALPHA, drawn_osnet  # noqa: E402

from edge_reid.core.errors import TrainingError  # noqa: E402
from edge_reid.matching.vectors import unit_rows  # noqa: E402
from edge_reid.vision.embed import Embedder  # noqa: E402
from trainer.conversion.ir_operations import read_operations  # noqa: E402
from trainer.conversion.openvino_ir import read_convolutions, read_nodes  # noqa: E402
from trainer.export.operation_rounding import with_limits  # noqa: E402
from trainer.network.model import build_embedder, load_start  # noqa: E402
from trainer.network.operation_network import build_network  # noqa: E402
from trainer.network.operations import rounded_operations  # noqa: E402
from trainer.recipe.recipe import make_recipe  # noqa: E402

pytestmark = pytest.mark.trainer

RNG = np.random.default_rng(8)


@pytest.fixture(scope="module")
def ir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return SmallOsnet().write(tmp_path_factory.mktemp("ir") / "small.xml")


@pytest.fixture(scope="module")
def crops() -> np.ndarray:
    """Smooth pictures of all kinds of contrast and cast."""
    coarse = RNG.uniform(0, 255, (24, 8, 4, 3)) * RNG.uniform(0.3, 1, (24, 1, 1, 3))
    return np.stack([cv2.resize(each, (WIDTH, HEIGHT)) for each in coarse]).astype(np.uint8)


def asked(ir: Path, crops: np.ndarray) -> np.ndarray:
    """What OpenVINO gives, which takes BGR, channels first."""
    network = openvino.Core().compile_model(ir, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    planes = crops[..., ::-1].transpose(0, 3, 1, 2).astype(np.float32)
    return np.concatenate([network(plane[np.newaxis])[0] for plane in planes])


def test_the_network_gives_what_openvino_gives(ir: Path, crops: np.ndarray) -> None:
    network = build_network(reid.read_embedder(ir))
    assert np.asarray(network(crops.astype(np.float32))) == pytest.approx(
        asked(ir, crops), abs=2e-4
    )


def test_a_crop_of_one_colour_has_an_embedding(ir: Path) -> None:
    """Its variance is 0, and by rounding may come out below."""
    flat = np.full((1, HEIGHT, WIDTH, 3), (250, 3, 77), np.uint8)
    network = build_network(reid.read_embedder(ir))
    assert np.isfinite(np.asarray(network(flat.astype(np.float32)))).all()


def test_channels_made_alike_change_nothing_in_float(ir: Path, crops: np.ndarray) -> None:
    alike, _ = with_limits(reid.read_embedder(ir), crops)
    given = np.asarray(build_network(alike)(crops.astype(np.float32)))
    assert given == pytest.approx(asked(ir, crops), abs=2e-4)


def test_a_bias_a_norm_and_a_relu_are_one_operation_with_what_is_before(ir: Path) -> None:
    operations = {each.name: each for each in read_operations(read_nodes(ir))}
    convolutions = [each for each in operations.values() if each.kind == "Convolution"]
    assert "ReLU" not in {each.kind for each in operations.values()}
    assert [each.shift is not None for each in convolutions if each.relu] == [True, True, True]
    rounded = list(rounded_operations(tuple(operations.values())))
    assert {operations[name].kind for name in rounded} == {
        "MVN",  # behind it are integers
        "Convolution",
        "GroupConvolution",
        "Sigmoid",  # a gate, by which a map is multiplied
        "Multiply",
        "Add",
        "AvgPool",
    }
    assert all(operations[n].is_map for n in rounded if operations[n].kind != "Sigmoid")


def test_the_file_is_what_the_device_takes_and_near_to_the_ir(
    ir: Path, crops: np.ndarray, tmp_path: Path
) -> None:
    folder, out = tmp_path / "people", tmp_path / "small.tflite"
    folder.mkdir()
    for number, crop in enumerate(crops):
        cv2.imwrite(str(folder / f"{number}.png"), crop[..., ::-1])
    reid.main([str(ir), "--crops", str(folder), "--out", str(out)])
    embedder = Embedder(out)
    assert (embedder.manifest.dimension, embedder.manifest.impostor_quantiles) == (DIMENSION, ())
    cosines = (embedder.embed(list(crops)) * unit_rows(asked(ir, crops))).sum(axis=1)
    assert np.median(cosines) > 0.99
    assert cosines.min() > 0.9


def test_what_is_no_such_network_is_refused(tmp_path: Path) -> None:
    swapped = SmallOsnet(turns_to_rgb=False).write(tmp_path / "swapped.xml")
    with pytest.raises(TrainingError, match="turns BGR into RGB first, got Gather"):
        build_network(reid.read_embedder(swapped))
    other = tmp_path / "other.xml"
    openvino.save_model(transposing(), other)
    with pytest.raises(TrainingError, match="got Transpose "):
        build_network(reid.read_embedder(other))
    flat = tmp_path / "flat.xml"
    openvino.save_model(flat_input(), flat)
    with pytest.raises(TrainingError, match="expected a network of one BGR picture"):
        reid.read_embedder(flat)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("as it is", "turns BGR into RGB first, got Convolution "),
        ("both ways", "turns BGR into RGB first, got Gather .* and Add "),
        ("rows", "turns BGR into RGB first, got Gather .* of other indices"),
        ("twice", "expected operations as in .*, got Gather"),
    ],
)
def test_colours_in_an_order_that_is_not_known_are_refused(
    name: str, said: str, tmp_path: Path
) -> None:
    """Each was fed RGB, as if it turned BGR into that."""
    path = tmp_path / "other.xml"
    openvino.save_model(of_colours(name), path)
    with pytest.raises(TrainingError, match=said) as refused:
        build_network(reid.read_embedder(path))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("dilated", "Convolution .* with dilations 2,2"),
        ("padded at the end", "Convolution .* with pads_end 1,1"),
        ("uneven", "Convolution .* with strides 2,1"),
        ("mean of padding", r"AvgPool .* with a result of \(1, 9, 9, 8\)"),
        ("norm of all", "norms of each channel or group, got MVN"),
        ("epsilon outside", "MVN .* with eps_mode OUTSIDE_SQRT"),
        ("flattened map", "Reshape .* with a map"),
        ("constant behind a relu", "Add .* with a constant"),
        ("a constant along rows", r"value for each of 8 channels, got one of \(1, 1, 8, 1\)"),
        ("grouped", "GroupConvolution .* with groups of several channels"),
        ("slopes", "PReLU .* with a slope for each channel"),
        ("largest of padding", "MaxPool .* with values below 0"),
    ],
)
def test_what_would_be_computed_otherwise_is_refused(name: str, said: str, tmp_path: Path) -> None:
    """Each was converted to a file that gives something else, or ended in a traceback."""
    path = tmp_path / "other.xml"
    openvino.save_model(unlike_osnet(name), path)
    with pytest.raises(TrainingError, match=said):
        build_network(reid.read_embedder(path))


def test_one_value_may_stand_for_all_channels(tmp_path: Path, crops: np.ndarray) -> None:
    from openvino import opset8 as ops

    picture = ops.parameter([1, 3, HEIGHT, WIDTH], np.float32)
    rgb = as_rgb(picture)
    kernel = RNG.normal(size=(5, 3, 3, 3)).astype(np.float32)
    wide = ops.convolution(rgb, ops.constant(kernel), *[[1, 1]] * 4)
    wide = ops.add(wide, ops.constant(np.full((1, 1, 1, 1), 30, np.float32)))
    path = tmp_path / "one.xml"
    openvino.save_model(openvino.Model([wide], [picture], "one"), path, compress_to_fp16=False)
    given = np.asarray(build_network(reid.read_embedder(path))(crops[:2].astype(np.float32)))
    assert given == pytest.approx(asked(path, crops[:2]).transpose(0, 2, 3, 1), rel=1e-4, abs=0.01)


def test_the_command_says_in_one_line_what_it_lacks(ir: Path, tmp_path: Path) -> None:
    for arguments, said in (
        ([str(tmp_path / "no.xml"), "--crops", str(tmp_path)], "expected an OpenVINO IR"),
        ([str(ir), "--crops", str(tmp_path)], "expected pictures of people, got none"),
    ):
        with pytest.raises(SystemExit, match=f"error: .*{said}"):
            reid.main([*arguments, "--out", str(tmp_path / "out.tflite")])
    assert not (tmp_path / "out.tflite").exists()


def test_weights_to_train_further_compute_what_the_ir_does(tmp_path: Path) -> None:
    ir, weights = write_ir(drawn_osnet(), tmp_path / "osnet.xml"), tmp_path / "start.npz"
    reid.main([str(ir), "--weights", str(weights)])
    stage = {"height_px": 64, "width_px": 32, "epochs": 1}
    recipe = make_recipe(
        {"sources": [{"path": "people"}], "stages": [stage], "backbone": "osnet", "alpha": ALPHA}
        | {"dimension": drawn_osnet()[-1].shape[-1], "start_from": weights}
    )
    network = build_embedder(recipe, 64, 32)
    load_start(network, recipe)
    crops = RNG.integers(0, 256, (4, 64, 32, 3), np.uint8)
    given = np.asarray(network(crops.astype(np.float32)))
    assert given == pytest.approx(asked(ir, crops), rel=1e-3)


def test_weights_are_made_of_no_other_network(ir: Path, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"small.xml: expected the OSNet of person-reidentif"):
        reid.main([str(ir), "--weights", str(tmp_path / "start.npz")])
    assert not (tmp_path / "start.npz").exists()


def test_a_detector_is_not_made_of_an_embedder(ir: Path) -> None:
    with pytest.raises(TrainingError, match="expected a calibrated IR|expected convolutions with"):
        read_convolutions(ir)


def transposing() -> openvino.Model:
    from openvino import opset8

    picture = opset8.parameter([1, 3, 8, 8], np.float32)
    turned = opset8.transpose(as_rgb(picture), opset8.constant(np.int64([0, 1, 3, 2])))
    return openvino.Model([turned], [picture], "transposing")


def as_rgb(picture: openvino.Node, axis: int = 1) -> openvino.Node:
    from openvino import opset8

    return opset8.gather(picture, *(opset8.constant(np.int64(each)) for each in ([2, 1, 0], axis)))


def of_colours(name: str) -> openvino.Model:
    """A convolution of a picture of 3 × 3 pixels, whose colours come in some order."""
    from openvino import opset8 as ops

    picture = ops.parameter([1, 3, 3, 3], np.float32)
    kernel = ops.constant(np.ones((8, 3, 3, 3), np.float32))
    seen = {
        "as it is": lambda: picture,
        "both ways": lambda: ops.add(picture, as_rgb(picture)),
        "rows": lambda: as_rgb(picture, axis=2),
        "twice": lambda: as_rgb(as_rgb(picture)),
    }[name]()
    last = ops.convolution(seen, kernel, *[[1, 1]] * 4)
    return openvino.Model([last], [picture], "colours")


def unlike_osnet(name: str) -> openvino.Model:
    from openvino import opset8 as ops

    picture = ops.parameter([1, 3, 8, 8], np.float32)
    rgb = as_rgb(picture)
    kernel = ops.constant(np.ones((8, 3, 3, 3), np.float32))

    def conv(strides=(1, 1), begin=1, end=1, dilation=1):  # type: ignore[no-untyped-def]
        return ops.convolution(rgb, kernel, list(strides), [begin] * 2, [end] * 2, [dilation] * 2)

    def norm(axes: list[int], epsilon: str) -> openvino.Node:
        return ops.mvn(conv(), ops.constant(np.int64(axes)), True, 1e-5, epsilon)

    last = {
        "dilated": lambda: conv(begin=2, end=2, dilation=2),
        "padded at the end": lambda: conv((2, 2), begin=0),
        "uneven": lambda: conv((2, 1)),
        "mean of padding": lambda: ops.avg_pool(conv(), [1, 1], [1, 1], [1, 1], [2, 2], True),
        "norm of all": lambda: norm([1, 2, 3], "INSIDE_SQRT"),
        "epsilon outside": lambda: norm([2, 3], "OUTSIDE_SQRT"),
        "flattened map": lambda: ops.reshape(conv(), ops.constant(np.int64([1, -1])), False),
        "constant behind a relu": lambda: ops.add(
            ops.relu(conv()), ops.constant(np.ones((1, 8, 1, 1), np.float32))
        ),
        "a constant along rows": lambda: ops.add(
            conv(), ops.constant(np.ones((1, 1, 8, 1), np.float32))
        ),
        "grouped": lambda: ops.group_convolution(
            conv(), ops.constant(np.ones((2, 4, 4, 3, 3), np.float32)), *[[1, 1]] * 4
        ),
        "slopes": lambda: ops.prelu(conv(), ops.constant(np.ones(8, np.float32))),
        "largest of padding": lambda: ops.max_pool(
            conv(), [2, 2], [1, 1], [1, 1], [1, 1], [3, 3]
        ).output(0),
    }[name]()
    return openvino.Model([last], [picture], "unlike")


def flat_input() -> openvino.Model:
    from openvino import opset8

    row = opset8.parameter([1, 8], np.float32)
    return openvino.Model([opset8.relu(row)], [row], "flat")
