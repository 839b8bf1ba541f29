"""ImageNet weights for our backbones: of keras.applications, its `.h5`, torchvision's `.pth`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import h5py
import keras
import numpy as np
import numpy.typing as npt

from edge_reid.core.errors import TrainingError
from trainer.files.torch_file import read_torch_state
from trainer.network.backbone import EPSILON, GATE_SHIFT, BackboneConfig
from trainer.recipe.settings import BackboneName

FloatArray: TypeAlias = npt.NDArray[np.float32]
Named: TypeAlias = Mapping[str, FloatArray]

_KERAS_EPSILON = 1e-3
_KERAS_MODELS: dict[BackboneName, tuple[str, tuple[float, ...]]] = {
    "mobilenetv2": ("MobileNetV2", (0.35, 0.5, 0.75, 1.0, 1.3, 1.4)),
    "mobilenetv3-small": ("MobileNetV3Small", (0.75, 1.0)),
    "mobilenetv3-large": ("MobileNetV3Large", (0.75, 1.0)),
}
"""Its name in keras.applications, and the widths that were trained there."""
# torchvision normalises (x/255 - mean) / std; our first layer gives x/127.5 - 1.
_IMAGENET_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
_IMAGENET_STD = np.array([0.229, 0.224, 0.225], np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Convolution:
    """One convolution of a stored network, in Keras' layout.

    Attributes:
        kernel: (H, W, I, O), depthwise (H, W, C, 1).
        bias: (O,), or None where a BatchNorm follows.
        norm: gamma, beta, mean, variance (O,) each, as for our epsilon.
    """

    kernel: FloatArray
    bias: FloatArray | None = None
    norm: tuple[FloatArray, ...] | None = None


Find: TypeAlias = Callable[[str], Convolution]
"""Our name of a convolution (`block3_expand`) → what is stored for it; KeyError if nothing is."""


def load_imagenet(network: keras.Model, config: BackboneConfig, path: Path | None) -> None:
    """Set the weights of a backbone, whatever was built upon it.

    Args:
        network: of `build_backbone` with this config, or with layers on top.
        config: what was built.
        path: torchvision's `.pth`, or an `.h5` of keras.applications; None downloads the latter.

    Raises:
        TrainingError: no such weights exist for this width, the file is another network's, or
            cannot be read or downloaded.
    """
    if path is None:
        origin, stored = "keras.applications", _downloaded(config)
        found = _from_keras(stored, config)
    elif path.suffix == ".h5":
        origin, found = str(path), _from_keras(_read_h5(path), config)
    elif config.alpha != 1.0:
        raise TrainingError(
            f"weights {path}: torchvision has α = 1 only, the recipe asks {config.alpha}; "
            f"{_widths(config)}"
        )
    else:
        origin, found = str(path), _from_torchvision(read_torch_state(path), config)
    try:
        for name in _prefixes(network):
            _set(network, name, found(name))
    except (KeyError, ValueError) as error:
        raise TrainingError(
            f"weights {origin}: expected {config.name} α {config.alpha}, got other names or "
            f"shapes ({error}); it belongs to another architecture"
        ) from error


def _prefixes(network: keras.Model) -> Iterator[str]:
    """`stem`, `block1_depthwise`, …: our convolutions below the embedding."""
    for layer in network.layers:
        if layer.name.endswith("_conv") and layer.name.startswith(("stem", "block", "last")):
            yield layer.name.removesuffix("_conv")


def _set(network: keras.Model, name: str, found: Convolution) -> None:
    shift = GATE_SHIFT if name.endswith("_excite") else 0.0
    bias = [] if found.bias is None else [found.bias + shift]
    network.get_layer(f"{name}_conv").set_weights([found.kernel, *bias])
    if found.norm is not None:
        network.get_layer(f"{name}_bn").set_weights(list(found.norm))


def _norm(values: Iterable[FloatArray], epsilon: float) -> tuple[FloatArray, ...]:
    """BatchNorm's values with the scale changed so that our epsilon gives the same.

    γ/√(v + ε₁) = γ'/√(v + ε₂) with γ' = γ·√((v + ε₂)/(v + ε₁)).
    """
    gamma, beta, mean, variance = values
    return gamma * np.sqrt((variance + EPSILON) / (variance + epsilon)), beta, mean, variance


def _from_keras(stored: Named, config: BackboneConfig) -> Find:
    def find(name: str) -> Convolution:
        conv, norm = _keras_names(name, config)
        if norm is None:
            return Convolution(stored[f"{conv}/kernel"], bias=stored[f"{conv}/bias"])
        # Keras writes a depthwise kernel as `kernel` or, before version 3, `depthwise_kernel`.
        kernel = stored.get(f"{conv}/depthwise_kernel")
        parts = ("gamma", "beta", "moving_mean", "moving_variance")
        values = [stored[f"{norm}/{part}"] for part in parts]
        return Convolution(
            stored[f"{conv}/kernel"] if kernel is None else kernel,
            norm=_norm(values, _KERAS_EPSILON),
        )

    return find


def _keras_names(name: str, config: BackboneConfig) -> tuple[str, str | None]:
    """Names of a convolution of ours and of its BatchNorm in keras.applications."""
    ends = {"stem": ("conv1", "bn_conv1"), "last": ("conv_1", "conv_1_bn")}
    if not config.is_v2:
        ends["stem"] = ("conv", "conv_bn")
    if name in ends:
        return ends[name]
    block, part = name.split("_", 1)
    number = int(block.removeprefix("block")) - 1
    stem = "expanded_conv_" if number == 0 else f"expanded_conv_{number}_"
    if config.is_v2 and number:
        stem = f"block_{number}_"
    inner = {"squeeze": "squeeze_excite_conv", "excite": "squeeze_excite_conv_1"}
    if part in inner:
        return stem + inner[part], None
    return stem + part, f"{stem}{part}_bn"


def _downloaded(config: BackboneConfig) -> Named:
    """The ImageNet weights of keras.applications, from Keras' cache or from the net."""
    kind, widths = _KERAS_MODELS[config.name]
    if config.alpha not in widths:
        raise TrainingError(
            f"ImageNet weights for {config.name} α {config.alpha}: there are none; "
            f"{_widths(config)}"
        )
    try:
        source = getattr(keras.applications, kind)(
            input_shape=(224, 224, 3), alpha=config.alpha, include_top=False, weights="imagenet"
        )
    except Exception as error:  # Keras raises a bare Exception when a download fails
        raise TrainingError(
            f"ImageNet weights: cannot be downloaded ({error}); give a local torchvision .pth, a "
            "keras.applications .h5 or our .npz with --start"
        ) from error
    return keras_weights(source)


