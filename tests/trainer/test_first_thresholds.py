"""The thresholds an export begins with: measured on strangers, borrowed, or none at all."""

from __future__ import annotations

from pathlib import Path

import pytest
from threshold_examples import crowd, manifest

from edge_reid.core.errors import ModelError
from edge_reid.core.manifest import load_embedding_manifest
from edge_reid.core.shipped import CHECKPOINT, EMBEDDING, shipped_model
from edge_reid.core.threshold import threshold_for
from trainer.calibrate import calibrate, table
from trainer.evaluate import Report, score, split_people
from trainer.first_thresholds import with_thresholds
from trainer.recipe import Recipe, make_recipe


def recipe(start: Path | None) -> Recipe:
    stage = {"height_px": 64, "width_px": 32, "epochs": 1}
    return make_recipe({"sources": [{"path": "people"}], "stages": [stage], "start_from": start})


def seen(people: int) -> Report:
    part = crowd(people)
    return score(split_people(part.data, part.name), part.embeddings)


def test_enough_strangers_are_measured_as_calibrate_does() -> None:
    made, said = with_thresholds(manifest(), [seen(40)], recipe(shipped_model(CHECKPOINT)))
    assert made.impostor_quantiles == table(calibrate([crowd(40)]).impostor)
    assert made.calibration is not None
    assert said == "measured on 40 people held out"


@pytest.mark.parametrize("strangers", [0, 4])
def test_too_few_leave_a_fine_tune_with_the_thresholds_it_started_from(strangers: int) -> None:
    reports = [seen(strangers)] if strangers else []
    made, said = with_thresholds(manifest(), reports, recipe(shipped_model(CHECKPOINT)))
    shipped = load_embedding_manifest(shipped_model(EMBEDDING))
    assert made.impostor_quantiles == shipped.impostor_quantiles
    assert made.calibration is None
    assert f"thresholds of {shipped.name}" in made.source
    assert said.startswith(f"those of {shipped.name}, which it started from (")
    assert ("nobody was held out" in said) == (strangers == 0)


def test_any_other_network_gets_none_and_the_box_says_what_to_do() -> None:
    bare = manifest().model_copy(update={"impostor_quantiles": ()})
    made, said = with_thresholds(bare, [seen(4)], recipe(None))
    assert said.startswith("none, the box will refuse this model: calibrate: expected enough")
    with pytest.raises(ModelError, match="found none; measure them: edge-reid calibrate"):
        threshold_for(made.impostor_quantiles, 0.01, 1)
