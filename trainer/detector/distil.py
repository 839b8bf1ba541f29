"""Teach person-detection-0201 what it would see of your cameras at larger sizes.

    python -m trainer.detector.distil person-detection-0201.xml --frames yard.mp4 --out yard.tflite

At its own size it misses small people whom the same network finds at 640 and 896 pixels, in three
to five times the time. What it can learn of them it learns here, from frames that nobody labels.
How much that brings, and where, is in the README of this room.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

import keras

from edge_reid.core.errors import EdgeReidError, TrainingError
from edge_reid.core.files import write_whole
from edge_reid.core.manifest import write_manifest
from edge_reid.vision.detect import Detector, load_detector
from trainer.conversion.openvino_ir import read_anchors, read_input_side
from trainer.conversion.ssd import build_detector, describe, read_weights, to_tflite
from trainer.detector.distillation import distil
from trainer.detector.frames import read_frames
from trainer.detector.lessons import make_lessons

_LARGER_PX = 640, 896
"""Sizes at which a network is a teacher, beside its own."""
_WEAK_SCORE = 0.1
"""Least score of a teacher's answer."""


def load_teachers(irs: Sequence[Path], folder: Path) -> list[Detector]:
    """Each network at its own size and at larger ones, written into a folder and loaded."""
    return [
        _teacher(ir, side_px, folder / f"{number}-{side_px}.tflite")
        for number, ir in enumerate(irs)
        for side_px in dict.fromkeys((read_input_side(ir), *_LARGER_PX))
    ]


def _teacher(ir: Path, side_px: int, out: Path) -> Detector:
    _write(out, build_detector(read_weights(ir), side_px), ir, side_px)
    return load_detector(out, weak_score=_WEAK_SCORE)


def _write(out: Path, network: keras.Model, ir: Path, side_px: int, *, taught: str = "") -> Path:
    content = to_tflite(network)
    write_whole(out, content)
    described = describe(
        out.stem, content, source=ir.stem, side_px=side_px, anchors=read_anchors(ir)
    )
    return write_manifest(
        described.model_copy(update={"source": f"{described.source}{taught}"}), out
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Teach person-detection-0201 or -0202 (FP16-INT8) with frames of your cameras."""
    options = _options(argv)
    try:
        frames = read_frames(options.frames, options.most)
        with tempfile.TemporaryDirectory() as folder:
            teachers = load_teachers([options.ir, *options.also], Path(folder))
            lessons = make_lessons(frames, teachers, options.ir, options.views, options.seed)
        if not any(lesson.targets.scores.any() for lesson in lessons):
            raise TrainingError("--frames: expected pictures with people in them, found nobody")
        weights = read_weights(options.ir)
        taught = distil(weights, lessons, steps=options.steps, seed=options.seed)
        manifest = _write(
            options.out,
            taught,
            options.ir,
            read_input_side(options.ir),
            taught=f", taught for {options.steps} steps by trainer/detector/distil.py",
        )
    except (EdgeReidError, OSError) as error:
        raise SystemExit(f"error: {error}") from error
    print(f"{options.out}: taught with {len(frames)} frames, manifest {manifest}")


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m trainer.detector.distil", description=main.__doc__
    )
    parser.add_argument("ir", type=Path, help="its .xml, with the .bin beside it")
    parser.add_argument(
        "--frames", type=Path, nargs="+", required=True, help="videos, pictures, folders"
    )
    parser.add_argument("--out", type=Path, required=True, help="the .tflite to write")
    parser.add_argument("--also", type=Path, nargs="*", default=[], help="more teachers' .xml")
    parser.add_argument(
        "--most", type=_count, default=200, help="frames of each of --frames; default: 200"
    )
    parser.add_argument(
        "--views", type=_count, default=1200, help="pictures to teach with; default: 1200"
    )
    parser.add_argument("--steps", type=_count, default=600, help="of 8 pictures; default: 600")
    parser.add_argument("--seed", type=int, default=0, help="of all that is random; default: 0")
    return parser.parse_args(argv)


def _count(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(
            f"expected a number from 1 on, got {text}; say for example 600"
        )
    return int(text)


if __name__ == "__main__":
    main()
