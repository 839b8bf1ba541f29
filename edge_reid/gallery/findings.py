"""Faults of a gallery, and the limits by which they are found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """Kinds of faults."""

    SAME_PHOTO = "the same photo under two names"
    TAKEN_FOR_ANOTHER = "taken for somebody else"
    COMPLAINED_OF = "named somebody else"
    ONE_PERSON = "two identities, one person"
    TWO_PEOPLE = "one identity, two people"
    OUTLIER = "far from its own"
    POOR = "poor quality"


@dataclass(frozen=True, slots=True)
class Bars:
    """Limits by which a gallery is examined."""

    threshold: float
    """Least similarity of a known identity in a gallery of this size."""
    margin: float
    """Least difference to the similarity of another identity."""
    genuine: tuple[float, float] | None
    """(p, similarity): the share p of comparisons of one person stays below it; None: not
    measured."""
    quality: float
    """Least quality of a crop that the agent embeds."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A fault, its templates, and the reason in words."""

    kind: Kind
    identity: str
    template_ids: tuple[int, ...]
    """Templates of that identity: all for ONE_PERSON, the smaller group for TWO_PEOPLE."""
    other: str | None
    """The other identity that is concerned, if any."""
    reason: str
    """A sentence with the figures, and without the other's name, which may have to be erased."""
    disable: bool
    """Whether the gallery does better without these templates."""
    other_template_ids: tuple[int, ...] = ()
    """Of the other identity, if some of it are meant."""
