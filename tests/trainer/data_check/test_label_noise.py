"""Doubts about labels, on vectors whose similarities are known."""

from __future__ import annotations

import numpy as np
import pytest

from edge_reid.core.bundled_models import EMBEDDING, shipped_model
from edge_reid.core.errors import ModelError
from edge_reid.core.manifest import load_embedding_manifest
from trainer.data_check.label_noise import (
    Limits,
    find_alike,
    find_mixed,
    find_strays,
    limits_of,
)

LIMITS = Limits(alike=0.77, unlike=0.42, drawn=0.51, stray=0.37)
SPREAD = 0.3
"""Length of the noise on a unit vector: pictures of one person are about 0.92 alike."""


class Crowd:
    """People as random directions of 64 dimensions, their pictures scattered around them."""

    def __init__(self) -> None:
        self._rng = np.random.default_rng(0)
        self.rows: list[np.ndarray] = []
        self.people: list[np.ndarray] = []

    def direction(self) -> np.ndarray:
        vector = self._rng.normal(size=64)
        return vector / np.linalg.norm(vector)

    def add(self, *shown: tuple[np.ndarray, int]) -> int:
        """An identity with so many pictures of each direction; returns its index."""
        begin = len(self.rows)
        for who, count in shown:
            for _ in range(count):
                picture = who + SPREAD * self.direction()
                self.rows.append(picture / np.linalg.norm(picture))
        self.people.append(np.arange(begin, len(self.rows)))
        return len(self.people) - 1

    @property
    def embeddings(self) -> np.ndarray:
        return np.array(self.rows, np.float32)


@pytest.fixture
def crowd() -> Crowd:
    """Ten ordinary people, and one without a picture."""
    made = Crowd()
    for _ in range(10):
        made.add((made.direction(), 8))
    made.add()
    return made


def test_ordinary_people_raise_no_doubt(crowd: Crowd) -> None:
    for find in (find_alike, find_mixed, find_strays):
        assert find(crowd.embeddings, crowd.people, LIMITS) == ()


def test_a_person_under_two_names_is_found(crowd: Crowd) -> None:
    person = crowd.direction()
    first, second = crowd.add((person, 5)), crowd.add((person, 7))
    (pair,) = find_alike(crowd.embeddings, crowd.people, LIMITS)
    assert (pair.first, pair.second) == (first, second)
    a, b = (crowd.embeddings[crowd.people[each]] for each in (first, second))
    means = [x.mean(axis=0) / np.linalg.norm(x.mean(axis=0)) for x in (a, b)]
    by_hand = (np.mean([means[0] @ x for x in b]) + np.mean([means[1] @ x for x in a])) / 2
    assert pair.similarity == pytest.approx(by_hand, abs=1e-5)


def test_alike_is_not_enough_where_everybody_is(crowd: Crowd) -> None:
    """Two people in uniform: 0.85 alike, but nobody here differs that much from himself."""
    uniform = crowd.direction()
    aside = crowd.direction() - uniform * (uniform @ crowd.direction())
    crowd.add((uniform, 8))
    crowd.add((0.85 * uniform + 0.53 * aside / np.linalg.norm(aside), 8))
    lenient = Limits(alike=0.5, unlike=0.0, drawn=0.0, stray=0.0)
    assert find_alike(crowd.embeddings, crowd.people, lenient) == ()


def test_what_is_usual_is_asked_of_each_source_apart(crowd: Crowd) -> None:
    """Among people who change a lot two in uniform pass for one, not in their own source."""
    uniform, aside = crowd.direction(), crowd.direction()
    workers = [crowd.add((uniform + 0.3 * sign * aside, 8)) for sign in (1, -1)]
    for _ in range(12):
        who = crowd.direction()
        crowd.add((who, 6), (who + crowd.direction(), 6))
    lenient = Limits(alike=0.5, unlike=0.0, drawn=0.0, stray=0.0)
    sources = np.array([int(at > workers[1]) for at in range(len(crowd.people))])
    together = find_alike(crowd.embeddings, crowd.people, lenient)
    assert [(pair.first, pair.second) for pair in together] == [tuple(workers)]
    assert find_alike(crowd.embeddings, crowd.people, lenient, sources) == ()


@pytest.mark.parametrize("counts", [(6, 6), (10, 3), (1, 1)])
def test_two_people_under_one_name_are_told_apart(crowd: Crowd, counts: tuple[int, int]) -> None:
    mixed = crowd.add(*((crowd.direction(), count) for count in counts))
    (found,) = find_mixed(crowd.embeddings, crowd.people, LIMITS)
    rows = crowd.people[mixed].tolist()
    assert found.identity == mixed
    assert sorted(part.tolist() for part in found.parts) == [rows[: counts[0]], rows[counts[0] :]]


def test_a_picture_of_somebody_else_is_named_with_whom_it_shows(crowd: Crowd) -> None:
    known, stranger = crowd.direction(), crowd.direction()
    whose = crowd.add((known, 8))
    host = crowd.add((crowd.direction(), 8), (known, 1), (stranger, 1))
    strays = find_strays(crowd.embeddings, crowd.people, LIMITS)
    of_known, of_stranger = crowd.people[host][-2:]
    assert {(each.row, each.resembles) for each in strays} == {
        (of_known, whose),
        (of_stranger, None),
    }


def test_limits_are_those_of_the_manifest() -> None:
    manifest = load_embedding_manifest(shipped_model(EMBEDDING))
    quantiles = dict(manifest.genuine_quantiles)
    limits = limits_of(manifest)
    least = min(quantiles.values())  # of the rarest share that its data support
    expected = (quantiles.get(share, least) for share in (0.5, 0.02, 0.05, 0.01))
    assert limits == Limits(*map(pytest.approx, expected))
    with pytest.raises(ModelError, match="expected genuine_quantiles"):
        limits_of(manifest.model_copy(update={"genuine_quantiles": ()}))
