"""Held-out people looked up in a crowd: `python tests/bench/crowd.py RECIPE DATA MODEL…`.

A gallery of 100 held-out people is kinder than a benchmark's. Here one picture of each of them and
of each camera is looked up among all pictures of DATA, one of the recipe's sources: of the others
there, the network has learnt from every one. So no figure of this compares with a published one,
but models compare with each other, and with the teacher whose official figures are known.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from rich.console import Console

from trainer.data.datasets import IntArray, query_gallery, read_source
from trainer.data.listing import real_paths
from trainer.data.run_data import load_run_data
from trainer.recipe.recipe import Recipe, read_recipe
from trainer.scoring.crop_embeddings import CropEmbeddings
from trainer.scoring.evaluate import Report, Split, embed_with_file, score
from trainer.teacher.stored_teacher import load_stored
from trainer.thresholds.score_tables import show


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("models", type=Path, nargs="*")
    parser.add_argument("--teacher", action="store_true", help="also the recipe's own teachers")
    options = parser.parse_args()
    recipe = read_recipe(options.recipe)
    split = crowd(recipe, options.data)
    for model in options.models:
        report(str(model), score(split, embed_with_file(model, split.data.paths)))
    for teacher in recipe.teachers if options.teacher else ():
        rows = load_stored((teacher.path, *teacher.more), split.data.paths).rows
        report(teacher.path.name, score(split, CropEmbeddings.of_equal_quality(rows)))


def crowd(recipe: Recipe, folder: Path) -> Split:
    """One picture a held-out person and camera against everything else in the folder."""
    data = read_source(folder)
    held_out = set(real_paths(load_run_data(recipe).validation.paths))
    rows = np.flatnonzero([path in held_out for path in real_paths(data.paths)])
    query: IntArray = rows[query_gallery(data.take(rows), seed=0)[0]]
    return Split("crowd", data, query, np.setdiff1d(np.arange(len(data)), query))


def report(title: str, scored: Report) -> None:
    show(Console(), title, [(scored, scored.accept_rates(), [])])


if __name__ == "__main__":
    main()
