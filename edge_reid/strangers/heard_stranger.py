"""A stranger of whom another device of the site has told, and all of them at a moment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from edge_reid.core.types import Vector
from edge_reid.strangers.stranger import Stranger


@dataclass(frozen=True, slots=True, eq=False)
class HeardStranger:
    """What another device says of somebody."""

    agent: str
    """Who says it."""
    name: str
    edition: int
    """Of what it says; a higher one replaces it."""
    formerly: tuple[str, ...]
    """Names that they had before."""
    camera: str
    """Where they were last."""
    first_seen_utc_s: float
    last_seen_utc_s: float
    forgotten_utc_s: float
    """When we forget them, unless we hear of them again; on our clock."""
    vector: Vector
    """Mean of their best embeddings there."""

    @property
    def as_stranger(self) -> Stranger:
        """To be compared with, like one of our own."""
        return Stranger(
            self.name,
            self.camera,
            self.first_seen_utc_s,
            self.last_seen_utc_s,
            1,
            self.forgotten_utc_s,
            self.vector,
        )


@dataclass(frozen=True, slots=True, eq=False)
class OtherPeople:
    """Strangers of other devices as they are known now: a value that is replaced, never changed."""

    strangers: tuple[Stranger, ...] = ()
    renamed: Mapping[str, str] = field(default_factory=dict)
    """The present name of somebody of ours, by one that they had before."""

    def has(self, name: str) -> bool:
        return any(stranger.name == name for stranger in self.strangers)


NOBODY = OtherPeople()
Others = Callable[[], OtherPeople]
"""Gives those of now; of any thread."""


def nobody_else() -> OtherPeople:
    """Where devices do not share: nobody."""
    return NOBODY
