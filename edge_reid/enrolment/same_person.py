"""Whether embeddings show one person, by how alike those of one person are for a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edge_reid.core.errors import ModelMismatchError
from edge_reid.core.manifest import EmbeddingManifest, model_in_words
from edge_reid.core.types import Embedding, Template, Vectors
from edge_reid.gallery.store import GalleryStore
from edge_reid.matching.mixture import find_mixture, group_similarity
from edge_reid.strangers.stranger_store import StrangerStore


@dataclass(frozen=True, slots=True)
class TwoPeople:
    """Embeddings that fall into two groups which one person's would not."""

    sizes: tuple[int, int]
    """Embeddings of either group."""
    similarity: float
    """Of the groups."""
    least: float
    """Similarity that `share` of the comparisons of one person reach."""
    share: float

    @property
    def message(self) -> str:
        """What it means."""
        return (
            f"The photos may show two people, so do not trust this: groups of {self.sizes[0]} and "
            f"{self.sizes[1]} with a similarity of {self.similarity:.2f}, where {self.share:.0%} "
            f"of the comparisons of one person reach {self.least:.2f}."
        )


@dataclass(frozen=True, slots=True)
class Likeness:
    """How alike the embeddings of two names are, and what one person's are at least."""

    name: str
    other: str
    similarity: float
    least: float
    """Similarity that `share` of the comparisons of one person reach."""
    share: float

    @property
    def is_of_two(self) -> bool:
        """Whether they look like two people."""
        return self.similarity < self.least

    @property
    def message(self) -> str:
        """What it means."""
        reached = f"that {self.share:.0%} of the comparisons of one person reach"
        if self.is_of_two:
            return (
                f"{self.name} and {self.other} look like two people: similarity "
                f"{self.similarity:.2f}, {self.least - self.similarity:.2f} below the "
                f"{self.least:.2f} {reached}"
            )
        return (
            f"{self.name} and {self.other} may be one person: similarity {self.similarity:.2f}, "
            f"at or above the {self.least:.2f} {reached}"
        )


def find_two_people(
    embeddings: Sequence[Embedding], manifest: EmbeddingManifest
) -> TwoPeople | None:
    """The two people whom embeddings of one may show; None: nothing says so.

    Args:
        embeddings: at least one, of the manifest's model.
        manifest: without genuine quantiles nothing can be said.
    """
    if manifest.least_genuine is None:
        return None
    beyond, least = manifest.least_genuine
    found = find_mixture(np.stack([embedding.vector for embedding in embeddings]), least)
    if found is None:
        return None
    one, other = found.parts
    return TwoPeople((len(one), len(other)), found.similarity, least, 1 - beyond)


def compare_identities(
    store: GalleryStore, name: str, other: str, manifest: EmbeddingManifest
) -> Likeness | None:
    """How alike two identities of a gallery are; None: one has nothing to compare, or the model's
    manifest says nothing of one person.

    Raises:
        GalleryError: the gallery cannot be read, or one of them is not enrolled.
    """
    return _compare(name, other, store.templates(name), store.templates(other), manifest)


def compare_strangers(
    store: StrangerStore, name: str, other: str, manifest: EmbeddingManifest
) -> Likeness | None:
    """How alike two strangers are; None: the model's manifest says nothing of one person.

    Raises:
        ModelMismatchError: they are remembered by another model than the manifest's.
        GalleryError: there is no stranger of that name.
    """
    if manifest.model_id != store.model_id:
        raise ModelMismatchError(
            f"strangers: expected those of model {model_in_words(manifest.model_id)}, got "
            f"{model_in_words(store.model_id)}; give its --model, or --yes to merge without a "
            "comparison"
        )
    return _compare(name, other, store.looks(name), store.looks(other), manifest)


def _compare(
    name: str,
    other: str,
    some: Sequence[Template] | Sequence[Embedding],
    others: Sequence[Template] | Sequence[Embedding],
    manifest: EmbeddingManifest,
) -> Likeness | None:
    if not (some and others and manifest.least_genuine):
        return None
    beyond, least = manifest.least_genuine
    similarity = group_similarity(_vectors(some), _vectors(others))
    return Likeness(name, other, similarity, least, 1 - beyond)


def _vectors(looks: Sequence[Template] | Sequence[Embedding]) -> Vectors:
    """(N, D)."""
    return np.stack([look.vector for look in looks])
