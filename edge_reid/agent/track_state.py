"""What is believed of one track: its crops, who it is taken for, and whom it may have swapped
people with.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from edge_reid.core.geometry import Box
from edge_reid.core.types import Decision, Embedding, HitType, Known, Track, Uncertain, Unknown


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddedCrop:
    """An embedded crop, and where and when it was taken."""

    embedding: Embedding
    box: Box
    captured_utc_s: float


@dataclass(frozen=True, slots=True, eq=False)
class PastTrack:
    """What is left of a track that is not seen any more."""

    track: Track
    """As it was last."""
    crops: tuple[EmbeddedCrop, ...]
    """By falling quality."""
    held: Known | Unknown | None
    """Who it was taken for."""
    visit: int
    """The number of the track that the visit began as."""
    denied: frozenset[str] = frozenset()
    """As of `TrackState`."""


@dataclass(slots=True, eq=False)
class TrackState:
    """One open track: its best crops, what they say now, and what was last told of it."""

    crops: list[EmbeddedCrop] = field(default_factory=list)
    """By falling quality."""
    decision: Decision | None = None
    held: Known | Unknown | None = None
    """Who the track is taken for: as told, unless the name has moved since."""
    published: Known | Unknown | None = None
    """What was last told of the track."""
    rivals: dict[int, TrackState] = field(default_factory=dict)
    """Tracks met, by number, that this one may have swapped people with; also ended ones."""
    is_meeting: bool = False
    """Whether its box overlaps a rival's at this moment."""
    is_claimed: bool = False
    """Whether another track claims its name, and fresh crops are to tell."""
    is_suspect: bool = False
    """Whether a crop was so unlike the others that fresh ones are to tell who it shows."""
    fresh: list[EmbeddedCrop] = field(default_factory=list)
    """By falling quality: of since a meeting, claim or suspicion, apart from `crops` of before."""
    was_shared: bool = False
    """Whether somebody came out of its boxes: crops of before mostly show both of them."""
    view: EmbeddedCrop | None = None
    """Of a track that swapped people: its own best crop, as `crops` are partly of the other."""
    is_absent: bool = False
    """Whether it swapped people out of sight and was not seen since."""
    continues: int | None = None
    """The number of the track that the visit began as, if it was another one."""
    published_visit: int | None = None
    """`continues` as it was last told."""
    denied: frozenset[str] = frozenset()
    """Identities whom the person is not, as an operator has said."""

    @property
    def embeddings(self) -> tuple[Embedding, ...]:
        """Of `crops`, by falling quality."""
        return embeddings_of(self.crops)

    @property
    def is_in_doubt(self) -> bool:
        """Whether what was seen before may be of somebody else than what is seen now."""
        return bool(self.rivals) or self.wants_proof

    @property
    def wants_proof(self) -> bool:
        """Whether `min_crops` fresh ones are to tell who it shows."""
        return self.is_claimed or self.is_suspect or self.was_shared

    @property
    def best(self) -> EmbeddedCrop:
        """The best crop of this very track.

        Raises:
            IndexError: there is no crop.
        """
        return self.view or self.crops[0]

    def add_rival(self, number: int, rival: TrackState, keep: int) -> None:
        """Another track came so close that people may have swapped; the newest `keep` count."""
        self.rivals.pop(number, None)
        self.rivals[number] = rival
        for oldest in tuple(self.rivals)[:-keep]:
            del self.rivals[oldest]

    def add(self, crop: EmbeddedCrop, keep: int) -> None:
        """Add a crop; only the `keep` best by quality stay."""
        _insert(self.crops, crop, keep)
        if self.view and (self.is_absent or _quality(crop) > _quality(self.view)):
            self.view = crop
        self.is_absent = False

    def add_fresh(self, crop: EmbeddedCrop, keep: int) -> None:
        """Add a crop of after a meeting; `accept_fresh` joins it with the rest."""
        _insert(self.fresh, crop, keep)

    def accept_fresh(self, keep: int, *, only: bool) -> None:
        """The doubt is over; `only`: what was seen before, and the visit, are somebody else's."""
        if only:
            self.crops, self.held, self.view, self.continues = [], None, self.fresh[0], None
        fresh, self.fresh = self.fresh, []
        self.is_claimed = self.is_suspect = self.was_shared = False
        for crop in fresh:
            self.add(crop, keep)

    def forget_shared(self) -> None:
        """What was seen before shows two people, and fresh crops are enough without it."""
        self.crops, self.view = [], None

    def swap(self, other: TrackState) -> None:
        """Who was here is there now: crops of before and name move, what was told stays."""
        for state in (self, other):
            state.view = next(iter(state.fresh), state.view or next(iter(state.crops), None))
            state.is_absent = not state.fresh
        self.crops, other.crops = other.crops, self.crops
        self.decision, other.decision = other.decision, self.decision
        self.held, other.held = other.held, self.held
        self.denied, other.denied = other.denied, self.denied
        self.was_shared, other.was_shared = other.was_shared, self.was_shared

    def deny(self, identity: str) -> None:
        """An operator says that the person is not this one: the name is neither held nor told."""
        self.denied |= {identity}
        if is_called(self.held, identity):
            self.held = None
        if is_called(self.published, identity):
            self.published = None

    def adopt(self, before: PastTrack, held: Known | Unknown | None, keep: int) -> None:
        """Continue a track that has ended: its crops join these, and its visit goes on."""
        self.view, self.held, self.continues = self.best, held, before.visit
        self.denied |= before.denied
        for crop in before.crops:
            _insert(self.crops, crop, keep)

    def as_met(self) -> TrackState:
        """What a rival needs of it when it has ended."""
        return TrackState(
            list(self.crops),
            self.decision,
            self.held,
            fresh=list(self.fresh),
            continues=self.continues,
            denied=self.denied,
        )


