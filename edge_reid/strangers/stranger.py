"""Somebody a device has seen who is not enrolled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edge_reid.core.types import Embedding, Template, Vector
from edge_reid.matching.vectors import vector_sha256

PROMOTED = 5
"""Embeddings that become templates: each further one raises the threshold for everybody."""


@dataclass(frozen=True, slots=True, eq=False)
class Visit:
    """A track that shows nobody enrolled, as it ended."""

    camera: str
    first_seen_utc_s: float
    last_seen_utc_s: float
    embeddings: tuple[Embedding, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Stranger:
    """What is kept of somebody."""

    name: str
    camera: str
    """Where last."""
    first_seen_utc_s: float
    last_seen_utc_s: float
    """On the clock of the video."""
    times_seen: int
    forgotten_utc_s: float
    """When they will be, unless seen again; on the clock of the device."""
    vector: Vector
    """Mean of the embeddings that are kept, weighted by quality."""


def templates_of(
    embeddings: Sequence[Embedding], identity: str, created_utc_s: float
) -> tuple[Template, ...]:
    """The best embeddings of a stranger as templates of an identity.

    There is no photo: the hash of a source is that of the embedding itself.
    """
    best = sorted(embeddings, key=lambda each: each.quality, reverse=True)[:PROMOTED]
    return tuple(
        Template(
            identity,
            each.vector,
            each.model_id,
            each.quality,
            vector_sha256(each.vector),
            created_utc_s,
        )
        for each in best
    )
