"""What a run's weights come from beside its pictures, and on whose terms: start and teachers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from edge_reid.core.errors import ConfigError
from edge_reid.core.manifest import EmbeddingManifest, load_embedding_manifest
from trainer.recipe.recipe import RECIPE, Recipe, read_recipe
from trainer.teacher.teacher_network import manifest_of


@dataclass(frozen=True, slots=True)
class Ancestor:
    """Other weights that those of a run come from.

    Attributes:
        licence: its name, and its terms if they are known; None: as its data allow.
        training_data: each source with its terms, as a manifest has them.
    """

    licence: str | None
    training_data: tuple[str, ...]

    @classmethod
    def of(cls, name: str, relation: str, manifest: EmbeddingManifest | None) -> Ancestor:
        """A file by its manifest; of one without, it says that nobody knows."""
        if manifest is None:
            return cls(name, (f"{name}, which it {relation}: data not known",))
        return cls(f"{name}: {manifest.licence}", manifest.training_data)


def data_with_terms(recipe: Recipe) -> tuple[str, ...]:
    """What a run itself is trained on, each source with its terms."""
    return tuple(f"{entry.path.name}: {entry.terms}" for entry in recipe.trained_on)


def ancestors(recipe: Recipe, passed: frozenset[Path] = frozenset()) -> Iterator[Ancestor]:
    """The start of a run and its teachers.

    Of another run's weights the start is what that run's recipe says, with its own start and
    teachers: terms are not lost where a fine-tune is fine-tuned.

    Args:
        recipe: of the run.
        passed: starts on the way to it, which are not followed again.
    """
    if recipe.start_from is not None:
        yield from _of_start(recipe.start_from, recipe.shipped_start, passed)
    for teacher in recipe.teachers:
        yield Ancestor.of(teacher.path.name, "was distilled from", manifest_of(teacher))


def _of_start(weights: Path, shipped: Path | None, passed: frozenset[Path]) -> Iterator[Ancestor]:
    if shipped is not None:
        yield Ancestor.of(weights.name, "started from", load_embedding_manifest(shipped))
    elif weights.resolve() not in passed and (earlier := _recipe_beside(weights)):
        yield Ancestor(None, data_with_terms(earlier))
        yield from ancestors(earlier, passed | {weights.resolve()})
    else:
        yield Ancestor.of(weights.name, "started from", None)


def _recipe_beside(weights: Path) -> Recipe | None:
    """Of the run whose weights they are; None: they are no run's, or its recipe is gone."""
    with suppress(ConfigError):
        return read_recipe(weights.parent / RECIPE)
    return None