@dataclass(frozen=True, slots=True, eq=False)
class TrackReport:
    """What is to be told of a track, whole."""

    track_id: int
    kind: HitType
    decision: Known | Unknown
    best: EmbeddedCrop
    """It is shown: the best crop of this very track."""
    embeddings: tuple[Embedding, ...]
    """All that are kept, by falling quality."""
    continues: int | None = None
    """The number of the track that the visit began as, if it was another one."""


@dataclass(frozen=True, slots=True)
class EndedTrack:
    """The end of a track."""

    decision: Decision | None
    """None: the track was never embedded."""
    reports: tuple[TrackReport, ...] = ()
    """In order. A track decided only now is told as new before it ends."""


def kind_of_news(state: TrackState, now: Known | Unknown, gain: float) -> HitType | None:
    """How a decision is to be told of a track, if it says more than what was told before."""
    before, has_moved = state.published, state.held is not state.published
    if before is None or type(before) is not type(now):
        return HitType.NEW
    if isinstance(before, Known) and isinstance(now, Known):
        better = now.similarity >= before.similarity + gain
        return HitType.UPDATE if better or now.identity != before.identity else None
    return HitType.UPDATE if has_moved else None


def is_called(decision: Decision | None, identity: str) -> bool:
    """Whether a decision gives this name."""
    return isinstance(decision, Known) and decision.identity == identity


def is_weaker(final: Decision, held: Known | Unknown | None) -> bool:
    """Whether a decision would take back what the track is taken for."""
    takes_back = isinstance(held, Known) and not isinstance(final, Known)
    return takes_back or (isinstance(held, Unknown) and isinstance(final, Uncertain))


def embeddings_of(crops: Iterable[EmbeddedCrop]) -> tuple[Embedding, ...]:
    """The embeddings, in their order."""
    return tuple(crop.embedding for crop in crops)


def _insert(crops: list[EmbeddedCrop], new: EmbeddedCrop, keep: int) -> None:
    crops.append(new)
    crops.sort(key=_quality, reverse=True)
    del crops[keep:]


def _quality(crop: EmbeddedCrop) -> float:
    return crop.embedding.quality