def _widths(config: BackboneConfig) -> str:
    known = ", ".join(map(str, _KERAS_MODELS[config.name][1]))
    return f"keras.applications has {config.name} with α {known}, torchvision with 1.0"


def keras_weights(model: keras.Model) -> Named:
    """The variables of a keras.applications model, keyed as those of its `.h5` file."""
    return {
        f"{_plain(layer.name)}/{variable.name}": keras.ops.convert_to_numpy(variable)
        for layer in model.layers
        for variable in layer.weights
    }


def _read_h5(path: Path) -> Named:
    """The variables of a weights file in Keras' legacy layout, as keras.applications offers."""
    named: dict[str, FloatArray] = {}
    try:
        with h5py.File(path) as file:
            root = file.get("model_weights", file)
            for layer in root.attrs["layer_names"]:
                group = root[_text(layer)]
                for name in group.attrs["weight_names"]:
                    variable = _text(name).rsplit("/", 1)[-1].removesuffix(":0")
                    named[f"{_plain(_text(layer))}/{variable}"] = np.asarray(group[_text(name)])
    except (OSError, KeyError) as error:
        raise TrainingError(
            f"weights {path}: expected a weights file of keras.applications: {error}"
        ) from error
    return named


def _text(name: str | bytes) -> str:
    return name.decode() if isinstance(name, bytes) else name


def _plain(layer: str) -> str:
    """A variable's name as today's Keras has it; older files nest it in folders."""
    return layer.lower().replace("/", "_").replace("batchnorm", "bn")


def _from_torchvision(state: Named, config: BackboneConfig) -> Find:
    """The ImageNet mean and standard deviation go into the stem, which then expects x/127.5 - 1.

    (Exact inside the picture; at the border the zero padding is mid-grey instead of the mean.)
    """
    names = _torchvision_names(config)
    epsilon = 1e-5 if config.is_v2 else 1e-3

    def find(name: str) -> Convolution:
        conv, norm = names[name]
        kernel = state[f"{conv}.weight"].transpose(2, 3, 1, 0)
        if norm is None:
            return Convolution(kernel, bias=state[f"{conv}.bias"])
        if name.endswith("depthwise"):
            kernel = kernel.transpose(0, 1, 3, 2)
        parts = ("weight", "bias", "running_mean", "running_var")
        gamma, beta, mean, variance = (state[f"{norm}.{part}"] for part in parts)
        if name == "stem":
            # (x/255 - m)/s = u/(2s) + (1/2 - m)/s with u = x/127.5 - 1; the constant moves into
            # the moving mean of the BatchNorm that follows.
            constant = ((0.5 - _IMAGENET_MEAN) / _IMAGENET_STD)[:, None]
            mean = mean - (kernel * constant).sum((0, 1, 2))
            kernel = kernel / (2 * _IMAGENET_STD)[:, None]
        return Convolution(kernel, norm=_norm((gamma, beta, mean, variance), epsilon))

    return find


def _torchvision_names(config: BackboneConfig) -> dict[str, tuple[str, str | None]]:
    """Our convolution → torchvision's names of it and of its BatchNorm."""
    blocks = config.blocks()
    last = f"features.{len(blocks) + 1}"
    names: dict[str, tuple[str, str | None]] = {
        "stem": ("features.0.0", "features.0.1"),
        "last": (f"{last}.0", f"{last}.1"),
    }
    for index, block in enumerate(blocks, start=1):
        parts = (["expand"] if block.expansion != 1 else []) + ["depthwise"]
        parts += ["squeeze"] if block.squeeze else []
        inside = f"features.{index}." + ("conv" if config.is_v2 else "block")
        for position, part in enumerate([*parts, "project"]):
            here = f"{inside}.{position}"
            if part == "squeeze":
                names[f"block{index}_squeeze"] = (f"{here}.fc1", None)
                names[f"block{index}_excite"] = (f"{here}.fc2", None)
            elif part == "project" and config.is_v2:  # not in a module of its own there
                names[f"block{index}_project"] = (here, f"{inside}.{position + 1}")
            else:
                names[f"block{index}_{part}"] = (f"{here}.0", f"{here}.1")
    return names
