"""Labels that the embedding model doubts: one person under two names, two under one, strays.

What counts as alike or unlike is read from the model's manifest, which was measured on people that
it had not been trained on. There a track, the mean of a few crops, was compared with a picture; so
are people here: the mean of one with each picture of the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edge_reid.core.errors import ModelError
from edge_reid.core.manifest import EmbeddingManifest
from edge_reid.matching.mixture import find_mixture
from edge_reid.matching.vectors import unit, unit_rows
from trainer.data.datasets import IntArray
from trainer.data_check.scan import FloatArray

_USUAL_SHARE = 0.5
_UNLIKE_SHARE = 0.02
_DRAWN_SHARE = 0.05
_STRAY_SHARE = 0.01
_TYPICAL_HALVES = 20.0
"""Percentile, over people, of the similarity of first to last pictures that a pair must reach."""
_HALVED_FROM = 4
_PAIR = 2
_ROWS = 512


@dataclass(frozen=True, slots=True)
class Limits:
    """Similarities at which labels are doubted."""

    alike: float
    """Half of all genuine comparisons come out lower: two identities as alike may be one."""
    unlike: float
    """2 % of genuine comparisons do: an identity whose parts are less alike may be two people."""
    drawn: float
    """5 % do: a picture less like its identity, but alike to another, may show that one."""
    stray: float
    """1 % do: a picture less like the rest of its identity may show anybody else."""


@dataclass(frozen=True, slots=True)
class Alike:
    """Two identities that may be one person."""

    first: int
    second: int
    """Indices of identities; first < second."""
    similarity: float


@dataclass(frozen=True, slots=True, eq=False)
class Mixed:
    """An identity that may hold two people."""

    identity: int
    parts: tuple[IntArray, IntArray]
    """Rows of the pictures of either."""
    similarity: float


@dataclass(frozen=True, slots=True)
class Stray:
    """A picture that may show somebody else than its identity."""

    row: int
    similarity: float
    """To the rest of its identity."""
    resembles: int | None
    """The identity that it is as like to as its own pictures usually are, if there is one."""


def limits_of(manifest: EmbeddingManifest) -> Limits:
    """Limits from the manifest's quantiles of genuine comparisons, linear in log p between them.

    A share rarer than its data support counts as the rarest that they do.

    Raises:
        ModelError: the manifest has none.
    """
    if not manifest.genuine_quantiles:
        raise ModelError(
            f"model {manifest.name}: expected genuine_quantiles in its manifest, got none; "
            "take the shipped model, or one that edge-reid exported"
        )
    table = sorted((float(np.log(p)), value) for p, value in manifest.genuine_quantiles)
    shares, values = zip(*table, strict=True)
    wanted = np.log([_USUAL_SHARE, _UNLIKE_SHARE, _DRAWN_SHARE, _STRAY_SHARE])
    return Limits(*np.interp(wanted, shares, values).tolist())


def find_alike(
    embeddings: FloatArray,
    people: Sequence[IntArray],
    limits: Limits,
    sources: IntArray | None = None,
) -> tuple[Alike, ...]:
    """Pairs of identities that may be one person, the most alike first.

    Both must hold: their pictures are as alike as genuine comparisons usually are, and their means
    as alike as the means of the first and the last pictures of one identity of their own source
    usually are. The second keeps people in the same uniform apart: in ConReID, all construction
    workers, the first alone would doubt one pair in nine, both together none.

    Args:
        embeddings: (N, D) unit rows.
        people: for each of C identities the rows of its pictures.
        limits: of the model.
        sources: (C,) number of the data set that each identity is of; one if not given.
    """
    means = np.stack([_mean(embeddings, rows) for rows in people])
    lengths = np.linalg.norm(means, axis=1)
    units = unit_rows(means)
    halves = _between_halves(embeddings, people, sources)
    found = []
    for start in range(0, len(people), _ROWS):
        cosines = units[start : start + _ROWS] @ units.T
        # A mean's length is its mean similarity to the pictures that it is the mean of.
        pictures = cosines * (lengths[start : start + _ROWS, np.newaxis] + lengths) / 2
        as_one = cosines >= np.maximum(halves[start : start + _ROWS, np.newaxis], halves)
        doubted = np.triu(as_one & (pictures >= limits.alike), k=start + 1)
        found += [
            Alike(start + int(a), int(b), float(pictures[a, b])) for a, b in np.argwhere(doubted)
        ]
    return tuple(sorted(found, key=lambda pair: -pair.similarity))


def find_mixed(
    embeddings: FloatArray, people: Sequence[IntArray], limits: Limits
) -> tuple[Mixed, ...]:
    """Identities whose pictures fall into two groups less alike than a person's, worst first."""
    found = []
    for identity, rows in enumerate(people):
        if mixture := find_mixture(embeddings[rows], limits.unlike):
            first, second = mixture.parts
            found.append(Mixed(identity, (rows[first], rows[second]), mixture.similarity))
    return tuple(sorted(found, key=lambda mixed: mixed.similarity))


def find_strays(
    embeddings: FloatArray, people: Sequence[IntArray], limits: Limits
) -> tuple[Stray, ...]:
    """Pictures unlike the rest of an identity of three or more, the least alike first.

    Of pictures put into somebody else's folder this finds 87 % in CUHK03, which the shipped model
    was not trained on, and 97 % in Market-1501; it doubts none and 0.24 % of those left alone.
    """
    means = np.stack([unit(_mean(embeddings, rows)) for rows in people])
    found = []
    for identity, rows in enumerate(people):
        if len(rows) <= _PAIR:
            continue
        own = embeddings[rows]
        rest = own.sum(axis=0) - own
        similarity = (own * unit_rows(rest)).sum(axis=1)
        for at in np.flatnonzero(similarity < limits.drawn):
            others = means @ own[at]
            others[identity] = -1.0
            nearest = int(np.argmax(others))
            resembles = nearest if others[nearest] >= limits.alike else None
            if resembles is not None or similarity[at] < limits.stray:
                found.append(Stray(int(rows[at]), float(similarity[at]), resembles))
    return tuple(sorted(found, key=lambda stray: stray.similarity))


def _between_halves(
    embeddings: FloatArray, people: Sequence[IntArray], sources: IntArray | None
) -> FloatArray:
    """How alike first and last pictures of an identity of the same source usually are, (C,)."""
    groups = np.zeros(len(people), np.int64) if sources is None else sources
    least = np.full(len(people), -1.0, np.float32)
    for group in np.unique(groups):
        members = np.flatnonzero(groups == group)
        enough = [people[at] for at in members if len(people[at]) >= _HALVED_FROM]
        if enough:
            cosines = [_halves_cosine(embeddings[rows]) for rows in enough]
            least[members] = np.percentile(cosines, _TYPICAL_HALVES)
    return least


def _halves_cosine(own: FloatArray) -> float:
    half = len(own) // 2
    return float(unit(own[:half].mean(axis=0)) @ unit(own[half:].mean(axis=0)))


def _mean(embeddings: FloatArray, rows: IntArray) -> FloatArray:
    if not len(rows):
        return np.zeros(embeddings.shape[1], np.float32)
    return np.asarray(embeddings[rows].mean(axis=0), np.float32)
