"""Two devices have named one person before they heard of one another: which name stays.

The lesser of the two (`precedes`). Each device renames its own people only, and never makes one of
two of them: whom it has seen as two people, others cannot join.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from edge_reid.core.anonymous_names import precedes, tag_in
from edge_reid.matching.threshold import Quantiles, threshold_for
from edge_reid.strangers.heard_stranger import HeardStranger
from edge_reid.strangers.stranger import Stranger


@dataclass(slots=True)
class MergedNames:
    """Names that turned out to be one person's."""

    taken: dict[str, str] = field(default_factory=dict)
    """The names that people of ours are to have from now on, by those that they have."""
    meant: dict[str, str] = field(default_factory=dict)
    """The names of people of ours, by those that others call them until they have heard of it."""


def merged_names(
    own: Sequence[Stranger],
    heard: Sequence[HeardStranger],
    *,
    own_tag: str | None,
    impostor_quantiles: Quantiles,
    target_fpir: float,
) -> MergedNames:
    """Compare people of ours with those of others.

    Args:
        own: people whom this device has seen.
        heard: people of other devices.
        own_tag: of the names that this device gives; None: it has given none.
        impostor_quantiles: of the model.
        target_fpir: accepted share of others' people who are taken for one of ours.
    """
    names = {each.name for each in own}
    merged = MergedNames()
    for old, new in (
        *_followed(own, heard, own_tag),
        *_alike(own, heard, threshold_for(impostor_quantiles, target_fpir, len(own))),
    ):
        if new in names or old in merged.taken or new in merged.taken.values():
            continue
        if precedes(new, old):
            merged.taken[old] = new
        else:
            merged.meant.setdefault(new, old)
    return merged


def _followed(
    own: Sequence[Stranger], heard: Sequence[HeardStranger], own_tag: str | None
) -> Iterator[tuple[str, str]]:
    """Names that this device has from others, and that they have changed. Of names that it gave
    itself it takes nobody's word.
    """
    now = {before: each.name for each in heard for before in each.formerly}
    for each in own:
        new = now.get(each.name)
        if new and tag_in(each.name) != own_tag and precedes(new, each.name):
            yield each.name, new


def _alike(
    own: Sequence[Stranger], heard: Sequence[HeardStranger], threshold: float
) -> Iterator[tuple[str, str]]:
    """Each of theirs with whoever of ours is nearest, if near enough; the nearest pairs first."""
    if not own or not heard:
        return
    ours = np.stack([each.vector for each in own])
    similarities = np.stack([each.vector for each in heard]) @ ours.T
    nearest, best = similarities.argmax(axis=1), similarities.max(axis=1)
    for number in np.argsort(-best, kind="stable"):
        if best[number] >= threshold:
            yield own[nearest[number]].name, heard[number].name
