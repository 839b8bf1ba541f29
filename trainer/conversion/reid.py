r"""A person re-identification network of Open Model Zoo, to run or to train further.

    python -m trainer.conversion.reid person-reidentification-retail-0287.xml --crops PEOPLE \
        --out models/NAME.tflite
    python -m trainer.conversion.reid person-reidentification-retail-0287.xml --weights start.npz

The first writes it as an int8 TFLite file. Nothing is trained; the limits of the maps are taken
from some crops of people, by the rules of `edge-reid export`. The second writes weights that a
recipe with `"backbone": "osnet"` can start from.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from edge_reid.core.errors import EdgeReidError, TrainingError
from edge_reid.core.files import write_whole
from edge_reid.core.manifest import EmbeddingManifest, write_manifest
from edge_reid.vision.photo import PHOTO_SUFFIXES
from trainer.conversion.ir_operations import read_operations, without_scales_before_norms
from trainer.conversion.openvino_ir import read_nodes
from trainer.data.decoded_crops import load_crops
from trainer.export.operation_rounding import to_rounded_file, with_limits
from trainer.export.quant_ranges import ImageBatch
from trainer.network.model import save_weights
from trainer.network.operation_network import build_trainable
from trainer.network.operations import Operation
from trainer.network.osnet import STEM_CHANNELS, filled, osnet

_MOST_CROPS = 256


def read_embedder(path: Path) -> tuple[Operation, ...]:
    """What an IR computes of a crop.

    Raises:
        TrainingError: it is no IR, its input is no BGR picture, or it is no OSNet.
    """
    nodes = read_nodes(path)
    picture = nodes[0] if nodes else None
    if picture is None or picture.kind != "Parameter" or picture.shape[1:-2] != (3,):
        raise TrainingError(f"{path}: expected a network of one BGR picture, got another")
    return without_scales_before_norms(read_operations(nodes))


def start_weights(operations: Sequence[Operation], origin: str) -> keras.Model:
    """The network as the trainer builds it, of the width that it has.

    Args:
        operations: of an IR.
        origin: its file, for errors.

    Raises:
        TrainingError: it is no OSNet.
    """
    stem = next((each for each in operations if each.kind == "Convolution"), None)
    alpha = 1.0 if stem is None else stem.shape[-1] / STEM_CHANNELS
    size = operations[0].shape[1:3]
    ours = osnet(alpha, operations[-1].shape[-1], *size)
    return build_trainable(filled(ours, operations, origin))


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
    """Convert person-reidentification-retail-0277 or -0287 (FP16) to an int8 TFLite file.

    Or to weights to train further.
    """
    parser = argparse.ArgumentParser(
        prog="python -m trainer.conversion.reid", description=main.__doc__
    )
    parser.add_argument("ir", type=Path, help="its .xml, with the .bin beside it")
    parser.add_argument("--crops", type=Path, help="folder of pictures of people, for --out")
    parser.add_argument("--out", type=Path, help="the .tflite to write")
    parser.add_argument("--weights", type=Path, help="the .npz to write, for a recipe's start_from")
    options = parser.parse_args(argv)
    if (options.out is None) == (options.weights is None) or (options.out and not options.crops):
        parser.error("expected --crops and --out, or --weights alone")
    keras.utils.set_random_seed(0)
    try:
        operations = read_embedder(options.ir)
        if options.weights:
            save_weights(start_weights(operations, str(options.ir)), options.weights)
            print(f"{options.weights}: written")
        else:
            print(_converted(operations, options.ir, options.crops, options.out))
    except (EdgeReidError, OSError) as error:
        raise SystemExit(f"error: {error}") from error


def _converted(operations: Sequence[Operation], ir: Path, people: Path, out: Path) -> str:
    crops = read_crops(people, *operations[0].shape[1:3])
    operations, ranges = with_limits(operations, crops)
    content = to_rounded_file(operations, ranges)
    write_whole(out, content)
    written = write_manifest(describe(out.stem, content, operations, source=ir.stem), out)
    return f"{out}: {len(content) / 1e6:.1f} MB, manifest {written}"


if __name__ == "__main__":
    main()
