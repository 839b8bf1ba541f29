"""What the page has seen of the run: the newest step of each camera, trails, and newest hits."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, replace

from edge_reid.agent.corrections import PublishedName
from edge_reid.agent.pipeline import Step
from edge_reid.agent.policy import MatchPolicy
from edge_reid.core.types import Hit, HitType, Known
from edge_reid.matching.index import Index
from edge_reid.web.crop_ring import CropRing, KeptCrop
from edge_reid.web.hit_naming import RenamedHits, Renaming
from edge_reid.web.hit_record import HitRecord, record_of
from edge_reid.web.kept_hits import KeptHits

MOST_HITS = 50
_TRAIL_POINTS = 40

Point = tuple[float, float]
"""(x, y) in pixels of the frame."""


@dataclass(frozen=True, slots=True, eq=False)
class CameraView:
    """The newest of one camera."""

    step: Step
    trails: Mapping[int, tuple[Point, ...]]
    """By track, where its feet were at the last steps, oldest first."""
    number: int
    """Rises from 1 with every step of the camera."""
    seen_s: float
    """Monotonic."""


class LiveView:
    """Written by one thread, read by others.

    Args:
        keep_crops_s: how long crops are kept.
        kept: keeps hits on disk, too; None: nothing does.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        keep_crops_s: float,
        clock: Callable[[], float] = time.monotonic,
        *,
        kept: KeptHits | None = None,
    ) -> None:
        self._keep_crops_s = keep_crops_s
        self._clock = clock
        self._kept = kept
        self._cameras: dict[str, CameraView] = {}
        self._trails: dict[str, dict[int, deque[Point]]] = {}
        self._lock = threading.Lock()  # guards all below
        self._ring = CropRing(keep_crops_s, clock)
        self._records: dict[tuple[str, int], HitRecord] = {}
        self._index: Index | None = None
        self._renaming: Renaming | None = None
        self._least_version = 0  # of a gallery that has the names of now
        self._last_number = 0
        self._edition = 0

    def take(self, step: Step, policy: MatchPolicy) -> None:
        """Take in what a frame brought, decided by this policy."""
        before = self._cameras.get(step.camera)
        number, trails = before.number + 1 if before else 1, self._follow(step)
        with self._lock:
            for crop, embedding in zip(step.crops, step.embeddings, strict=True):
                self._ring.put(step.camera, crop, embedding)
            noted = [self._note(step.camera, hit, policy) for hit in step.hits]
        self._keep(filter(None, noted))
        self.tidy(policy.index)
        self._cameras[step.camera] = CameraView(step, trails, number, self._clock())

    def camera(self, name: str) -> CameraView | None:
        """The newest of a camera; None: it has given nothing yet."""
        return self._cameras.get(name)

    @property
    def edition(self) -> int:
        """Rises whenever `hits` changes."""
        return self._edition

    @property
    def hits(self) -> tuple[HitRecord, ...]:
        """The newest hits, one a track, newest first."""
        with self._lock:
            return tuple(reversed(self._records.values()))

    def hit(self, number: int) -> HitRecord | None:
        """The hit of this number; None: there is none, or not any more."""
        return next((record for record in self.hits if record.number == number), None)

    @property
    def crops(self) -> tuple[KeptCrop, ...]:
        """All that are kept, oldest first."""
        with self._lock:
            return self._ring.all

    def crops_of(self, camera: str, track_id: int) -> tuple[KeptCrop, ...]:
        """The crops of a track that are kept, by falling quality."""
        theirs = (crop for crop in self.crops if (crop.camera, crop.track_id) == (camera, track_id))
        return tuple(sorted(theirs, key=lambda crop: -crop.embedding.quality))

    def rename(self, name: str, new: str, version: int) -> RenamedHits:
        """Have the hits of a person go on under another name.

        Args:
            name: until now.
            new: from now on.
            version: of the gallery that has it. What the agent decides by an older one until it
                has read that is of the new name too, and nobody is gone by it.

        Returns:
            What they said until now, for `take_names_back`.
        """
        with self._lock:
            self._renaming, self._least_version = Renaming(name, new, version), version
            live = {
                key: record.naming for key, record in self._records.items() if name in record.names
            }
            self._records = {
                key: record.renamed(name, new) for key, record in self._records.items()
            }
            self._edition += 1
        return RenamedHits(
            name, new, live, self._kept.rename(name, new, version) if self._kept else {}
        )

    def take_names_back(self, renamed: RenamedHits, version: int) -> None:
        """Have hits say what they said before a person got the name of another, but for those that
        were decided anew since.

        Args:
            renamed: what `rename` returned.
            version: of the gallery in which both are there again.
        """
        with self._lock:
            self._renaming, self._least_version = None, version
            self._records = {
                key: record.with_naming(renamed.restored(record.naming, renamed.live.get(key)))
                for key, record in self._records.items()
            }
            self._edition += 1
        if self._kept:
            self._kept.take_names_back(renamed, version)

    def forget_crops(self) -> None:
        """Let go all crops, at once."""
        with self._lock:
            self._ring.clear()
            nothing: frozenset[str] = frozenset()
            self._records = {
                key: record.with_files(nothing) for key, record in self._records.items()
            }
            self._drop_crops(lambda _: True)
        if self._kept:
            self._kept.clear()

    def tidy(self, index: Index) -> None:
        """Let go the crops that are too old, and the names of people who are not in the gallery any
        more; also called while no frame comes.
        """
        oldest_s = self._clock() - self._keep_crops_s
        with self._lock:
            if index is not self._index and not self._is_from_before(index):
                self._index = index
                self._forget_gone(index)
            self._ring.age()
            self._drop_crops(lambda record: record.received_s <= oldest_s)

    def drop_files(self, kept: Container[str]) -> None:
        """Forget the names of files that are kept no more, of crops that are in no memory."""
        with self._lock:
            for key, record in self._records.items():
                lost = [crop for crop in record.crops if not crop.jpeg and crop.file]
                if any(crop.file not in kept for crop in lost):
                    self._records[key] = record.with_files(kept)
                    self._edition += 1

    def note_taken_back(self, names: Container[PublishedName]) -> None:
        """Have the hits that gave these names say that they were wrong."""
        with self._lock:
            wrong = {
                key: replace(record, is_taken_back=True)
                for key, record in self._records.items()
                if record.published_name in names and not record.is_taken_back
            }
            self._records |= wrong
            self._edition += len(wrong)
        self._keep(wrong.values())

    def _keep(self, records: Iterable[HitRecord]) -> None:
        """Outside of the lock: a slow card holds up nobody who looks."""
        if self._kept:
            for record in records:
                self._kept.keep(record)

    def _follow(self, step: Step) -> dict[int, tuple[Point, ...]]:
        """Have the trails of those in view go on; of others none is kept."""
        before = self._trails.get(step.camera, {})
        after = {}
        for track in step.tracks:
            trail = before.get(track.track_id, deque(maxlen=_TRAIL_POINTS))
            trail.append((track.box.centre[0], track.box.y2))
            after[track.track_id] = trail
        self._trails[step.camera] = after
        return {track_id: tuple(trail) for track_id, trail in after.items()}

    def _note(self, camera: str, hit: Hit, policy: MatchPolicy) -> HitRecord | None:
        """Returns what is noted; None: the person was removed while the hit was on its way."""
        key = camera, hit.track_id
        before = self._records.get(key)
        if isinstance(hit.decision, Known) and hit.decision.identity not in policy.index:
            return None
        if before is None:
            self._last_number += 1
        number = before.number if before else self._last_number
        record = record_of(
            hit, policy, self._ring, number=number, camera=camera, now_s=self._clock()
        )
        record = record.after(self._renaming)
        if self._kept:
            record = self._kept.named(record, before)
        if hit.type is not HitType.END:
            self._records.pop(key, None)  # it moves to the front
        self._records[key] = record
        for oldest in list(self._records)[:-MOST_HITS]:
            del self._records[oldest]
        self._edition += 1
        return record

    def _is_from_before(self, index: Index) -> bool:
        """Whether a gallery is older than the names of now."""
        return index.version < self._least_version

    def _forget_gone(self, index: Index) -> None:
        kept = {key: record.among(index) for key, record in self._records.items()}
        for camera, track_id in (key for key, record in kept.items() if record is None):
            self._ring.forget(camera, track_id)
        self._records = {key: record for key, record in kept.items() if record}
        self._edition += 1

    def _drop_crops(self, is_meant: Callable[[HitRecord], bool]) -> None:
        for key, record in self._records.items():
            if is_meant(record) and any(crop.jpeg for crop in record.crops):
                self._records[key] = record.without_crops()
                self._edition += 1
