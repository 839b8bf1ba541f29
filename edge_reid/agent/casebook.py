"""What is believed of each track, and when the world is told.

A case collects the embeddings of one track. Every new one asks for a new decision, and so do
another gallery and a name that another track leaves. The first decision is published as `new`, a
clearly better one as `update`, and the end of the track as `end`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from edge_reid.core.config import DecideSettings
from edge_reid.core.geometry import Box
from edge_reid.core.types import (
    Candidate,
    Decision,
    Embedding,
    Hit,
    HitType,
    Known,
    Track,
    Uncertain,
    Unknown,
)
from edge_reid.gallery.index import Index
from edge_reid.gallery.match import decide


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """An embedded crop, and where and when it was taken."""

    embedding: Embedding
    box: Box
    captured_utc_s: float


@dataclass(slots=True)
class Case:
    """One track: its best evidence, what that says now, and what was last published."""

    evidence: list[Evidence] = field(default_factory=list)
    """By falling quality."""
    decision: Decision | None = None
    published: Known | Unknown | None = None

    @property
    def embeddings(self) -> tuple[Embedding, ...]:
        return tuple(each.embedding for each in self.evidence)

    def learn(self, evidence: Evidence, keep: int) -> None:
        """Add evidence; only the `keep` best by quality stay."""
        self.evidence.append(evidence)
        self.evidence.sort(key=lambda item: item.embedding.quality, reverse=True)
        del self.evidence[keep:]


@dataclass(frozen=True, slots=True)
class Closing:
    """The end of a case."""

    decision: Decision | None
    """None: the track was never embedded."""
    kinds: tuple[HitType, ...]
    """What to publish, in order. A track decided only now is told as new before it ends."""
    best: Evidence | None
    embeddings: tuple[Embedding, ...] = ()
    """By falling quality."""


class Casebook:
    """All open cases of one camera.

    Args:
        index: the gallery in force.
        threshold: least similarity of a known identity.
        settings: margins, counts and what makes an update.
        keep: embeddings kept per track.
    """

    def __init__(
        self, index: Index, *, threshold: float, settings: DecideSettings, keep: int
    ) -> None:
        self._index = index
        self._threshold = threshold
        self.settings = settings
        self._keep = keep
        self._cases: dict[int, Case] = {}
        self._due: set[int] = set()  # tracks of which more has changed than their crops

    def use(self, index: Index, threshold: float) -> None:
        """Decide by another gallery from now on; `review` says what that makes worth publishing.

        What was published stays, but the name of somebody who is not enrolled any more: that track
        is told anew, as whoever it shows now, and is never again told under the old name.
        """
        self._index, self._threshold = index, threshold
        for track_id, case in self._cases.items():
            published = case.published
            if isinstance(published, Known) and published.identity not in index:
                case.published = None
            if case.evidence:
                case.decision = self._decide(case, track_id)
                self._due.add(track_id)

    def review(self) -> dict[int, HitType]:
        """What is worth publishing of tracks that nothing was learned of, by `track_id`: since
        another gallery is in use, or since the track that had their name has ended.
        """
        due, self._due = self._due, set()
        told: dict[int, HitType] = {}
        for track_id in sorted(due, key=self._likeness, reverse=True):
            case = self._cases[track_id]
            case.decision = self._decide(case, track_id)
            if kind := self._publish(case):
                told[track_id] = kind
        return told

    @property
    def decisions(self) -> dict[int, Decision]:
        """The decision in force for each open track that has one."""
        return {
            track_id: case.published or case.decision
            for track_id, case in self._cases.items()
            if case.decision is not None
        }

    def learn(self, track_id: int, evidence: Iterable[Evidence]) -> HitType | None:
        """Decide a track anew; returns what is worth publishing of it, if anything."""
        case = self._cases.setdefault(track_id, Case())
        for each in evidence:
            case.learn(each, self._keep)
        case.decision = self._decide(case, track_id)
        return self._publish(case)

    def published(self, track_id: int) -> Known | Unknown:
        """The decision last published for a track."""
        decision = self._cases[track_id].published
        if decision is None:
            raise KeyError(track_id)
        return decision

    def best(self, track_id: int) -> Evidence:
        """The best evidence of a track that was learned of."""
        return self._cases[track_id].evidence[0]

    def embeddings(self, track_id: int) -> tuple[Embedding, ...]:
        """What is kept of a track that was learned of, by falling quality."""
        return self._cases[track_id].embeddings

    def close(self, track_id: int) -> Closing:
        """Forget an ended track.

        A known identity once published stays the track's: the evidence for it was sufficient
        when it was given, and who follows the track must see it end under the same name.
        """
        case = self._cases.pop(track_id, None)
        self._due.discard(track_id)
        if case is None or not case.evidence:
            return Closing(None, (), None)
        self._due |= self._waiting_for(case.published)
        best, embeddings = case.evidence[0], case.embeddings
        final = self._decide(case, track_id, final=True)
        if _weaker(final, case.published):
            return Closing(case.published, (HitType.END,), best, embeddings)
        if isinstance(final, Uncertain):
            return Closing(final, (), best, embeddings)
        fresh = _worth_telling(case.published, final, self.settings.update_gain)
        kinds = (fresh, HitType.END) if fresh else (HitType.END,)
        return Closing(final, kinds, best, embeddings)

    def _decide(self, case: Case, track_id: int, *, final: bool = False) -> Decision:
        decision = decide(
            case.embeddings,
            self._index,
            threshold=self._threshold,
            settings=self.settings,
            final=final,
        )
        if isinstance(decision, Known) and self._elsewhere(decision, track_id):
            candidate = Candidate(decision.identity, decision.similarity)
            return Uncertain(candidate, decision.threshold, decision.margin, decision.crops)
        return decision

    def _waiting_for(self, published: Known | Unknown | None) -> set[int]:
        """Tracks that may have the name of an ended one, as nobody is in two places."""
        name = published.identity if isinstance(published, Known) else None
        return {
            track_id
            for track_id, case in self._cases.items()
            if isinstance(case.decision, Uncertain)
            and case.decision.candidate is not None
            and case.decision.candidate.identity == name
        }

    def _likeness(self, track_id: int) -> float:
        """To whoever is nearest: of those who are due for one name the most alike gets it."""
        decision = self._cases[track_id].decision
        if isinstance(decision, Uncertain):
            return decision.candidate.similarity if decision.candidate else -1.0
        similarity = decision.similarity if decision else None
        return -1.0 if similarity is None else similarity

    def _publish(self, case: Case) -> HitType | None:
        decision = case.decision
        if decision is None or isinstance(decision, Uncertain):
            return None
        kind = _worth_telling(case.published, decision, self.settings.update_gain)
        if kind is not None:
            case.published = decision
        return kind

    def _elsewhere(self, decision: Known, track_id: int) -> bool:
        """Whether a track that looks more like this identity is open: nobody is in two places."""
        return any(
            other_id != track_id
            and isinstance(case.published, Known)
            and case.published.identity == decision.identity
            and case.published.similarity >= decision.similarity
            for other_id, case in self._cases.items()
        )


def _worth_telling(
    before: Known | Unknown | None, now: Known | Unknown, gain: float
) -> HitType | None:
    if before is None or (isinstance(before, Unknown) and isinstance(now, Known)):
        return HitType.NEW
    if not (isinstance(before, Known) and isinstance(now, Known)):
        return None
    better = now.similarity >= before.similarity + gain
    return HitType.UPDATE if better or now.identity != before.identity else None


def _weaker(final: Decision, published: Known | Unknown | None) -> bool:
    takes_back = isinstance(published, Known) and not isinstance(final, Known)
    return takes_back or (isinstance(published, Unknown) and isinstance(final, Uncertain))


def report(
    kind: HitType,
    decision: Known | Unknown,
    track: Track,
    best: Evidence,
    embeddings: tuple[Embedding, ...],
    *,
    frame_size_px: tuple[int, int],
    decided_utc_s: float,
) -> Hit:
    """The event that tells a decision about a track: it shows the best of its evidence."""
    return Hit(
        type=kind,
        decision=decision,
        track_id=track.track_id,
        box=best.box,
        frame_size_px=frame_size_px,
        captured_utc_s=best.captured_utc_s,
        decided_utc_s=decided_utc_s,
        first_seen_utc_s=track.first_seen_utc_s,
        last_seen_utc_s=track.last_seen_utc_s,
        embeddings=embeddings if isinstance(decision, Unknown) else (),
    )
