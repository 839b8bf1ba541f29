"""A place a user names: a data set, or the people that a run or a recipe holds out."""

from __future__ import annotations

from pathlib import Path

from trainer.data.datasets import PersonData, read_source
from trainer.data.run_data import RunData, load_data_of, load_run_data
from trainer.network.model import RECIPE
from trainer.recipe.recipe import read_recipe
from trainer.scoring.evaluate import Split, read_split, validation_split


def recipe_at(place: Path) -> Path | None:
    """The recipe that a place is, or the one in a run's folder."""
    if place.suffix == ".json":
        return place
    return place / RECIPE if (place / RECIPE).is_file() else None


def people_of(place: Path) -> PersonData:
    """All pictures of a data set; of a run or a recipe, those of the people held out."""
    data = _run_data(place)
    return data.validation if data else read_source(place)


def split_of(place: Path) -> Split:
    """The same as queries and gallery."""
    data = _run_data(place)
    return validation_split(data) if data else read_split(place)


def _run_data(place: Path) -> RunData | None:
    recipe = recipe_at(place)
    if recipe is None:
        return None
    read = read_recipe(recipe)
    return load_run_data(read) if place.suffix == ".json" else load_data_of(place, read)
