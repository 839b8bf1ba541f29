"""What is believed of each track, and when it is told.

The crops of one track are collected. Every new one asks for a new decision, and so do another
policy and a name that another track leaves. The first decision is told as `new`, a clearly better
one as `update`, and the end of the track as `end`.

After a meeting of two tracks it is in doubt who is who: crops of after it are kept apart until they
tell whether people have swapped tracks. If so, crops and name go where they fit, and both tracks
are told anew.
"""

from __future__ import annotations

from collections.abc import Iterable

from edge_reid.agent.continued_visits import ContinuedVisits, past_track
from edge_reid.agent.name_assignment import NameAssignment
from edge_reid.agent.policy import MatchPolicy
from edge_reid.agent.track_judge import TrackJudge
from edge_reid.agent.track_state import (
    EmbeddedCrop,
    EndedTrack,
    PastTrack,
    TrackReport,
    TrackState,
    is_called,
    is_weaker,
    kind_of_news,
)
from edge_reid.agent.track_swaps import SwapOutcome, outcome_of
from edge_reid.core.types import Decision, HitType, Known, Track, Uncertain, Unknown, Vector
from edge_reid.matching.fusion import mean_vector

_MAX_RIVALS = 8
"""Of one track: who meets more people before a crop tells keeps the newest."""


