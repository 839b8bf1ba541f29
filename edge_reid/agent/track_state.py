"""One track's file: its evidence, who it is taken for, and whom it may have been confused with."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from edge_reid.core.geometry import Box
from edge_reid.core.types import Decision, Embedding, HitType, Known, Uncertain, Unknown


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddedCrop:
    """An embedded crop, and where and when it was taken."""

    embedding: Embedding
    box: Box
    captured_utc_s: float


@dataclass(slots=True, eq=False)
class TrackState:
    """One track: its best evidence, what that says now, and what was last published."""

    evidence: list[EmbeddedCrop] = field(default_factory=list)
    """By falling quality."""
    decision: Decision | None = None
    held: Known | Unknown | None = None
    """Who the track is taken for: as published, unless the name has moved since."""
    published: Known | Unknown | None = None
    """What was last told of the track."""
    rivals: dict[int, TrackState] = field(default_factory=dict)
    """Tracks met, by number, that this one may have swapped people with; also ended ones."""
    is_meeting: bool = False
    """Whether its box overlaps a rival's at this moment."""
    is_claimed: bool = False
    """Whether another track claims its name, and fresh crops are to tell."""
    fresh: list[EmbeddedCrop] = field(default_factory=list)
    """By falling quality: of since the meeting or the claim, apart from `evidence` of before."""
    view: EmbeddedCrop | None = None
    """Of a track that swapped people: its own best crop, as `evidence` is partly of the other.
    """
    is_absent: bool = False
    """Whether it swapped people out of sight and was not seen since."""

    @property
    def embeddings(self) -> tuple[Embedding, ...]:
        return embeddings_of(self.evidence)

    @property
    def is_in_doubt(self) -> bool:
        """Whether what was seen before may be of somebody else than what is seen now."""
        return bool(self.rivals) or self.is_claimed

    @property
    def best(self) -> EmbeddedCrop:
        """The best crop of this very track.

        Raises:
            IndexError: there is no evidence.
        """
        return self.view or self.evidence[0]

    def meets(self, number: int, rival: TrackState, keep: int) -> None:
        """Another track came so close that people may have swapped; the newest `keep` count."""
        self.rivals.pop(number, None)
        self.rivals[number] = rival
        for oldest in tuple(self.rivals)[:-keep]:
            del self.rivals[oldest]

    def learn(self, evidence: EmbeddedCrop, keep: int) -> None:
        """Add evidence; only the `keep` best by quality stay."""
        _insert(self.evidence, evidence, keep)
        if self.view and (self.is_absent or _quality(evidence) > _quality(self.view)):
            self.view = evidence
        self.is_absent = False

    def learn_apart(self, evidence: EmbeddedCrop, keep: int) -> None:
        """Add evidence of after a meeting; `accept_fresh` joins it with the rest."""
        _insert(self.fresh, evidence, keep)

    def accept_fresh(self, keep: int, *, only: bool) -> None:
        """The doubt is over; `only`: what was seen before is somebody else's."""
        if only:
            self.evidence, self.held, self.view = [], None, self.fresh[0]
        fresh, self.fresh, self.is_claimed = self.fresh, [], False
        for each in fresh:
            self.learn(each, keep)

    def swap(self, other: TrackState) -> None:
        """Who was here is there now: evidence of before and name move, what was told stays."""
        for case in (self, other):
            case.view = next(iter(case.fresh), case.view or next(iter(case.evidence), None))
            case.is_absent = not case.fresh
        self.evidence, other.evidence = other.evidence, self.evidence
        self.decision, other.decision = other.decision, self.decision
        self.held, other.held = other.held, self.held

    def as_met(self) -> TrackState:
        """What a rival needs of it when it has ended."""
        return TrackState(list(self.evidence), self.decision, self.held, fresh=list(self.fresh))


@dataclass(frozen=True, slots=True)
class EndedTrack:
    """The end of a case."""

    decision: Decision | None
    """None: the track was never embedded."""
    kinds: tuple[HitType, ...]
    """What to publish, in order. A track decided only now is told as new before it ends."""
    best: EmbeddedCrop | None
    embeddings: tuple[Embedding, ...] = ()
    """By falling quality."""


def worth_telling(case: TrackState, now: Known | Unknown, gain: float) -> HitType | None:
    """How a decision is to be published of a case, if it says more than what was published."""
    before, has_moved = case.published, case.held is not case.published
    if before is None or type(before) is not type(now):
        return HitType.NEW
    if isinstance(before, Known) and isinstance(now, Known):
        better = now.similarity >= before.similarity + gain
        return HitType.UPDATE if better or now.identity != before.identity else None
    return HitType.UPDATE if has_moved else None


def is_weaker(final: Decision, held: Known | Unknown | None) -> bool:
    """Whether a decision would take back what the track is taken for."""
    takes_back = isinstance(held, Known) and not isinstance(final, Known)
    return takes_back or (isinstance(held, Unknown) and isinstance(final, Uncertain))


def embeddings_of(evidence: Iterable[EmbeddedCrop]) -> tuple[Embedding, ...]:
    """The embeddings, in their order."""
    return tuple(each.embedding for each in evidence)


def _insert(evidence: list[EmbeddedCrop], new: EmbeddedCrop, keep: int) -> None:
    evidence.append(new)
    evidence.sort(key=_quality, reverse=True)
    del evidence[keep:]


def _quality(evidence: EmbeddedCrop) -> float:
    return evidence.embedding.quality
