"""The pictures of a run: what is trained on, and the people kept aside to measure on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trainer import datasets
from trainer.datasets import PersonData
from trainer.recipe import Recipe

MOST_HELD_OUT = 100
_ENOUGH_TO_SPLIT = 10
_SHOWN_IMAGES = 20


@dataclass(frozen=True, slots=True, eq=False)
class RunData:
    """Pictures by use."""

    train: PersonData
    validation: PersonData
    held_out: bool
    """False when people are too few to keep any aside: validation then shows training people."""
    left_out: tuple[str, ...]
    """Identities with a single picture, which cannot be trained on."""


def load_run_data(recipe: Recipe) -> RunData:
    """Read the recipe's sources and hold identities of the first one out."""
    parts: list[PersonData] = []
    for source in recipe.sources:
        part = datasets.read_source(source.path)
        if source.images_per_identity is not None:
            part = datasets.limit_images(part, source.images_per_identity, recipe.seed)
        parts.append(part)
    count = held_out_count(recipe, parts[0])
    validation = datasets.limit_images(parts[0], _SHOWN_IMAGES, recipe.seed)
    if count:
        parts[0], validation = datasets.hold_out(parts[0], count, recipe.seed)
    names = [str(source.path) for source in recipe.sources]
    train, single = datasets.trainable_part(datasets.join_sources(parts, names))
    return RunData(train, validation, held_out=count > 0, left_out=single)


def held_out_count(recipe: Recipe, first: PersonData) -> int:
    """The recipe's number, else a fifth of the first source's people, at most 100."""
    if recipe.hold_out is not None:
        return recipe.hold_out
    people = len(np.unique(first.labels[first.labels >= 0]))
    return min(MOST_HELD_OUT, people // 5) if people >= _ENOUGH_TO_SPLIT else 0
