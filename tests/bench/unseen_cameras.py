"""Cameras that no training set has: `python tests/bench/unseen_cameras.py DATA… --models MODEL…`.

Every camera of a user is one that the model never saw.  DATA are labelled sets of such cameras
(folders or .csv), kept for choosing and never trained on; a row for each, and their mean, is
printed for every model, run and teacher, by the protocol of `edge-reid evaluate`:

    python tests/bench/unseen_cameras.py pku_reid/labels.csv caviar4reid/labels.csv \\
        3dpes/labels.csv cuhk03_val --models models/*.tflite runs/mine \\
        --teachers person-reidentification-retail-0277.xml person-reidentification-retail-0287.xml

Teachers in OpenVINO's format are fed BGR 0..255 and asked about a crop and its mirror image;
several are also tried together, their embeddings concatenated.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
from rich.console import Console

from edge_reid.matching.vectors import unit_rows
from trainer.recipe.recipe import Teacher
from trainer.scoring.crop_embeddings import CropEmbeddings
from trainer.scoring.evaluate import Split, embed_with_file, embed_with_network, read_split, score
from trainer.scoring.ranking_metrics import FloatArray
from trainer.teacher.teacher_network import embed_paths
from trainer.thresholds.score_tables import show

Embed: TypeAlias = Callable[[Sequence[Path]], FloatArray]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, nargs="+", help="labelled sets of unseen cameras")
    parser.add_argument("--models", type=Path, nargs="*", default=[], help=".tflite files or runs")
    parser.add_argument("--teachers", type=Path, nargs="*", default=[], help="OpenVINO .xml files")
    options = parser.parse_args()
    splits = [read_split(place) for place in options.data]
    for title, embeddings in embedded(splits, options.models, options.teachers):
        reports = [
            score(split, CropEmbeddings.of_equal_quality(rows))
            for split, rows in zip(splits, embeddings, strict=True)
        ]
        show(Console(), title, [(report, report.accept_rates(), []) for report in reports])


def embedded(
    splits: Sequence[Split], models: Sequence[Path], teachers: Sequence[Path]
) -> Iterator[tuple[str, list[FloatArray]]]:
    """Title and embeddings of every set, of one model or teacher after the other."""
    for model in models:
        embed = embedder(model)
        yield model.name, [embed(split.data.paths) for split in splits]
    of_teachers = []
    for path in teachers:
        asked = Teacher(path=path, channel_order="bgr")
        of_teachers.append([embed_paths(asked, split.data.paths) for split in splits])
        yield path.stem, of_teachers[-1]
    if len(of_teachers) > 1:
        joined = [np.concatenate(parts, axis=1) for parts in zip(*of_teachers, strict=True)]
        yield " + ".join(path.stem for path in teachers), [unit_rows(rows) for rows in joined]


def embedder(model: Path) -> Embed:
    """How a file or a run embeds."""
    if model.is_dir():
        from trainer.network.model import load_run

        run = load_run(model)
        return lambda paths: embed_with_network(run.embedder, paths, run.recipe.grey_world).rows
    return lambda paths: embed_with_file(model, paths).rows


if __name__ == "__main__":
    main()
