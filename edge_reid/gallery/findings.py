"""What can be wrong with a gallery, and what it is measured by."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """What can be wrong."""

    SAME_PHOTO = "the same photo under two names"
    TAKEN_FOR_ANOTHER = "taken for somebody else"
    ONE_PERSON = "two identities, one person"
    TWO_PEOPLE = "one identity, two people"
    OUTLIER = "far from its own"
    POOR = "poor quality"


@dataclass(frozen=True, slots=True)
class Bars:
    """What a gallery is measured by."""

    threshold: float
    """Least similarity of a known identity, for a gallery of this size."""
    margin: float
    """Least lead over another identity."""
    genuine: tuple[float, float] | None
    """(p, similarity): only the share p of comparisons of one person stay below; None: unknown."""
    quality: float
    """The agent does not embed what is worse."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong, in words, and what would help."""

    kind: Kind
    identity: str
    template_ids: tuple[int, ...]
    """Of that identity; all of it when the two identities are meant, the smaller group of two."""
    other: str | None
    """The other identity, if there is one in it."""
    reason: str
    """In words, with the numbers; without the other's name, which may have to be forgotten."""
    set_aside: bool
    """Whether the gallery does better without these templates."""
    other_template_ids: tuple[int, ...] = ()
    """Of the other identity, if some of it are meant."""
