"""Impostors of people with several templates: compared as the device does, and kept as promised."""

from __future__ import annotations

import numpy as np
import pytest
from support.threshold_examples import crowd, manifest

from edge_reid.core.manifest import PersonQuantiles
from edge_reid.core.types import GallerySnapshot
from edge_reid.matching.gallery_thresholds import GalleryThresholds
from edge_reid.matching.index import Index
from edge_reid.matching.threshold import threshold_for
from trainer.thresholds.person_tables import TEMPLATES, person_decisions, person_tables
from trainer.thresholds.threshold_table import calibrate, table


def test_people_are_compared_as_the_device_compares_them() -> None:
    part = crowd(12, cameras=2, crops=3)
    made = person_decisions(part.data, part.crops, templates=6)  # all that each has
    names = tuple(f"{label}" for label in range(12))
    snapshot = GallerySnapshot(
        names, part.data.labels.astype(np.int32), part.crops.rows, "model", version=1
    )
    index = Index(snapshot, fuse=True)
    for track, row in zip(made.tracks.embeddings, made.similarity, strict=True):
        found = {near.identity: near.similarity for near in index.search(track, k=12)}
        expected = [found[f"{label}"] for label in made.templates.labels]
        assert row.tolist() == pytest.approx(expected, abs=1e-6)


def test_everybody_else_is_an_impostor_and_nobody_is_enrolled_with_fewer() -> None:
    part = crowd(12, cameras=2, crops=2)
    kept = np.flatnonzero((part.data.labels > 3) | (np.arange(48) % 4 == 0))
    made = person_decisions(part.data.take(kept), part.crops.take(kept), templates=3)
    assert set(made.templates.labels) == set(range(4, 12))
    assert set(made.tracks.labels) == set(range(12))
    different = made.tracks.labels[:, None] != made.templates.labels
    assert (made.impostor == different).all()
    assert not made.genuine.any()


def test_the_same_people_give_the_same_tables() -> None:
    parts = [(part.data, part.crops) for part in (crowd(30, crops=2), crowd(30, seed=1))]
    assert person_tables((), parts) == person_tables((), parts)


def test_more_templates_are_never_less_alike() -> None:
    found = calibrate([crowd(80, crops=2)], replicates=1)
    assert [one.templates for one in found.by_templates] == list(TEMPLATES)
    before = dict(table(found.impostor))
    for one in found.by_templates:
        shares, similarities = zip(*one.impostor_quantiles, strict=True)
        assert list(shares) == sorted(shares, reverse=True)
        assert list(similarities) == sorted(similarities)
        assert all(s >= before.get(p, -1) for p, s in one.impostor_quantiles)
        before = dict(one.impostor_quantiles)


def test_too_few_pictures_leave_what_they_show() -> None:
    part = crowd(60, cameras=2, crops=1)
    found = calibrate([part], replicates=1)
    assert [one.templates for one in found.by_templates] == [2]
    assert isinstance(found.written_into(manifest()).impostor_quantiles_by_templates, tuple)


def test_the_rate_is_kept_on_other_people() -> None:
    """Thresholds of a hundred people, tried on a hundred others: five enrolled, a mixed gallery."""
    fitted = calibrate([crowd(100, crops=3)], sizes=(1,), replicates=1)
    thresholds = GalleryThresholds.of(fitted.written_into(manifest()))
    templates_each = [1, 1, 2, 3, 5]
    by_people = thresholds.threshold(0.05, templates_each)
    by_templates = threshold_for(thresholds.single, 0.05, sum(templates_each))

    others = crowd(100, crops=3, seed=9)
    made = [person_decisions(others.data, others.crops, templates=n) for n in (1, 2, 3, 5)]
    refused = np.ones(len(made[0].similarity))
    for one, people in zip(made, (2, 1, 1, 1), strict=True):
        taken = (one.similarity >= by_people) & one.impostor
        refused *= (1 - taken.sum(axis=1) / one.impostor.sum(axis=1)) ** people

    assert 1 - refused.mean() == pytest.approx(0.05, abs=0.015)
    assert by_people < by_templates


def test_tables_travel_with_the_manifest() -> None:
    found = calibrate([crowd(40)], sizes=(1,), replicates=1)
    written = found.written_into(manifest())
    read = type(written).model_validate_json(written.model_dump_json())
    assert read.impostor_quantiles_by_templates == found.by_templates
    assert all(isinstance(one, PersonQuantiles) for one in read.impostor_quantiles_by_templates)
