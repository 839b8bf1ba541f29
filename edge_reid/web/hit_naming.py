"""Whom a hit names, and what hits said before a person got another name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from edge_reid.core.types import Candidate, Known, Unknown


@dataclass(frozen=True, slots=True)
class HitNaming:
    """All of a hit in which a name stands."""

    decision: Known | Unknown
    nearest: tuple[Candidate, ...]
    """The identities that the crops together are most like."""
    of_crops: tuple[Candidate | None, ...]
    """Whom each crop alone is most like."""

    def renamed(self, name: str, new: str) -> HitNaming:
        """The same, with another name of one person."""

        def one(candidate: Candidate) -> Candidate:
            return replace(candidate, identity=new) if candidate.identity == name else candidate

        decision = self.decision
        if isinstance(decision, Known) and decision.identity == name:
            decision = replace(decision, identity=new)
        of_crops = tuple(one(nearest) if nearest else None for nearest in self.of_crops)
        return HitNaming(decision, tuple(map(one, self.nearest)), of_crops)


@dataclass(frozen=True, slots=True)
class Renaming:
    """A person is called otherwise."""

    name: str
    new: str
    version: int
    """Of the gallery that has it."""


@dataclass(frozen=True, slots=True, eq=False)
class RenamedHits:
    """What hits said before a person got another name, so that they can say it again: where that
    was somebody's already, the name alone does not tell whose they were.
    """

    name: str
    new: str
    live: Mapping[tuple[str, int], HitNaming]
    """Of the newest, by camera and track."""
    kept: Mapping[str, HitNaming]
    """Of those on disk, by stem."""

    def restored(self, now: HitNaming, before: HitNaming | None) -> HitNaming:
        """What a hit said before; what it says now, if it was decided anew since."""
        is_as_renamed = before is not None and now == before.renamed(self.name, self.new)
        return before if before is not None and is_as_renamed else now
