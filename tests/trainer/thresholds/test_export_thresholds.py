"""The thresholds an export begins with: measured on people held out, borrowed, or none at all."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.threshold_examples import crowd, manifest

from edge_reid.core.bundled_models import CHECKPOINT, EMBEDDING, shipped_model
from edge_reid.core.errors import ModelError
from edge_reid.core.manifest import load_embedding_manifest
from edge_reid.matching.threshold import threshold_for
from trainer.recipe.recipe import Recipe, make_recipe
from trainer.scoring.evaluate import Report, score, split_people
from trainer.thresholds.export_thresholds import with_thresholds
from trainer.thresholds.threshold_table import calibrate, table


def recipe(start: Path | None) -> Recipe:
    stage = {"height_px": 64, "width_px": 32, "epochs": 1}
    return make_recipe({"sources": [{"path": "people"}], "stages": [stage], "start_from": start})


def seen(people: int) -> Report:
    part = crowd(people, crops=2)
    return score(split_people(part.data, part.name), part.crops)


FINE_TUNE = recipe(shipped_model(CHECKPOINT))


def test_enough_people_held_out_are_measured_as_calibrate_does() -> None:
    """Who show what galleries of 10 and 100 need: one comparison in ten thousand."""
    made, said = with_thresholds(manifest(), [seen(150)], FINE_TUNE)
    assert made.impostor_quantiles == table(calibrate([crowd(150, crops=2)]).impostor)
    assert made.calibration is not None
    assert said == "measured on 150 people held out"


@pytest.mark.parametrize(
    ("people", "reason"),
    [
        (0, "nobody was held out"),
        (4, "expected enough people for 20 pairs"),
        (12, "the 12 people held out show how alike impostors look down to 5 % of comparisons"),
        (40, "down to 0.2 % of comparisons, where people enrolled need 0.1 % for 10, 0.01 % for 1"),
    ],
)
def test_too_few_leave_a_fine_tune_with_the_thresholds_it_started_from(
    people: int, reason: str
) -> None:
    reports = [seen(people)] if people else []
    made, said = with_thresholds(manifest(), reports, FINE_TUNE)
    shipped = load_embedding_manifest(shipped_model(EMBEDDING))
    assert made.impostor_quantiles == shipped.impostor_quantiles
    assert made.calibration is None
    assert f"thresholds of {shipped.name}" in made.source
    assert said.startswith(f"those of {shipped.name}, which it started from (")
    assert reason in said


def test_what_few_people_show_is_all_that_another_network_has() -> None:
    made, said = with_thresholds(manifest(), [seen(12)], recipe(None))
    assert made.impostor_quantiles == table(calibrate([crowd(12, crops=2)]).impostor)
    assert said == "measured on 12 people held out"


def test_any_other_network_gets_none_and_the_device_says_what_to_do() -> None:
    bare = manifest().model_copy(update={"impostor_quantiles": ()})
    made, said = with_thresholds(bare, [seen(4)], recipe(None))
    assert said.startswith("none, the device will refuse this model: calibrate: expected enough")
    with pytest.raises(ModelError, match="got none; measure them: edge-reid calibrate"):
        threshold_for(made.impostor_quantiles, 0.01, 1)
