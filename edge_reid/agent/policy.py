"""What tracks are matched against, and what is enough to name somebody."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from edge_reid.core.config.decide_settings import DecideSettings
from edge_reid.matching.gallery_thresholds import GalleryThresholds
from edge_reid.matching.index import Index


@dataclass(frozen=True, slots=True, eq=False)
class MatchPolicy:
    """Gallery, threshold and rules of decision. It never changes: another one takes its place.

    Raises:
        ModelError: neither a command nor the rules fix a threshold, and the model gives none.
    """

    index: Index
    """The gallery."""
    rules: DecideSettings
    """Crops, margin and gain that are enough."""
    thresholds: GalleryThresholds
    """Of the embedding model; the threshold is taken from them, unless it is fixed."""
    commanded_threshold: float | None = None
    """Cosine similarity set by a command; it wins over the rules."""
    shift: float = 0.0
    """Similarity by which impostors are found to be more alike than measured; used if the rules
    say so, as far as they allow, and unless a threshold is fixed."""
    threshold: float = field(init=False)
    """Least cosine similarity of a known identity."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "threshold", self._least_similarity())

    def with_gallery(self, index: Index) -> MatchPolicy:
        """The same rules for another gallery of the same model."""
        return replace(self, index=index)

    def with_threshold(self, threshold: float) -> MatchPolicy:
        """The same, with a threshold that a command has set."""
        return replace(self, commanded_threshold=threshold)

    def with_shift(self, shift: float) -> MatchPolicy:
        """The same, for impostors that are so much more alike than measured."""
        return replace(self, shift=shift)

    @property
    def measured_threshold(self) -> float | None:
        """As the model's manifest has it, without a shift; None when one is fixed."""
        is_fixed = self.commanded_threshold is not None or self.rules.threshold is not None
        if is_fixed:
            return None
        return self.thresholds.threshold(self.rules.target_fpir, self.index.templates_each)

    @property
    def is_measured(self) -> bool:
        """Whether the threshold is a fixed one or within what was measured for the model; one
        beyond errs towards unknown.
        """
        asked = self.rules.target_fpir, self.index.templates_each
        return self.measured_threshold is None or self.thresholds.is_measured(*asked)

    def with_rules(self, rules: DecideSettings, index: Index | None = None) -> MatchPolicy:
        """Other rules, for another gallery where one is given; a threshold that a command had set
        is over.

        Raises:
            ModelError: the rules give no threshold for the gallery.
        """
        index = self.index if index is None else index  # an empty one is falsy
        return replace(self, index=index, rules=rules, commanded_threshold=None)

    def _least_similarity(self) -> float:
        if self.commanded_threshold is not None:
            return self.commanded_threshold
        if self.rules.threshold is not None:
            return self.rules.threshold
        measured = self.thresholds.threshold(self.rules.target_fpir, self.index.templates_each)
        most = self.rules.adapt_most if self.rules.adapt else 0.0
        return min(1.0, measured + min(max(self.shift, -most), most))


class PolicyHolder:
    """The policy in force. Written by the thread that takes the frames, between two of them; other
    threads may read it.
    """

    def __init__(self, policy: MatchPolicy) -> None:
        self._current = policy

    @property
    def current(self) -> MatchPolicy:
        """In force now."""
        return self._current

    def swap(self, policy: MatchPolicy) -> None:
        """Put another policy in force, from the next frame on."""
        self._current = policy
