"""People as a user names them: a data set, or those that a run or a recipe holds out.

A data reference is the path of a data set, of a run's folder, or of a recipe (`.json`).
"""

from __future__ import annotations

from pathlib import Path

from trainer.data.datasets import PersonData, read_source
from trainer.data.run_data import RunData, load_data_of, load_run_data
from trainer.recipe.recipe import RECIPE, read_recipe
from trainer.scoring.evaluate import Split, read_split, validation_split


def recipe_at(ref: Path) -> Path | None:
    """The recipe that is referred to, or the one in a run's folder; None for a data set."""
    if ref.suffix == ".json":
        return ref
    return ref / RECIPE if (ref / RECIPE).is_file() else None


def people_of(ref: Path) -> PersonData:
    """All pictures of a data set; of a run or a recipe, those of the people held out."""
    data = _run_data(ref)
    return data.validation if data else read_source(ref)


def split_of(ref: Path) -> Split:
    """`people_of`, cut into queries and gallery."""
    data = _run_data(ref)
    return validation_split(data) if data else read_split(ref)


def _run_data(ref: Path) -> RunData | None:
    recipe = recipe_at(ref)
    if recipe is None:
        return None
    read = read_recipe(recipe)
    return load_run_data(read) if ref.suffix == ".json" else load_data_of(ref, read)
