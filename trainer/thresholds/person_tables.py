"""How alike impostors are to people enrolled with several templates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from edge_reid.core.manifest import PersonQuantiles
from edge_reid.matching.index import summed_lengths
from trainer.data.datasets import PersonData
from trainer.scoring.crop_embeddings import CropEmbeddings
from trainer.scoring.ranking_metrics import FloatArray, IntArray, People
from trainer.scoring.track_means import mean_tracks, two_views
from trainer.thresholds.comparisons import LOOKALIKES_BEYOND, Comparisons, comparisons_of, joined
from trainer.thresholds.similarities import Decisions, Quantiles

TEMPLATES = 2, 3, 5
"""Of each person; the device counts numbers between as the next larger."""
_ENROLMENTS = 4
"""Draws of templates for each person."""
_CHUNK = 512
"""Tracks compared at a time."""


def person_tables(
    single: Quantiles, parts: Sequence[tuple[PersonData, CropEmbeddings]], seed: int = 0
) -> tuple[PersonQuantiles, ...]:
    """A table for each of `TEMPLATES`, as far as the people support it; data sets weigh the same.

    More templates are never less alike to an impostor: where chance says so, the similarity of
    fewer stands.

    Args:
        single: the table of people with one template.
        parts: data sets of different people, and the embeddings of their pictures in their order.
        seed: of the draws of templates.
    """
    tables: list[PersonQuantiles] = []
    floor = single
    for templates in TEMPLATES:
        enrolled = [person_decisions(*part, templates=templates, seed=seed) for part in parts]
        made = [one for one in enrolled if one.impostor.any()]
        if not made:
            break
        compared = joined([comparisons_of(one, genuine=False) for one in made])
        floor = tuple(_at_least(floor, _supported(compared)))
        if floor:
            tables.append(PersonQuantiles(templates=templates, impostor_quantiles=floor))
    return tuple(tables)


def person_decisions(
    data: PersonData, crops: CropEmbeddings, *, templates: int, seed: int = 0
) -> Decisions:
    """Compare tracks with people of so many templates, as a fused `Index` does.

    Templates are drawn several times from all pictures of a person, whichever camera they are of:
    those of one camera look more alike, and are together less alike to others. Who has too few is
    not enrolled. No comparison counts as genuine.

    Args:
        data: who and under which camera; people without a label (below 0) are left out.
        crops: embeddings of its pictures, in its order.
        templates: of each person.
        seed: of the draws.
    """
    known = data.labels >= 0
    labels = data.labels[known]
    cameras = data.cameras[known] if data.has_cameras else two_views(labels)
    people = People(crops.rows[known], labels, cameras, crops.qualities[known])
    tracks = mean_tracks(people)
    drawn = list(_drawn(labels, templates, np.random.default_rng([seed, templates])))
    rows = np.stack(drawn) if drawn else np.empty((0, templates), np.int64)
    enrolled = people.take(rows[:, 0])
    similarity = _compared(tracks, people.embeddings[rows])
    impostor = tracks.labels[:, None] != enrolled.labels
    return Decisions(tracks, enrolled, similarity, impostor, np.zeros_like(impostor))


def _drawn(labels: IntArray, templates: int, rng: np.random.Generator) -> Iterator[IntArray]:
    """Rows of the templates of each enrolment, (templates,)."""
    for who in np.unique(labels):
        rows = np.flatnonzero(labels == who)
        if len(rows) >= templates:
            for _ in range(_ENROLMENTS):
                yield rng.choice(rows, templates, replace=False)


def _compared(tracks: People, enrolled: FloatArray) -> FloatArray:
    """(T, N) similarities of tracks to people of n templates, (N, n, D)."""
    people, templates, dimension = enrolled.shape
    rows = enrolled.reshape(-1, dimension)
    lengths = summed_lengths(rows, np.arange(0, people * templates, templates))
    similarity = np.empty((len(tracks.labels), people), np.float32)
    for start in range(0, len(similarity), _CHUNK):
        part = slice(start, start + _CHUNK)
        each = tracks.embeddings[part].astype(np.float64) @ rows.T.astype(np.float64)
        each = each.reshape(len(each), people, templates)
        similarity[part] = np.maximum(each.max(axis=2), each.sum(axis=2) / lengths)
    return np.clip(similarity, -1.0, 1.0)


def _supported(compared: Comparisons) -> Quantiles:
    """The quantiles that enough pairs of people who look alike lie beyond."""
    enough = int(np.count_nonzero(compared.lookalikes() >= LOOKALIKES_BEYOND))
    return compared.table(compared.weights, enough)


def _at_least(floor: Quantiles, table: Quantiles) -> Iterator[tuple[float, float]]:
    """A table, raised to where another is higher.

    >>> list(_at_least(((0.1, 0.3), (0.01, 0.5)), ((0.1, 0.4), (0.01, 0.45), (0.001, 0.48))))
    [(0.1, 0.4), (0.01, 0.5), (0.001, 0.5)]
    """
    others, highest = dict(floor), -1.0
    for share, similarity in table:
        highest = max(similarity, others.get(share, -1.0), highest)
        yield share, highest
