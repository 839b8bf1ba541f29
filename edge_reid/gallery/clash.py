"""New templates that would be taken for somebody else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from edge_reid.core.types import Candidate, GallerySnapshot, Template
from edge_reid.gallery.index import Index


@dataclass(frozen=True, slots=True)
class Clash:
    """A template that lies closer to another identity than to the rest of its own."""

    number: int
    """Which of the new templates, from 0."""
    other: Candidate
    own_similarity: float | None
    """To the nearest other template of its own identity; None when there is none."""


def clashes(
    new: Sequence[Template], before: GallerySnapshot, *, threshold: float
) -> tuple[Clash, ...]:
    """The clashes of templates about to be enrolled as one identity.

    Args:
        new: the templates, all of one identity as the gallery spells it.
        before: the gallery without them.
        threshold: for a template alone of its identity: the similarity at which another identity
            would be taken for it.
    """
    return tuple(_clashes(new, before, threshold))


def _clashes(new: Sequence[Template], before: GallerySnapshot, threshold: float) -> Iterator[Clash]:
    index = Index(before)
    for number, template in enumerate(new):
        nearest = index.search(template.vector, k=len(before.identities))
        others = [each for each in nearest if each.identity != template.identity]
        own = [each.similarity for each in nearest if each.identity == template.identity]
        own += [
            float(np.dot(template.vector, sibling.vector))
            for place, sibling in enumerate(new)
            if place != number
        ]
        own_similarity = max(own, default=None)
        if others and others[0].similarity > (
            threshold if own_similarity is None else own_similarity
        ):
            yield Clash(number, others[0], own_similarity)
