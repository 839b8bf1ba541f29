"""Whom the crops of a track show, by the policy in force and by who else is in view."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from edge_reid.agent.name_assignment import NameAssignment
from edge_reid.agent.policy import MatchPolicy
from edge_reid.agent.track_state import EmbeddedCrop, TrackState, embeddings_of
from edge_reid.agent.track_swaps import is_another_person, likeness
from edge_reid.core.types import Candidate, Decision, Known, Uncertain, Unknown
from edge_reid.matching.decide import decide


@dataclass(frozen=True, slots=True, eq=False)
class TrackJudge:
    """Judges crops by one policy.

    Args:
        policy: gallery, threshold and rules.
        names: who has which name among the open tracks; looked at anew with every question.
    """

    policy: MatchPolicy
    names: NameAssignment

    def shown(
        self,
        crops: Sequence[EmbeddedCrop],
        *,
        final: bool = False,
        without: Collection[str] = frozenset(),
    ) -> Decision:
        """Whom crops show, wherever else that person is; `without`: whom they surely do not."""
        return decide(
            embeddings_of(crops),
            self.policy.index,
            threshold=self.policy.threshold,
            settings=self.policy.rules,
            final=final,
            without=without,
        )

    def decide(self, state: TrackState, track_id: int, *, final: bool = False) -> Decision:
        """Who a track is by its crops; nobody is in two places."""
        shown = self.shown(state.crops, final=final, without=state.denied)
        return self.unless_elsewhere(shown, track_id)

    def unless_elsewhere(self, decision: Decision, track_id: int) -> Decision:
        """The decision; uncertain, if another track looks no less like that person."""
        if isinstance(decision, Known) and self.names.is_elsewhere(decision, track_id):
            candidate = Candidate(decision.identity, decision.similarity)
            return Uncertain(candidate, decision.threshold, decision.margin, decision.crops)
        return decision

    def is_gone(self, decision: Known | Unknown | None) -> bool:
        """Whether a decision names somebody who is not enrolled any more."""
        return isinstance(decision, Known) and decision.identity not in self.policy.index

    def alikeness(self, before: Sequence[EmbeddedCrop], after: Sequence[EmbeddedCrop]) -> float:
        """Cosine similarity of the means of both; 0 where there is none."""
        return likeness(before, after, self.policy.index.model_id)

    def shows_another(self, state: TrackState, crops: Sequence[EmbeddedCrop]) -> bool:
        """Whether one of these crops looks like somebody else than the track's."""
        return len(state.crops) >= self.policy.rules.min_crops and any(
            is_another_person(state.crops, [crop], self.policy) for crop in crops
        )

    def is_another(self, state: TrackState, track_id: int, *, may_split: bool) -> bool:
        """Whether the fresh crops alone show somebody else than the track is taken for.

        Args:
            state: of the track, with `min_crops` fresh crops or more.
            track_id: its number.
            may_split: whether looks that are no more alike than two people are enough.
        """
        alone = self.shown(state.fresh, without=state.denied)
        if not state.crops or isinstance(alone, Uncertain):
            return False
        as_before = self.alikeness(state.crops, state.fresh)
        is_switch = may_split and is_another_person(state.crops, state.fresh, self.policy)
        name = state.held.identity if isinstance(state.held, Known) else None
        if isinstance(alone, Known):
            is_clear = alone.similarity >= as_before + self.policy.rules.min_margin
            is_free = alone.identity != name and not self.names.is_elsewhere(alone, track_id)
            return is_free and (is_clear or is_switch)
        is_unlike = as_before < self.policy.threshold
        is_wanted = name is not None and self.names.is_wanted(name, track_id)
        return is_switch or (is_unlike and is_wanted)
