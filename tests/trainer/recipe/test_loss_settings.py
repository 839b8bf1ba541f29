"""Losses in a recipe: a weight, or an object that says more."""

from __future__ import annotations

import json

import pytest

from edge_reid.core.errors import ConfigError
from trainer.recipe.loss_settings import Losses
from trainer.recipe.recipe import Recipe, make_recipe

REST = {"sources": [{"path": "p"}], "stages": [{"height_px": 32, "width_px": 32, "epochs": 1}]}


def test_a_weight_alone_will_do() -> None:
    terms = make_recipe(REST | {"losses": {"softmax": 0.3, "triplet": 2}}).losses.terms()
    assert {name: term.weight for name, term in terms.items()} == {"softmax": 0.3, "triplet": 2.0}


def test_an_object_says_more() -> None:
    given = {"arcface": {"weight": 0.5, "scale": 64, "margin": 0.5}, "circle": {"margin": 0.4}}
    losses = make_recipe(REST | {"losses": given}).losses
    assert losses.arcface is not None
    assert losses.circle is not None
    assert (losses.arcface.weight, losses.arcface.scale, losses.arcface.margin) == (0.5, 64, 0.5)
    assert (losses.circle.weight, losses.circle.margin) == (1.0, 0.4)
    assert losses.softmax is None


def test_a_run_writes_down_every_number_and_reads_them_back() -> None:
    recipe = make_recipe(REST | {"losses": {"triplet": 1.0, "contrastive": 0.5}})
    written = json.loads(recipe.model_dump_json())["losses"]
    assert written == {
        "triplet": {"weight": 1.0, "margin": 0.3},
        "contrastive": {"weight": 0.5, "temperature": 0.1},
    }
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe


def test_a_wrong_name_lists_the_right_ones() -> None:
    with pytest.raises(ConfigError) as caught:
        make_recipe(REST | {"losses": {"tripple": 1.0, "softmax": 1.0}})
    (problem,) = caught.value.problems
    assert problem.startswith("losses: no loss tripple; there are softmax, arcface, cosface")
    assert all(name in problem for name in Losses.model_fields)


@pytest.mark.parametrize(
    ("losses", "problem"),
    [
        ({}, "losses: expected at least one of softmax"),
        ({"softmax": 0}, "losses.softmax.weight: expected a number greater than 0, got 0"),
        ({"softmax": "much"}, "losses.softmax.weight: expected a number"),
        ({"arcface": {"sclae": 3}}, "losses.arcface.sclae: unknown key"),
        ({"triplet": {"margin": 3}}, "losses.triplet.margin: expected a number less than or equal"),
    ],
)
def test_mistakes_say_where_they_are(losses: object, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make_recipe(REST | {"losses": losses})
    assert caught.value.problems[0].startswith(problem)


def test_augmentation_by_name() -> None:
    assert make_recipe(REST | {"augment": "cctv"}).augment.jpeg > 0
    with pytest.raises(
        ConfigError, match="augment: expected one of standard, cctv, unseen or an object"
    ):
        make_recipe(REST | {"augment": "wild"})
