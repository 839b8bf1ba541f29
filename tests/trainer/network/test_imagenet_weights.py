"""ImageNet weights land where they belong: our networks answer as those they came from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.trainer
keras = pytest.importorskip("keras", reason="needs TensorFlow")
h5py = pytest.importorskip("h5py")

from edge_reid.core.errors import TrainingError  # noqa: E402
from trainer.network import imagenet_weights as weights  # noqa: E402
from trainer.network.backbone import BackboneConfig, build_backbone  # noqa: E402
from trainer.recipe.settings import BackboneName  # noqa: E402

# Of one more than a multiple of 32, torch pads every strided convolution as TensorFlow does.
HEIGHT_PX, WIDTH_PX = 65, 33
PIXELS = np.random.default_rng(0).uniform(0, 255, (2, HEIGHT_PX, WIDTH_PX, 3)).astype(np.float32)
V2, SMALL, LARGE = "mobilenetv2", "mobilenetv3-small", "mobilenetv3-large"


def made_in_keras(name: BackboneName, alpha: float, size: tuple[int, int]) -> keras.Model:
    """keras.applications' network with weights that no layer of it has in common."""
    kinds = {V2: "MobileNetV2", SMALL: "MobileNetV3Small", LARGE: "MobileNetV3Large"}
    model = getattr(keras.applications, kinds[name])(
        input_shape=(*size, 3), alpha=alpha, include_top=False, weights=None
    )
    rng = np.random.default_rng(0)
    for layer in model.layers:
        for variable in layer.weights:
            if variable.name == "moving_variance":
                # Small enough for BatchNorm's epsilon to matter: 53 of them add up to a tenth.
                variable.assign(rng.uniform(0.3, 0.6, variable.shape))
            elif len(variable.shape) == 1:
                variable.assign(variable + rng.normal(0, 0.1, variable.shape))
    return model


def agree(found: np.ndarray, expected: np.ndarray) -> None:
    assert found.shape == expected.shape
    assert np.abs(expected).max() > 1e-3
    assert np.abs(found - expected).max() < 1e-3 * np.abs(expected).max()


def answers(model: keras.Model, pixels: np.ndarray = PIXELS) -> np.ndarray:
    return keras.ops.convert_to_numpy(model.predict_on_batch(pixels))


@pytest.mark.parametrize(
    ("name", "alpha", "size"),
    [
        (V2, 0.35, (64, 32)),
        (V2, 0.5, (HEIGHT_PX, WIDTH_PX)),
        (SMALL, 1.0, (HEIGHT_PX, WIDTH_PX)),
        (LARGE, 0.75, (64, 32)),
    ],
)
def test_the_network_answers_as_that_of_keras_applications(
    name: BackboneName, alpha: float, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = made_in_keras(name, alpha, size)
    monkeypatch.setattr(weights, "_downloaded", lambda _config: weights.keras_weights(theirs))
    config = BackboneConfig(alpha, last_stride=2, name=name)
    ours = build_backbone(config, *size)
    weights.load_imagenet(ours, config, None)
    pixels = PIXELS[:, : size[0], : size[1]]
    agree(answers(ours, pixels), answers(theirs, pixels / 127.5 - 1 if name == V2 else pixels))


def test_an_h5_file_of_keras_applications_is_read(tmp_path: Path) -> None:
    from keras.src.legacy.saving.legacy_h5_format import save_weights_to_hdf5_group

    theirs = made_in_keras(SMALL, 0.75, (64, 32))
    with h5py.File(tmp_path / "imagenet.h5", "w") as file:
        save_weights_to_hdf5_group(file, theirs)
    config = BackboneConfig(0.75, last_stride=2, name=SMALL)
    ours = build_backbone(config, 64, 32)
    weights.load_imagenet(ours, config, tmp_path / "imagenet.h5")
    agree(answers(ours, PIXELS[:, :64, :32]), answers(theirs, PIXELS[:, :64, :32]))


def test_a_width_that_nobody_trained_is_refused_with_those_there_are() -> None:
    config = BackboneConfig(0.35, name=SMALL)
    with pytest.raises(TrainingError, match=r"keras.applications has .*small with α 0.75, 1.0"):
        weights.load_imagenet(build_backbone(config, 64, 32), config, None)
    config = BackboneConfig(0.6)
    with pytest.raises(TrainingError, match=r"α = 1 only, .* with α 0.35, 0.5, 0.75, 1.0, 1.3"):
        weights.load_imagenet(build_backbone(config, 64, 32), config, Path("net.pth"))


def test_a_file_of_another_network_is_refused(tmp_path: Path) -> None:
    from keras.src.legacy.saving.legacy_h5_format import save_weights_to_hdf5_group

    with h5py.File(tmp_path / "imagenet.h5", "w") as file:
        save_weights_to_hdf5_group(file, made_in_keras(V2, 0.35, (64, 32)))
    for wanted in (BackboneConfig(0.5), BackboneConfig(0.75, name=SMALL)):
        with pytest.raises(TrainingError, match="it belongs to another architecture"):
            weights.load_imagenet(build_backbone(wanted, 64, 32), wanted, tmp_path / "imagenet.h5")


def test_a_file_that_is_no_h5_is_refused(tmp_path: Path) -> None:
    (tmp_path / "imagenet.h5").write_bytes(b"not weights at all")
    config = BackboneConfig(0.35)
    with pytest.raises(TrainingError, match=r"expected a weights file of keras.applications"):
        weights.load_imagenet(build_backbone(config, 64, 32), config, tmp_path / "imagenet.h5")


def test_torchvisions_names_of_v3_are_those_of_its_state_dict() -> None:
    """As in `mobilenet_v3_small-047dcff4.pth`; squeeze-and-excite lies before the projection."""
    names = weights._torchvision_names(BackboneConfig(name=SMALL))
    assert names["stem"] == ("features.0.0", "features.0.1")
    assert names["block1_depthwise"] == ("features.1.block.0.0", "features.1.block.0.1")
    assert names["block1_squeeze"] == ("features.1.block.1.fc1", None)
    assert names["block1_excite"] == ("features.1.block.1.fc2", None)
    assert names["block1_project"] == ("features.1.block.2.0", "features.1.block.2.1")
    assert names["block2_expand"] == ("features.2.block.0.0", "features.2.block.0.1")
    assert names["block2_project"] == ("features.2.block.2.0", "features.2.block.2.1")
    assert names["block11_project"] == ("features.11.block.3.0", "features.11.block.3.1")
    assert names["last"] == ("features.12.0", "features.12.1")
