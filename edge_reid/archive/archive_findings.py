"""What a search of an archive has found."""

from __future__ import annotations

from dataclasses import dataclass

from edge_reid.archive.archived_track import ArchivedTrack


@dataclass(frozen=True, slots=True)
class ArchiveMatch:
    """A track, and how much it is like who is looked for."""

    track: ArchivedTrack
    similarity: float
    """Cosine."""


@dataclass(frozen=True, slots=True)
class ArchiveFindings:
    """What a search has found."""

    matches: tuple[ArchiveMatch, ...]
    """By falling similarity; of equal ones the earlier first."""
    tracks: int
    """That were asked about."""
    is_exact: bool
    """Whether each of them was compared."""
