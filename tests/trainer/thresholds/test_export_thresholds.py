"""The thresholds an export begins with: measured on people held out, borrowed, or none at all."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from support.threshold_examples import crowd, manifest

from edge_reid.core.bundled_models import CHECKPOINT, EMBEDDING, shipped_model
from edge_reid.core.errors import ModelError
from edge_reid.core.manifest import EmbeddingManifest, load_embedding_manifest
from edge_reid.matching.gallery_thresholds import GalleryThresholds
from edge_reid.matching.threshold import threshold_for
from trainer.recipe.recipe import Recipe, make_recipe
from trainer.scoring.evaluate import Report, score, split_people
from trainer.thresholds.export_thresholds import with_thresholds
from trainer.thresholds.similarities import decision_similarities
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
    [(0, "nobody was held out"), (4, "expected enough people for 20 pairs")],
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


@pytest.mark.parametrize(
    ("people", "reason"),
    [
        (12, "12 people held out, who show how alike impostors look down to 5 % of comparisons"),
        (40, "down to 0.2 % of comparisons, where people enrolled need 0.1 % for 10, 0.01 % for 1"),
    ],
)
def test_a_few_are_measured_and_rarer_shares_go_on_as_where_it_started(
    people: int, reason: str
) -> None:
    made, said = with_thresholds(manifest(), [seen(people)], FINE_TUNE)
    shipped = load_embedding_manifest(shipped_model(EMBEDDING))
    own = table(calibrate([crowd(people, crops=2)]).impostor)
    started = dict(shipped.impostor_quantiles)
    shift = own[-1][1] - started[own[-1][0]]
    assert made.impostor_quantiles[: len(own)] == own
    rarer = [(p, similarity + shift) for p, similarity in started.items() if p < own[-1][0]]
    assert made.impostor_quantiles[len(own) :] == tuple(
        (p, pytest.approx(similarity)) for p, similarity in rarer
    )
    assert made.calibration is None  # a later calibration of few people must not overwrite it
    assert reason in said
    assert shipped.name in made.source


def test_people_of_several_templates_move_with_those_of_one() -> None:
    made, _ = with_thresholds(manifest(), [seen(40)], FINE_TUNE)
    shipped = load_embedding_manifest(shipped_model(EMBEDDING))
    before, after = dict(shipped.impostor_quantiles), dict(made.impostor_quantiles)
    tables = zip(
        shipped.impostor_quantiles_by_templates, made.impostor_quantiles_by_templates, strict=True
    )
    for start, moved in tables:
        assert moved.templates == start.templates
        for (p, similarity), (q, found) in zip(
            start.impostor_quantiles, moved.impostor_quantiles, strict=True
        ):
            assert p == q
            assert found == pytest.approx(similarity + after[p] - before[p], abs=0.02)


def named(made: EmbeddingManifest, people: int) -> float:
    """Share of others that a device names with so many enrolled, one template each."""
    others = crowd(100, crops=2, seed=5)
    threshold = GalleryThresholds.of(made).threshold(0.01, [1] * people)
    _, genuine = decision_similarities(others.data, others.crops)
    return float(np.mean(genuine >= threshold))


@pytest.fixture(scope="module")
def fine_tunes() -> list[EmbeddingManifest]:
    """Of nobody held out, and of more and more people."""
    held_out = [[], *([seen(people)] for people in (12, 24, 48, 150))]
    return [with_thresholds(manifest(), reports, FINE_TUNE)[0] for reports in held_out]


@pytest.mark.parametrize("enrolled", [10, 100])
def test_more_people_held_out_never_leave_a_device_naming_fewer(
    fine_tunes: list[EmbeddingManifest], enrolled: int
) -> None:
    """Chance moves a table of few people by a few points.

    The first few may show that impostors are more alike than the start's table says, and so move
    all of it: `edge-reid export` refuses a file with which fewer are named for that.
    """
    borrowed, *shares = [named(made, enrolled) for made in fine_tunes]
    assert all(after > before - 0.05 for before, after in pairwise(shares))
    assert shares[-1] >= borrowed


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
