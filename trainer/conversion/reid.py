r"""Convert a person re-identification network of Open Model Zoo to an int8 TFLite file.

    python -m trainer.conversion.reid person-reidentification-retail-0287.xml --crops PEOPLE \
        --out models/NAME.tflite

The networks are OSNets (Zhou et al., "Omni-Scale Feature Learning for Person Re-Identification",
ICCV 2019, and "Learning Generalisable Omni-Scale Representations", TPAMI 2021): convolutions of
integers, and between them norms and gates that look at a crop as a whole. Those are few values and
stay float; so do the two norms of whole maps, whose range differs from crop to crop. Nothing is
trained. Limits of the maps are taken from some crops of people, by the rules of `edge-reid export`.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from edge_reid.core.errors import EdgeReidError, TrainingError
from edge_reid.core.files import write_whole
from edge_reid.core.manifest import EmbeddingManifest, write_manifest
from edge_reid.vision.photo import PHOTO_SUFFIXES
from trainer.conversion.ir_network import build_network, layer_name
from trainer.conversion.ir_operations import (
    Operation,
    equalisable,
    equalised,
    read_operations,
    rounded_operations,
    without_scales_before_norms,
)
from trainer.conversion.openvino_ir import read_nodes
from trainer.data.decoded_crops import load_crops
from trainer.export.quant_ranges import SHARE_WITHIN, ImageBatch, channel_peaks, map_ranges
from trainer.export.quantize import converter_of
from trainer.network.backend import hushed
from trainer.network.fake_quant import Ranges

_NORMS_WITHIN = 0.98
"""Share of crops that the limits behind a norm hold whole: what stands out of a crop is what it is
known by. On 0287 it keeps the worst crop at a cosine of 0.992 instead of 0.982."""
_MOST_CROPS = 256


def read_embedder(path: Path) -> tuple[Operation, ...]:
    """What an IR computes of a crop.

    Raises:
        TrainingError: it is no IR, or its input is no picture.
    """
    operations = without_scales_before_norms(read_operations(read_nodes(path)))
    picture = operations[0] if operations else None
    if picture is None or picture.kind != "Parameter" or picture.shape[-1:] != (3,):
        raise TrainingError(f"{path}: expected a network of one BGR picture, got another")
    return operations


def with_limits(
    operations: Sequence[Operation], crops: ImageBatch
) -> tuple[tuple[Operation, ...], Ranges]:
    """The same with channels made alike, and the limits of what is rounded.

    Args:
        operations: of an IR.
        crops: (N, H, W, 3) RGB uint8 of people.
    """
    names = equalisable(operations)
    network = build_network(operations)
    maps = [network.get_layer(layer_name(name)).output for name in names]
    peaks = dict(zip(names, channel_peaks(network, maps, crops), strict=True))
    alike = equalised(operations, peaks)
    rounded = set(rounded_operations(alike))
    norms = {each.name for each in alike if each.kind == "MVN"}
    network = build_network(alike)
    return alike, {
        **_limits(network, rounded - norms, crops, SHARE_WITHIN),
        **_limits(network, rounded & norms, crops, _NORMS_WITHIN),
    }


def _limits(
    network: keras.Model, operations: Iterable[str], crops: ImageBatch, within: float
) -> Ranges:
    names = {layer_name(operation): operation for operation in operations}
    found = map_ranges(network, list(names), crops, within=within)
    return {names[layer]: limits for layer, limits in found.items()}


def to_tflite(operations: Sequence[Operation], ranges: Ranges) -> bytes:
    """A TFLite file: (1, H, W, 3) RGB uint8 → (1, D) float32."""
    network = build_network(operations, batch=1, ranges=ranges)
    converter = converter_of(lambda image: network(tf.cast(image, tf.float32)), network, tf.uint8)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    with hushed():
        return bytes(converter.convert())


def describe(
    name: str, content: bytes, operations: Sequence[Operation], *, source: str
) -> EmbeddingManifest:
    """The manifest of a converted file, without thresholds: `edge-reid calibrate` writes them."""
    _, height_px, width_px, _ = operations[0].shape
    return EmbeddingManifest(
        name=name,
        sha256=hashlib.sha256(content).hexdigest(),
        input_height_px=height_px,
        input_width_px=width_px,
        licence="Apache-2.0 (Open Model Zoo)",
        source=f"{source} by Intel, rounded to int8 by trainer/conversion/reid.py",
        dimension=operations[-1].shape[-1],
        impostor_quantiles=(),
    )


def read_crops(folder: Path, height_px: int, width_px: int) -> ImageBatch:
    """At most 256 pictures of a folder, of all its parts, chosen by a fixed draw.

    Raises:
        TrainingError: it has none.
    """
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in PHOTO_SUFFIXES)
    if not paths:
        raise TrainingError(f"{folder}: expected pictures of people, got none")
    chosen = np.random.default_rng(0).permutation(len(paths))[:_MOST_CROPS]
    return load_crops([paths[index] for index in chosen], height_px, width_px)


def main(argv: Sequence[str] | None = None) -> None:
    """Convert person-reidentification-retail-0277 or -0287 (FP16) to an int8 TFLite file."""
    parser = argparse.ArgumentParser(
        prog="python -m trainer.conversion.reid", description=main.__doc__
    )
    parser.add_argument("ir", type=Path, help="its .xml, with the .bin beside it")
    parser.add_argument("--crops", type=Path, required=True, help="folder of pictures of people")
    parser.add_argument("--out", type=Path, required=True, help="the .tflite to write")
    options = parser.parse_args(argv)
    keras.utils.set_random_seed(0)
    try:
        operations = read_embedder(options.ir)
        crops = read_crops(options.crops, *operations[0].shape[1:3])
        operations, ranges = with_limits(operations, crops)
        content = to_tflite(operations, ranges)
        write_whole(options.out, content)
        manifest = describe(options.out.stem, content, operations, source=options.ir.stem)
        written = write_manifest(manifest, options.out)
    except (EdgeReidError, OSError) as error:
        raise SystemExit(f"error: {error}") from error
    print(f"{options.out}: {len(content) / 1e6:.1f} MB, manifest {written}")


if __name__ == "__main__":
    main()
