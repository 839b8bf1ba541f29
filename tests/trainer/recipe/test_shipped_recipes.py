"""The recipes beside the shipped models say how these were made, and can be trained."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_reid.core.bundled_models import CHECKPOINT, shipped_model
from trainer.recipe.recipe import read_recipe

RECIPES = sorted(shipped_model(CHECKPOINT).parent.glob("*.recipe.json"))


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda file: file.name)
def test_they_are_read(recipe: Path) -> None:
    assert read_recipe(recipe).stages


def test_the_default_is_one_part_its_first_stage_and_two_parts_its_second() -> None:
    first, second = read_recipe(shipped_model("person_reid_osnet.recipe.json")).stages
    assert first.end_share == pytest.approx(1 / 3)
    assert second.end_share == 0
