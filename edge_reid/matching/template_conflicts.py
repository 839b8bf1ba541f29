"""New templates that would be taken for somebody else."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edge_reid.core.types import Candidate, Template


@dataclass(frozen=True, slots=True)
class TemplateConflict:
    """A template that lies closer to another identity than to the rest of its own."""

    number: int
    """Which of the new templates, from 0."""
    other: Candidate
    own_similarity: float | None
    """To the nearest other template of its own identity; None when there is none."""


def find_conflicts(
    new: Sequence[Template], before: Sequence[Template], *, threshold: float
) -> tuple[TemplateConflict, ...]:
    """Those of the templates about to be enrolled that lie closer to another identity.

    Args:
        new: the templates, all of one identity as the gallery spells it.
        before: the gallery's templates without them.
        threshold: cosine similarity that another identity must pass where a template has no
            siblings to compare with.
    """
    return tuple(_conflicts(new, before, threshold))


def same_photos(
    new: Sequence[Template], before: Sequence[Template], *, threshold: float
) -> Mapping[int, str]:
    """The new templates whose photo another identity has too: their number, from 0, and its name.

    Two people of one scene are not meant: their similarity stays below the threshold.
    """
    by_photo: defaultdict[str, list[Template]] = defaultdict(list)
    for template in before:
        by_photo[template.source_sha256].append(template)
    return {
        number: other.identity
        for number, template in enumerate(new)
        for other in by_photo[template.source_sha256]
        if other.identity != template.identity and other.vector @ template.vector >= threshold
    }


def _conflicts(
    new: Sequence[Template], before: Sequence[Template], threshold: float
) -> Iterator[TemplateConflict]:
    if not new:
        return
    vectors = np.stack([template.vector for template in (*before, *new)])
    names = np.array([template.identity for template in (*before, *new)])
    is_own = names == new[0].identity
    for number, template in enumerate(new):
        similarities = vectors @ template.vector
        others = np.where(is_own, -np.inf, similarities)
        siblings = is_own & (np.arange(len(vectors)) != len(before) + number)
        own_similarity = float(similarities[siblings].max()) if siblings.any() else None
        nearest = int(others.argmax())
        if others[nearest] > (threshold if own_similarity is None else own_similarity):
            other = Candidate(before[nearest].identity, float(others[nearest]))
            yield TemplateConflict(number, other, own_similarity)
