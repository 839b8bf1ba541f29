"""The pictures of a run: what is trained on, and the people kept aside to measure on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trainer import datasets
from trainer.datasets import PersonData
from trainer.pictures import Unreadable, readable_part
from trainer.recipe import Recipe

MOST_HELD_OUT = 100
_ENOUGH_TO_SPLIT = 10
_SHOWN_IMAGES = 20
_MOST_NAMED = 20


@dataclass(frozen=True, slots=True, eq=False)
class RunData:
    """Pictures by use."""

    train: PersonData
    validation: PersonData
    held_out: bool
    """False when people are too few to keep any aside: validation then shows training people."""
    left_out: tuple[str, ...]
    """Identities with a single picture, which cannot be trained on."""
    unreadable: tuple[Unreadable, ...] = ()
    """Files that cannot be read, which are left out."""
    unused: tuple[Path, ...] = ()
    """Files and folders in the sources that are no pictures of an identity."""

    def remarks(self) -> tuple[str, ...]:
        """What was left out, a line for each kind; `environment.json` names all."""
        kinds = {
            "unreadable": [each.reason for each in self.unreadable],
            "one picture only": self.left_out,
            "no pictures of an identity": [str(path) for path in self.unused],
        }
        return tuple(
            f"left out, {kind}: {len(found)}: {'; '.join(found[:_MOST_NAMED])}"
            + (" …" if len(found) > _MOST_NAMED else "")
            for kind, found in kinds.items()
            if found
        )

    def validation_remark(self) -> str:
        """On whom a run is measured, and what that leaves open."""
        if self.held_out:
            people = len(np.unique(self.validation.labels))
            text = f"validation: on {people} people held out, {len(self.validation)} pictures"
        else:
            text = (
                "validation: nobody is held out (too few people, or hold_out is 0), so it looks "
                "at the people trained on: it shows that training works, not how well"
            )
        if not self.validation.has_cameras:
            text += "; no camera ids: the cross-camera rule is left out, expect kinder numbers"
        return text


def load_run_data(recipe: Recipe) -> RunData:
    """Read the recipe's sources and hold identities of the first one out."""
    parts: list[PersonData] = []
    unreadable: list[Unreadable] = []
    unused: list[Path] = []
    for source in recipe.sources:
        whole = datasets.read_source(source.path)
        part, bad = readable_part(whole)
        if source.images_per_identity is not None:
            part = datasets.limit_images(part, source.images_per_identity, recipe.seed)
        parts.append(part)
        unreadable += bad
        unused += whole.unused
    datasets.check_apart(parts)
    count = held_out_count(recipe, parts[0])
    validation = datasets.limit_images(parts[0], _SHOWN_IMAGES, recipe.seed)
    if count:
        parts[0], validation = datasets.hold_out(parts[0], count, recipe.hold_out_seed)
    names = [str(source.path) for source in recipe.sources]
    train, single = datasets.trainable_part(datasets.join_sources(parts, names))
    return RunData(train, validation, count > 0, single, tuple(unreadable), tuple(unused))


def held_out_count(recipe: Recipe, first: PersonData) -> int:
    """The recipe's number, else a fifth of the first source's people, at most 100."""
    if recipe.hold_out is not None:
        return recipe.hold_out
    _, images = np.unique(first.labels[first.labels >= 0], return_counts=True)
    people = int(np.sum(images >= datasets.FEWEST))
    return min(MOST_HELD_OUT, people // 5) if people >= _ENOUGH_TO_SPLIT else 0
