"""What is believed of each track, and when the world is told.

A case collects the embeddings of one track. Every new one asks for a new decision, and so do
another gallery and a name that another track leaves. The first decision is published as `new`, a
clearly better one as `update`, and the end of the track as `end`.

After a meeting of two tracks it is in doubt who is who: crops of after it are kept apart until they
tell whether people have swapped tracks. If so, evidence and name go where they fit, and both tracks
are told anew.
"""

from __future__ import annotations

from collections.abc import Iterable

from edge_reid.agent.name_assignment import Names
from edge_reid.agent.track_state import (
    EmbeddedCrop,
    EndedTrack,
    TrackState,
    embeddings_of,
    is_weaker,
    worth_telling,
)
from edge_reid.agent.track_swaps import SwapOutcome, SwapRules, likeness, outcome_of
from edge_reid.core.config import DecideSettings
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
from edge_reid.matching.decide import decide
from edge_reid.matching.index import Index

_MAX_RIVALS = 8
"""Of one track: who meets more people before a crop tells keeps the newest."""


class TrackDecisions:
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
        self._cases: dict[int, TrackState] = {}
        self._names = Names(self._cases)
        self._due: set[int] = set()  # tracks of which more has changed than their crops
        self._anew: set[int] = set()  # tracks that want fresh crops
        self._settled: set[int] = set()  # tracks whose fresh crops have done their work
        self._challenged: set[tuple[int, int]] = set()  # (who has a name, who claims it too)

    def use(self, index: Index, threshold: float) -> None:
        """Decide by another gallery from now on; `review` says what that makes worth publishing.

        What was published stays, but the name of somebody who is not enrolled any more: that track
        is told anew, as whoever it shows now, and is never again told under the old name.
        """
        self._index, self._threshold = index, threshold
        for track_id, case in self._cases.items():
            if _is_gone(case.held, index):
                case.held = None
            if _is_gone(case.published, index):
                case.published = None
            if case.evidence:
                case.decision = self._decide(case, track_id)
                self._due.add(track_id)

    def review(self) -> dict[int, HitType]:
        """What is worth publishing of tracks that nothing was learned of, by `track_id`: since
        another gallery is in use, a name has moved, or the track that had their name has ended.
        """
        due, self._due = self._due, set()
        told: dict[int, HitType] = {}
        for track_id in sorted(due, key=self._likeness, reverse=True):
            case = self._cases[track_id]
            case.decision = self._decide(case, track_id)
            if not case.is_absent and (kind := self._publish(case)):
                told[track_id] = kind
        return told

    @property
    def decisions(self) -> dict[int, Decision]:
        """The decision in force for each open track that has one; none of whom it is in doubt."""
        return {
            track_id: Uncertain(None, self._threshold, None, len(case.evidence))
            if case.rivals
            else case.held or case.decision
            for track_id, case in self._cases.items()
            if case.decision is not None
        }

    def meet(self, pairs: Iterable[tuple[int, int]]) -> None:
        """Say which tracks are so close that the tracker may take one for the other; at every look
        of the detector, so that those who are not named any more have parted.
        """
        pairs = tuple(pairs)
        close = {track_id for pair in pairs for track_id in pair}
        for first, second in pairs:
            self._confuse(first, second)
        for track_id, case in self._cases.items():
            if track_id in close:
                case.fresh.clear()
            elif case.is_meeting and case.rivals:
                self._anew.add(track_id)
            case.is_meeting = track_id in close and bool(case.rivals)

    @property
    def resting(self) -> frozenset[int]:
        """Tracks of which no crop is wanted: they have a name, and it is not clear who they are."""
        return frozenset(
            track_id
            for track_id, case in self._cases.items()
            if case.is_meeting and isinstance(case.held, Known)
        )

    def take_anew(self) -> frozenset[int]:
        """Tracks that want fresh crops, whatever was seen of them before; asking is taking."""
        anew, self._anew = self._anew, set()
        return frozenset(anew)

    def take_settled(self) -> dict[int, tuple[float, ...]]:
        """By track that is in doubt no more, the qualities of what is kept; asking is taking."""
        settled, self._settled = self._settled, set()
        return {
            track_id: tuple(each.quality for each in self._cases[track_id].embeddings)
            for track_id in sorted(settled)
        }

    def learn(self, track_id: int, evidence: Iterable[EmbeddedCrop]) -> HitType | None:
        """Decide a track anew; returns what is worth publishing of it, if anything.

        Of a track in doubt `review` says it, when the doubt is over.
        """
        case = self._cases.setdefault(track_id, TrackState())
        if case.is_in_doubt and not case.is_meeting:
            for each in evidence:
                case.learn_apart(each, self._keep)
            self._settle(track_id)
            return None
        for each in evidence:
            case.learn(each, self._keep)
        shown = self._judge(case.evidence)
        self._challenge(shown, track_id)
        case.decision = self._unless_elsewhere(shown, track_id)
        return self._publish(case)

    def published(self, track_id: int) -> Known | Unknown:
        """The decision last published for a track."""
        decision = self._cases[track_id].published
        if decision is None:
            raise KeyError(track_id)
        return decision

    def best(self, track_id: int) -> EmbeddedCrop:
        """The best evidence of a track that was learned of."""
        return self._cases[track_id].best

    def embeddings(self, track_id: int) -> tuple[Embedding, ...]:
        """What is kept of a track that was learned of, by falling quality."""
        return self._cases[track_id].embeddings

    def close(self, track_id: int) -> EndedTrack:
        """Forget an ended track.

        A known identity once published stays the track's: the evidence for it was sufficient
        when it was given, and who follows the track must see it end under the same name. Only if
        the track has swapped people with another it ends under whose name is right.
        """
        if track_id not in self._cases:
            return EndedTrack(None, (), None)
        self._settle(track_id, final=True)
        case = self._cases.pop(track_id)
        self._forget(track_id)
        self._due |= self._names.waiting(case.held)
        if case.is_absent and case.view:  # nobody saw it under another name than it was told
            ends = (HitType.END,) if case.published else ()
            return EndedTrack(case.published, ends, case.view, (case.view.embedding,))
        if not case.evidence:
            return EndedTrack(None, (), None)
        best, embeddings = case.best, case.embeddings
        final = self._decide(case, track_id, final=True)
        if is_weaker(final, case.held) and case.held is not None:
            final = case.held
        if isinstance(final, Uncertain):
            return EndedTrack(final, (), best, embeddings)
        fresh = worth_telling(case, final, self.settings.update_gain)
        kinds = (fresh, HitType.END) if fresh else (HitType.END,)
        return EndedTrack(final, kinds, best, embeddings)

    def _forget(self, track_id: int) -> None:
        self._due.discard(track_id)
        self._anew.discard(track_id)
        self._settled.discard(track_id)
        self._challenged = {pair for pair in self._challenged if track_id not in pair}

    def _confuse(self, first: int, second: int) -> None:
        one, other = (self._cases.setdefault(number, TrackState()) for number in (first, second))
        if one.evidence or other.evidence:
            one.meets(second, other, _MAX_RIVALS)
            other.meets(first, one, _MAX_RIVALS)

    def _settle(self, track_id: int, *, final: bool = False) -> None:
        """Weigh what was seen of a track since it met others; end the doubts that this ends."""
        case = self._cases[track_id]
        rules = SwapRules(self._index.model_id, self.settings.min_crops, self.settings.min_margin)
        for number, rival in self._nearest_first(case):
            outcome = outcome_of(case, rival, rules, final=final or number not in self._cases)
            if outcome is SwapOutcome.OPEN:
                continue
            if outcome is SwapOutcome.CROSSED:
                case.swap(rival)
            del case.rivals[number]
            rival.rivals.pop(track_id, None)
            if number in self._cases:
                self._accept(number)
        for rival in case.rivals.values() if final else ():
            rival.rivals[track_id] = case.as_met()
        self._accept(track_id, final=final)

    def _nearest_first(self, case: TrackState) -> list[tuple[int, TrackState]]:
        """Its rivals: whoever was most like what is seen of it now comes first."""
        return sorted(
            case.rivals.items(),
            key=lambda each: likeness(each[1].evidence, case.fresh, self._index.model_id),
            reverse=True,
        )

    def _accept(self, track_id: int, *, final: bool = False) -> None:
        """Join what was seen before and after, of a track that is not in doubt any more."""
        case = self._cases[track_id]
        enough = len(case.fresh) >= self.settings.min_crops
        if not final and (case.rivals or (case.is_claimed and not enough)):
            return
        name = case.held
        is_another = enough and self._is_another(case, track_id)
        case.accept_fresh(self._keep, only=is_another)
        if case.evidence:
            case.decision = self._decide(case, track_id)
        if case.evidence and not case.is_absent:
            self._due.add(track_id)
            self._settled.add(track_id)
        if is_another:
            self._due |= self._names.waiting(name)

    def _is_another(self, case: TrackState, track_id: int) -> bool:
        """Whether the fresh crops alone show somebody else than the track is taken for."""
        alone = self._judge(case.fresh)
        if not case.evidence or isinstance(alone, Uncertain):
            return False
        as_before = likeness(case.evidence, case.fresh, self._index.model_id)
        name = case.held.identity if isinstance(case.held, Known) else None
        if isinstance(alone, Known):
            is_clear = alone.similarity >= as_before + self.settings.min_margin
            return (
                is_clear
                and alone.identity != name
                and not self._names.is_elsewhere(alone, track_id)
            )
        return (
            name is not None
            and as_before < self._threshold
            and self._names.is_wanted(name, track_id)
        )

    def _challenge(self, shown: Decision, track_id: int) -> None:
        """Have whoever has the name that a track's crops show looked at anew: nobody is in two
        places. Once for any two tracks; if nothing else is seen, both keep what they were told.
        """
        if not isinstance(shown, Known):
            return
        for number, holder in self._names.holders(shown.identity, track_id):
            if (number, track_id) not in self._challenged:
                self._challenged.add((number, track_id))
                holder.is_claimed = True
                self._anew.add(number)

    def _judge(self, evidence: list[EmbeddedCrop], *, final: bool = False) -> Decision:
        return decide(
            embeddings_of(evidence),
            self._index,
            threshold=self._threshold,
            settings=self.settings,
            final=final,
        )

    def _decide(self, case: TrackState, track_id: int, *, final: bool = False) -> Decision:
        return self._unless_elsewhere(self._judge(case.evidence, final=final), track_id)

    def _unless_elsewhere(self, decision: Decision, track_id: int) -> Decision:
        if isinstance(decision, Known) and self._names.is_elsewhere(decision, track_id):
            candidate = Candidate(decision.identity, decision.similarity)
            return Uncertain(candidate, decision.threshold, decision.margin, decision.crops)
        return decision

    def _likeness(self, track_id: int) -> float:
        """To whoever is nearest: of those who are due for one name the most alike gets it."""
        decision = self._cases[track_id].decision
        if isinstance(decision, Uncertain):
            return decision.candidate.similarity if decision.candidate else -1.0
        similarity = decision.similarity if decision else None
        return -1.0 if similarity is None else similarity

    def _publish(self, case: TrackState) -> HitType | None:
        decision = case.decision
        if decision is None or is_weaker(decision, case.held):
            decision = case.held
        if decision is None or isinstance(decision, Uncertain):
            return None
        kind = worth_telling(case, decision, self.settings.update_gain)
        if kind is not None:
            case.held = case.published = decision
        return kind


def _is_gone(decision: Known | Unknown | None, index: Index) -> bool:
    return isinstance(decision, Known) and decision.identity not in index


def report(
    kind: HitType,
    decision: Known | Unknown,
    track: Track,
    best: EmbeddedCrop,
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
