"""A hit as the page shows it, with all that tells why."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, replace

from edge_reid.agent.corrections import PublishedName
from edge_reid.agent.policy import MatchPolicy
from edge_reid.core.types import Candidate, Embedding, Hit, HitType, Known, Unknown
from edge_reid.matching.fusion import mean_vector
from edge_reid.matching.index import Index
from edge_reid.web.crop_ring import CropRing
from edge_reid.web.hit_naming import HitNaming, Renaming

_NEAREST = 3


@dataclass(frozen=True, slots=True)
class HitCrop:
    """One crop that a decision rests on."""

    jpeg: bytes | None
    """None: it is not kept any more."""
    quality: float
    nearest: Candidate | None
    """Whom it alone is most like; None: nobody is enrolled."""
    is_shown: bool
    """Whether it is the one that the event shows."""
    file: str | None = None
    """Name of the file that has it too; None: none has."""

    @property
    def is_kept(self) -> bool:
        """Whether it can be shown."""
        return self.jpeg is not None or self.file is not None


@dataclass(frozen=True, slots=True)
class HitRecord:
    """The newest hit of a track."""

    number: int
    """Rises from 1 by track; the newest hit of a track has the number of its first."""
    camera: str
    track_id: int
    kind: HitType
    decision: Known | Unknown
    captured_utc_s: float
    zones: tuple[str, ...]
    """In which the person stood."""
    crops: tuple[HitCrop, ...]
    """By falling quality."""
    nearest: tuple[Candidate, ...]
    """The identities that the crops together are most like, by falling similarity."""
    threshold_source: str
    """Where the threshold comes from, in words."""
    min_margin: float
    gallery_version: int
    model_id: str
    received_s: float
    """Monotonic."""
    is_taken_back: bool = False
    """Whether an operator said that it was somebody else."""

    @property
    def names(self) -> frozenset[str]:
        """Of all people whom it names."""
        own = {self.decision.identity} if isinstance(self.decision, Known) else set()
        return frozenset(own | {one.identity for one in self._named})

    @property
    def published_name(self) -> PublishedName | None:
        """The name that it was published under, if any."""
        if not isinstance(self.decision, Known):
            return None
        return PublishedName(self.camera, self.track_id, self.decision.identity)

    @property
    def shown_crop(self) -> int | None:
        """Position of the crop that the event shows, or else of the best that is kept."""
        kept = [
            (not crop.is_shown, position)
            for position, crop in enumerate(self.crops)
            if crop.is_kept
        ]
        return min(kept)[1] if kept else None

    @property
    def naming(self) -> HitNaming:
        """Whom it names, and where."""
        of_crops = tuple(crop.nearest for crop in self.crops)
        return HitNaming(self.decision, self.nearest, of_crops)

    def with_naming(self, naming: HitNaming) -> HitRecord:
        """The same, naming these people; of as many crops."""
        crops = tuple(
            replace(crop, nearest=nearest)
            for crop, nearest in zip(self.crops, naming.of_crops, strict=True)
        )
        return replace(self, decision=naming.decision, nearest=naming.nearest, crops=crops)

    def renamed(self, name: str, new: str) -> HitRecord:
        """The same, with another name of one person."""
        return self.with_naming(self.naming.renamed(name, new))

    def after(self, renaming: Renaming | None) -> HitRecord:
        """The same, with the new name if it was decided by a gallery that has not got it yet."""
        if renaming is None or self.gallery_version >= renaming.version:
            return self
        return self.renamed(renaming.name, renaming.new)

    def among(self, index: Index) -> HitRecord | None:
        """The same without the names of people who are not enrolled any more; None: the hit itself
        is of one.
        """
        if isinstance(self.decision, Known) and self.decision.identity not in index:
            return None
        if all(one.identity in index for one in self._named):
            return self
        crops = tuple(
            replace(crop, nearest=None)
            if crop.nearest and crop.nearest.identity not in index
            else crop
            for crop in self.crops
        )
        nearest = tuple(one for one in self.nearest if one.identity in index)
        return replace(self, crops=crops, nearest=nearest)

    @property
    def _named(self) -> Iterator[Candidate]:
        yield from self.nearest
        yield from (crop.nearest for crop in self.crops if crop.nearest)

    def with_files(self, kept: Container[str]) -> HitRecord:
        """The same, with the names of these files only."""
        crops = tuple(
            crop if crop.file in kept else replace(crop, file=None) for crop in self.crops
        )
        return replace(self, crops=crops)

    def without_crops(self) -> HitRecord:
        """The same, without any picture but for those in files."""
        return replace(self, crops=tuple(replace(crop, jpeg=None) for crop in self.crops))


def record_of(
    hit: Hit, policy: MatchPolicy, ring: CropRing, *, number: int, camera: str, now_s: float
) -> HitRecord:
    """What the page keeps of a hit.

    Args:
        hit: with its embeddings.
        policy: that it was decided by.
        ring: where its crops are.
        number: of the record.
        camera: whose hit it is.
        now_s: monotonic.
    """
    index = policy.index
    vector = mean_vector(hit.embeddings, index.model_id) if hit.embeddings else None
    return HitRecord(
        number=number,
        camera=camera,
        track_id=hit.track_id,
        kind=hit.type,
        decision=hit.decision,
        captured_utc_s=hit.captured_utc_s,
        zones=hit.zones or (),
        crops=tuple(_crop(embedding, hit, policy, ring) for embedding in hit.embeddings),
        nearest=() if vector is None else index.search(vector, k=_NEAREST),
        threshold_source=threshold_source(policy),
        min_margin=policy.rules.min_margin,
        gallery_version=index.version,
        model_id=index.model_id,
        received_s=now_s,
    )


def threshold_source(policy: MatchPolicy) -> str:
    """Where a threshold comes from, in words."""
    if policy.commanded_threshold is not None:
        return "set by a command"
    if policy.rules.threshold is not None:
        return "fixed by decide.threshold in the configuration"
    people, templates = len(policy.index.identities), len(policy.index)
    people_text = "1 person" if people == 1 else f"{people} people"
    templates_text = "1 template" if templates == 1 else f"{templates} templates"
    return (
        f"from the measurements of the model, so that of 1000 unknown people at most "
        f"{policy.rules.target_fpir * 1000:g} get a name, with {templates_text} of {people_text} "
        "enrolled"
    )


def _crop(embedding: Embedding, hit: Hit, policy: MatchPolicy, ring: CropRing) -> HitCrop:
    kept = ring.of(embedding)
    nearest = _first(policy.index.search(embedding.vector, k=1))
    is_shown = kept is not None and kept.captured_utc_s == hit.captured_utc_s
    return HitCrop(kept.jpeg if kept else None, embedding.quality, nearest, is_shown)


def _first(candidates: Sequence[Candidate]) -> Candidate | None:
    return candidates[0] if candidates else None
