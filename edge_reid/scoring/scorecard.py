"""How well a camera named people: the figures, and what they are made of.

A *hit* here is a name that a track was given, however often it was said.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class VisitScore:
    """A visit of somebody enrolled, and how long it took to say so."""

    identity: str
    first_frame: int
    last_frame: int
    delay_s: float | None
    """From the first frame to the decision; None: missed."""


@dataclass(frozen=True, slots=True)
class WrongName:
    """A track that was given the name of somebody else."""

    track_id: int
    said: str
    shown: str | None
    """None: somebody not labelled there, while `said` was away."""
    frame: int


@dataclass(frozen=True, slots=True)
class Scorecard:
    """The figures of one camera over one recording."""

    duration_s: float
    hits_right: int
    hits_wrong: int
    hits_unclear: int
    hits_at_enrolment: int
    """Right ones of visits from which the person was enrolled: no test, counted nowhere else."""
    tracks_of_enrolled: int
    """That show somebody enrolled, visits of the enrolment apart."""
    tracks_named_right: int
    """Of these, in the end."""
    tracks_of_others: int
    """That show somebody labelled who is not enrolled."""
    unknowns_named: int
    """Of these, ever."""
    tracks_mixed: int
    """That show one labelled person and then another."""
    id_switches: int
    """How often the next event about a person in view came from another track."""
    visits: tuple[VisitScore, ...]
    """Of people enrolled, visits of the enrolment apart."""
    wrong_names: tuple[WrongName, ...]

    @property
    def precision(self) -> float | None:
        """Right hits of those that are clear; None: there are none."""
        return _share(self.hits_right, self.hits_right + self.hits_wrong)

    @property
    def recall(self) -> float | None:
        """Tracks of people enrolled that were named rightly in the end; None: there are none."""
        return _share(self.tracks_named_right, self.tracks_of_enrolled)

    @property
    def wrong_names_per_hour(self) -> float:
        return self.hits_wrong * 3600 / self.duration_s

    @property
    def missed_visits(self) -> tuple[VisitScore, ...]:
        """Those in which the right name was never said."""
        return tuple(visit for visit in self.visits if visit.delay_s is None)

    @property
    def delay_median_s(self) -> float | None:
        """Of the visits that were not missed."""
        delays = [visit.delay_s for visit in self.visits if visit.delay_s is not None]
        return median(delays) if delays else None

    @property
    def delay_max_s(self) -> float | None:
        return max((v.delay_s for v in self.visits if v.delay_s is not None), default=None)


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
