"""A place a user names: a data set, or the people that a run or a recipe holds out."""

from __future__ import annotations

from pathlib import Path

from trainer.datasets import PersonData, read_source
from trainer.evaluate import Split, read_split, split_people
from trainer.model import RECIPE
from trainer.recipe import read_recipe
from trainer.sources import load_run_data

HELD_OUT = "held-out"
"""Name of the split that a run or a recipe gives."""


def recipe_at(place: Path) -> Path | None:
    """The recipe that a place is, or the one in a run's folder."""
    if place.suffix == ".json":
        return place
    return place / RECIPE if (place / RECIPE).is_file() else None


def people_of(place: Path) -> PersonData:
    """All pictures of a data set; of a run or a recipe, those of the people held out."""
    recipe = recipe_at(place)
    return load_run_data(read_recipe(recipe)).validation if recipe else read_source(place)


def split_of(place: Path) -> Split:
    """The same as queries and gallery."""
    return split_people(people_of(place), HELD_OUT) if recipe_at(place) else read_split(place)