class TrackDecisions:
    """All open tracks of one camera.

    Args:
        policy: gallery, threshold and rules in force.
        keep: crops kept per track.
        relink_s: a track may continue one that was last seen so long ago; 0: none does.
    """

    def __init__(self, policy: MatchPolicy, *, keep: int, relink_s: float = 0.0) -> None:
        self._policy = policy
        self._keep = keep
        self._tracks: dict[int, TrackState] = {}
        self._names = NameAssignment(self._tracks)
        self._judge = TrackJudge(policy, self._names)
        self._visits = ContinuedVisits(self._tracks, memory_s=relink_s)
        self._due: set[int] = set()  # tracks of which more has changed than their crops
        self._wanting_fresh: set[int] = set()
        self._settled: set[int] = set()  # tracks whose fresh crops have done their work
        self._challenged: set[tuple[int, int]] = set()  # (who has a name, who claims it too)

    def use(self, policy: MatchPolicy) -> None:
        """Decide by this policy; `redecide` says what another one makes worth telling.

        What was told stays, but the name of somebody who is not enrolled any more: that track is
        told anew, as whoever it shows now, and is never again told under the old name.
        """
        if policy is self._policy:
            return
        self._policy, self._judge = policy, TrackJudge(policy, self._names)
        for track_id, state in self._tracks.items():
            if self._judge.is_gone(state.held):
                state.held = None
            if self._judge.is_gone(state.published):
                state.published = None
            if state.crops:
                state.decision = self._judge.decide(state, track_id)
                self._due.add(track_id)

    def observe(self, track_id: int, crops: Iterable[EmbeddedCrop]) -> TrackReport | None:
        """Decide a track anew with new crops of it; returns what is to be told, if anything.

        Of a track in doubt `redecide` returns it, when the doubt is over.
        """
        state, crops = self._tracks.setdefault(track_id, TrackState()), tuple(crops)
        if not state.is_in_doubt and self._judge.shows_another(state, crops):
            state.is_suspect = True
            self._wanting_fresh.add(track_id)
        if state.is_in_doubt and not state.is_meeting:
            for crop in crops:
                state.add_fresh(crop, self._keep)
            self._settle(track_id)
            return None
        for crop in crops:
            state.add(crop, self._keep)
        if self._waits_for_predecessor(track_id):
            return None
        shown = self._judge.shown(state.crops, without=state.denied)
        self._challenge(shown, track_id)
        state.decision = self._judge.unless_elsewhere(shown, track_id)
        return self._report(state, track_id)

    def deny(self, visit: int, identity: str) -> None:
        """An operator says that a person is not who they were taken for. The tracks of their visit,
        and those that continue it, are decided anew as if nobody of that name were enrolled.

        Args:
            visit: number of the track that it began as.
            identity: that they were taken for.
        """
        self._visits.deny(visit, identity)
        for track_id, state in self._tracks.items():
            if (state.continues or track_id) != visit:
                continue
            if is_called(state.held, identity):
                self._due |= self._names.waiting(state.held)
            state.deny(identity)
            if state.crops:
                state.decision = self._judge.decide(state, track_id)
                self._due.add(track_id)

    def redecide(self) -> tuple[TrackReport, ...]:
        """What is to be told of tracks that no crop was observed of: since another policy is in
        force, a name has moved, or the track that had their name has ended.
        """
        due, self._due = self._due, set()
        reports = []
        for track_id in sorted(due, key=self._likeness, reverse=True):
            state = self._tracks[track_id]
            if self._waits_for_predecessor(track_id):
                continue
            state.decision = self._judge.decide(state, track_id)
            if not state.is_absent and (report := self._report(state, track_id)):
                reports.append(report)
        return tuple(reports)

    @property
    def decisions(self) -> dict[int, Decision]:
        """The decision in force for each open track that has one; none of whom it is in doubt."""
        return {
            track_id: Uncertain(None, self._policy.threshold, None, len(state.crops))
            if state.rivals
            else state.held or state.decision
            for track_id, state in self._tracks.items()
            if state.decision is not None
        }

    def look_of(self, track_id: int) -> Vector | None:
        """The mean of the crops of a track, unit (D,) float32; while it is in doubt whom it shows,
        of those of before. None: there is none.
        """
        state = self._tracks.get(track_id)
        if state is None or not state.crops:
            return None
        return mean_vector(state.embeddings, self._policy.index.model_id)

    @property
    def visits(self) -> ContinuedVisits:
        """Which open track goes on with whose visit; for whoever only looks."""
        return self._visits

    def locate(self, tracks: Iterable[Track]) -> None:
        """Say where the open tracks are, at every frame."""
        self._visits.locate(tracks)

    def take_continued(self) -> frozenset[int]:
        """Open tracks whose people go on under other numbers: they are to end; asking is taking."""
        return self._visits.to_end

    def forget_recent(self) -> None:
        """What comes next continues nothing that was."""
        self._visits.forget_recent()

    def meet(
        self, pairs: Iterable[tuple[int, int]], came_out: Iterable[tuple[int, int]] = ()
    ) -> None:
        """Say which tracks are so close that the tracker may take one for the other; at every look
        of the detector, so that those who are not named any more have parted.

        Args:
            pairs: all who are that close.
            came_out: of these, pairs of whom the second came out of the box of the first, which so
                far was of both.
        """
        pairs = tuple(pairs)
        close = {track_id for pair in pairs for track_id in pair}
        for first, second in pairs:
            self._confuse(first, second)
        for host, _ in came_out:
            self._tracks[host].was_shared |= bool(self._tracks[host].crops)
        for track_id, state in self._tracks.items():
            if track_id in close:
                state.fresh.clear()
            elif state.is_meeting and state.rivals:
                self._wanting_fresh.add(track_id)
            state.is_meeting = track_id in close and bool(state.rivals)

    @property
    def resting(self) -> frozenset[int]:
        """Tracks of which no crop is wanted: they have a name, and it is not clear who they are."""
        return frozenset(
            track_id
            for track_id, state in self._tracks.items()
            if state.is_meeting and isinstance(state.held, Known)
        )

    def take_wanting_fresh(self) -> frozenset[int]:
        """Tracks that want fresh crops, whatever was seen of them before; asking is taking."""
        wanting, self._wanting_fresh = self._wanting_fresh, set()
        return frozenset(wanting)

    def take_settled(self) -> dict[int, tuple[float, ...]]:
        """By track that is in doubt no more, the qualities of what is kept; asking is taking."""
        settled, self._settled = self._settled, set()
        return {
            track_id: tuple(crop.embedding.quality for crop in self._tracks[track_id].crops)
            for track_id in sorted(settled)
        }

    def close(self, track_id: int) -> EndedTrack:
        """Forget an ended track.

        A known identity once told stays the track's: the crops were sufficient when it was given,
        and who follows the track must see it end under the same name. Only if the track has swapped
        people with another it ends under whose name is right.
        """
        place = self._visits.leave(track_id)
        if track_id not in self._tracks:
            return EndedTrack(None)
        self._settle(track_id, final=True)
        state = self._tracks.pop(track_id)
        self._forget(track_id)
        ended = self._ended(state, track_id)
        if place is not None:
            self._hand_on(past_track(place, state, ended.decision))
        return ended

    def _hand_on(self, past: PastTrack) -> None:
        """A track has ended: to the one that continues it, else to whoever may come."""
        heir = self._visits.hand_on(past)
        if heir is not None:
            self._adopt(heir, past)
            self._due.add(heir)

    def _ended(self, state: TrackState, track_id: int) -> EndedTrack:
        self._due |= self._names.waiting(state.held)
        if state.is_absent and state.view:
            return _end_unseen(state, state.view, track_id)
        if not state.crops:
            return EndedTrack(None)
        final = self._judge.decide(state, track_id, final=True)
        if is_weaker(final, state.held) and state.held is not None:
            final = state.held
        if isinstance(final, Uncertain):
            return EndedTrack(final)
        fresh = kind_of_news(state, final, self._policy.rules.update_gain)
        kinds = (fresh, HitType.END) if fresh else (HitType.END,)
        return EndedTrack(final, tuple(_report_of(state, track_id, kind, final) for kind in kinds))

    def _waits_for_predecessor(self, track_id: int) -> bool:
        """Have a track that nothing was told of continue another one, where it does. Whether that
        one is still open, and has to end first.
        """
        state = self._tracks[track_id]
        if not (state.published or state.continues or self._visits.is_heir(track_id)):
            past = self._visits.take_predecessor(track_id, self._policy, self._judge.shown)
            if past is not None:
                self._adopt(track_id, past)
        return self._visits.is_heir(track_id)

    def _adopt(self, track_id: int, past: PastTrack) -> None:
        state = self._tracks[track_id]
        state.adopt(past, None if self._judge.is_gone(past.held) else past.held, self._keep)
        state.decision = self._judge.decide(state, track_id)
        self._settled.add(track_id)

    def _forget(self, track_id: int) -> None:
        self._due.discard(track_id)
        self._wanting_fresh.discard(track_id)
        self._settled.discard(track_id)
        self._challenged = {pair for pair in self._challenged if track_id not in pair}

    def _confuse(self, first: int, second: int) -> None:
        one, other = (self._tracks.setdefault(number, TrackState()) for number in (first, second))
        if one.crops or other.crops:
            one.add_rival(second, other, _MAX_RIVALS)
            other.add_rival(first, one, _MAX_RIVALS)

    def _settle(self, track_id: int, *, final: bool = False) -> None:
        """Weigh what was seen of a track since it met others; end the doubts that this ends."""
        state, crossed = self._tracks[track_id], False
        for number, rival in self._nearest_first(state):
            is_last = final or number not in self._tracks
            outcome = outcome_of(state, rival, self._policy, final=is_last)
            if outcome is SwapOutcome.OPEN:
                continue
            if outcome is SwapOutcome.CROSSED:
                crossed = True
                state.swap(rival)
                _swap_visits(track_id, state, number, rival)
            del state.rivals[number]
            rival.rivals.pop(track_id, None)
            if number in self._tracks:
                self._accept(number, is_told_apart=outcome is SwapOutcome.CROSSED)
        for rival in state.rivals.values() if final else ():
            rival.rivals[track_id] = state.as_met()
        self._accept(track_id, final=final, is_told_apart=crossed)

    def _nearest_first(self, state: TrackState) -> list[tuple[int, TrackState]]:
        """Its rivals: whoever was most like what is seen of it now comes first."""
        return sorted(
            state.rivals.items(),
            key=lambda rival: self._judge.alikeness(rival[1].crops, state.fresh),
            reverse=True,
        )

    def _accept(self, track_id: int, *, final: bool = False, is_told_apart: bool = False) -> None:
        """Join what was seen before and after, of a track that is not in doubt any more.

        Who was just told apart from a rival is nobody else, as little alike as looks after it are.
        """
        state = self._tracks[track_id]
        enough = len(state.fresh) >= self._policy.rules.min_crops
        if not final and (state.rivals or (state.wants_proof and not enough)):
            return
        name = state.held
        may_split = not (is_told_apart or state.was_shared)
        is_another = enough and self._judge.is_another(state, track_id, may_split=may_split)
        if state.was_shared and enough:
            state.forget_shared()
        state.accept_fresh(self._keep, only=is_another)
        if state.crops:
            state.decision = self._judge.decide(state, track_id)
        if state.crops and not state.is_absent:
            self._due.add(track_id)
            self._settled.add(track_id)
        if is_another:
            self._due |= self._names.waiting(name)

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
                self._wanting_fresh.add(number)

    def _likeness(self, track_id: int) -> float:
        """To whoever is nearest: of those who are due for one name the most alike gets it."""
        decision = self._tracks[track_id].decision
        if isinstance(decision, Uncertain):
            return decision.candidate.similarity if decision.candidate else -1.0
        similarity = decision.similarity if decision else None
        return -1.0 if similarity is None else similarity

    def _report(self, state: TrackState, track_id: int) -> TrackReport | None:
        """What is to be told of a track as it is decided now; it counts as told."""
        decision = state.decision
        if decision is None or is_weaker(decision, state.held):
            decision = state.held
        if decision is None or isinstance(decision, Uncertain):
            return None
        kind = kind_of_news(state, decision, self._policy.rules.update_gain)
        if kind is None:
            return None
        state.held = state.published = decision
        state.published_visit = state.continues
        return _report_of(state, track_id, kind, decision)


def _swap_visits(one: int, state: TrackState, other: int, rival: TrackState) -> None:
    """Each goes on with the visit of the person that it shows now."""
    visit, rivals_visit = state.continues or one, rival.continues or other
    state.continues = rivals_visit if rivals_visit != one else None
    rival.continues = visit if visit != other else None


def _report_of(
    state: TrackState, track_id: int, kind: HitType, decision: Known | Unknown
) -> TrackReport:
    return TrackReport(
        track_id, kind, decision, state.best, state.embeddings, continues=state.continues
    )


def _end_unseen(state: TrackState, view: EmbeddedCrop, track_id: int) -> EndedTrack:
    """Nobody saw the track under another name than it was told."""
    told = state.published
    if told is None:
        return EndedTrack(None)
    end = TrackReport(track_id, HitType.END, told, view, (view.embedding,), state.published_visit)
    return EndedTrack(told, (end,))
