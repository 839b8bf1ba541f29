"""Whether unknown people at a camera are as alike to those enrolled as the model's manifest says.

Decided unknown tracks are counted in blocks, by classes of their best similarity: aggregates, of
which no person can be made again. A block is of one gallery and one threshold; another one begins
anew. It is judged when it has 125, 250, 500, 1000 and 2000 tracks, each time with a fifth of
`_ALPHA`, so that in all no more than that share of blocks finds a drift where there is none; after
the last one the next block begins. What was found stays until a block contradicts it, or as many
tracks know better.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from edge_reid.agent.policy import MatchPolicy, PolicyHolder
from edge_reid.core.manifest import EmbeddingManifest
from edge_reid.core.types import Decision, Known, Unknown
from edge_reid.matching.score_drift import (
    SCORE_BOUNDS,
    DriftReport,
    DriftVerdict,
    ExpectedScores,
    UnknownScores,
)

JUDGED_AT = (125, 250, 500, 1000, 2000)
"""Unknown tracks of a block."""
_ALPHA = 0.01
_SAME = 0.005
"""Thresholds that differ by less are not worth a change."""
_EMPTY = (0,) * (len(SCORE_BOUNDS) + 1)


@dataclass(frozen=True, slots=True)
class ScoreBasis:
    """What tracks are decided by; scores of two are never added up."""

    model_id: str
    gallery_version: int
    templates: int
    threshold: float

    @classmethod
    def of(cls, policy: MatchPolicy) -> ScoreBasis:
        """That of a policy."""
        index = policy.index
        templates = sum(index.templates_each)
        return cls(index.model_id, index.version, templates, round(policy.threshold, 6))


@dataclass(frozen=True, slots=True)
class ScoreBlock:
    """What is kept of the unknown tracks of a camera."""

    basis: ScoreBasis
    scores: UnknownScores = field(default_factory=lambda: UnknownScores(_EMPTY, 0))
    verdict: DriftVerdict | None = None
    """The last one of this model, perhaps of an earlier block; None before the first."""


class DriftWatch:
    """Of one camera, live. `note` is called by who looks at it; all else by the thread that takes
    the frames.

    Args:
        manifest: of the embedding model.
        policies: what the camera decides by; with `decide.adapt` the threshold is moved there.
        kept: of an earlier run.
        notice: tells a person.
    """

    def __init__(
        self,
        manifest: EmbeddingManifest,
        policies: PolicyHolder,
        *,
        kept: ScoreBlock | None,
        notice: Callable[[str], None],
    ) -> None:
        self._manifest = manifest
        self._policies = policies
        self._notice = notice
        basis = ScoreBasis.of(policies.current)
        is_ours = kept is not None and kept.basis.model_id == basis.model_id
        self.block = kept if kept and is_ours else ScoreBlock(basis)
        """As it is now; another value takes its place, and any thread may read it."""
        self._adapted: tuple[MatchPolicy, DriftVerdict] | None = None  # it was looked at for these
        self._reported: tuple[MatchPolicy, DriftVerdict] | None = None  # `_report` is of these
        self._report: DriftReport | None = None
        self.adapt()
        self._follow(policies.current)

    @property
    def advised_threshold(self) -> float | None:
        """That would keep the accepted rate; None while none was found wanting, or one is fixed."""
        policy, verdict = self._policies.current, self.block.verdict
        if verdict is None or verdict.state == "none" or policy.measured_threshold is None:
            return None
        return min(1.0, policy.measured_threshold + verdict.shift)

    def note(self, decision: Decision | None) -> None:
        """Take in a track that has ended."""
        policy = self._policies.current
        self._follow(policy)
        if not isinstance(decision, Known | Unknown) or decision.threshold != policy.threshold:
            return  # of the policy before
        scores = self.block.scores
        if isinstance(decision, Known):
            self._keep(replace(scores, known=scores.known + 1))
        elif decision.similarity is not None:
            counts = list(scores.counts)
            counts[bisect_left(SCORE_BOUNDS, decision.similarity)] += 1
            self._keep(replace(scores, counts=tuple(counts)))
            if self.block.scores.tracks in JUDGED_AT:
                self._judge(policy)

    @property
    def report(self) -> DriftReport | None:
        """For the status of the camera; None before the first verdict."""
        policy, verdict = self._policies.current, self.block.verdict
        if verdict is None:
            return None
        if self._reported != (policy, verdict):  # a threshold takes a while to find
            self._reported = policy, verdict
            self._report = DriftReport(verdict, self.advised_threshold, policy.rules.adapt)
        return self._report

    def _follow(self, policy: MatchPolicy) -> None:
        basis = ScoreBasis.of(policy)
        if basis != self.block.basis:
            self.block = ScoreBlock(basis, verdict=self.block.verdict)

    def _keep(self, scores: UnknownScores) -> None:
        self.block = replace(self.block, scores=scores)

    def _judge(self, policy: MatchPolicy) -> None:
        expected = ExpectedScores(self._manifest, policy.index.templates_each, policy.threshold)
        scores, before = self.block.scores, self.block.verdict
        verdict = expected.judge(scores, _ALPHA / len(JUDGED_AT), before)
        if scores.tracks >= JUDGED_AT[-1]:
            self._keep(UnknownScores(_EMPTY, 0))
        self.block = replace(self.block, verdict=verdict)
        if verdict.state != (before.state if before else "none"):
            self._notice(drift_in_words(verdict, self.advised_threshold))

    def adapt(self) -> None:
        """Move the threshold, between two frames, if that is wanted."""
        policy, verdict = self._policies.current, self.block.verdict
        if verdict is None or self._adapted == (policy, verdict):
            return
        self._adapted = policy, verdict
        moved = policy.with_shift(verdict.shift)
        if abs(moved.threshold - policy.threshold) < _SAME:
            return
        self._policies.swap(moved)
        self._adapted = moved, verdict
        self._notice(
            f"drift: threshold {policy.threshold:.3f} → {moved.threshold:.3f}, as decide.adapt "
            "wants it"
        )


def drift_in_words(verdict: DriftVerdict, advised: float | None) -> str:
    """What is found of unknown people, and the threshold that would keep the accepted rate."""
    if verdict.state == "none":
        return f"drift: of {verdict.tracks} unknown tracks: as alike as the model's manifest says"
    than = "more" if verdict.state == "higher" else "less"
    line = (
        f"drift: {verdict.tracks} unknown tracks are {than} alike to those enrolled than the "
        f"model's manifest says, by {abs(verdict.shift):.2f}: about {verdict.fpir:.1%} of unknown "
        "people get a name"
    )
    return line if advised is None else f"{line}; a threshold of {advised:.3f} would keep the rate"
