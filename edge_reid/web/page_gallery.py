"""The gallery of this device, as the page looks at it and changes it.

One change comes after the other, in a thread of its own, by the functions of the verbs.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from typing import TypeVar

from edge_reid.core.config.agent_settings import AgentSettings
from edge_reid.core.errors import GalleryError
from edge_reid.core.manifest import EmbeddingManifest, load_embedding_manifest
from edge_reid.core.types import Template
from edge_reid.enrolment.gallery_examination import examine_gallery
from edge_reid.enrolment.photo_embedding import PhotoEmbedder
from edge_reid.gallery.complaints import Complaints
from edge_reid.gallery.findings import Finding
from edge_reid.gallery.store import GalleryStore

UNDO_S = 600.0
"""How long the last change can be taken back; then what it takes for that is forgotten."""
MOST_EXAMINED = 5000
"""Templates; of more, all pairs would take the device away from its cameras."""

Result = TypeVar("Result")
Undo = Callable[[GalleryStore], object]


@dataclass(frozen=True, slots=True, eq=False)
class GalleryChange:
    """A change that was made."""

    words: str
    undo: Undo | None = None
    """Takes it back; None: it cannot be."""


@dataclass(frozen=True, slots=True, eq=False)
class LastChange:
    """The newest change of the page."""

    number: int
    words: str
    undo: Undo | None
    version: int
    """Of the gallery after it."""
    made_s: float
    """Monotonic."""


@dataclass(frozen=True, slots=True, eq=False)
class _Examined:
    of: tuple[int, tuple[Complaints, ...]]
    """Version of the gallery, and what operators have complained of."""
    findings: tuple[Finding, ...] | None


class PageGallery:
    """Of the event loop; what takes time is done in one thread, so that a change is whole before
    the next begins, and one photo is decoded at a time.

    Args:
        settings: of the agent, whose gallery is its own.
        clock: monotonic seconds.
    """

    def __init__(
        self, settings: AgentSettings, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="page gallery")
        self._numbers = count(1)
        self._last: LastChange | None = None
        self._examined: _Examined | None = None

    @cached_property
    def manifest(self) -> EmbeddingManifest:
        """Of the embedding model; it was read when the agent began."""
        return load_embedding_manifest(self._settings.models.embedding)

    def embedder(self) -> PhotoEmbedder:
        """For photos; it loads what it needs, and is let go with them."""
        models = self._settings.models
        return PhotoEmbedder(models.embedding, models.detector)

    async def look(self, see: Callable[[GalleryStore], Result]) -> Result:
        """What a function sees in the gallery.

        Raises:
            GalleryError: it cannot be read.
        """
        return await self._in_worker(lambda: self._seen(see))

    async def change(self, act: Callable[[GalleryStore], GalleryChange]) -> None:
        """Change the gallery; a running agent notices by itself.

        Raises:
            GalleryError: nothing was changed, and why.
        """
        await self._in_worker(lambda: self._changed(act))

    async def undo(self, number: int) -> None:
        """Take the last change back.

        Raises:
            GalleryError: it is not the last any more, or cannot be taken back.
        """
        last = self.last
        if last is None or last.number != number or last.undo is None:
            raise GalleryError(
                "undo: expected the last change of this page, got an older one; look at what is "
                "there now, and change that"
            )
        await self._in_worker(lambda: self._undone(last))

    @property
    def last(self) -> LastChange | None:
        """The last change, for a while."""
        if self._last and self._clock() > self._last.made_s + UNDO_S:
            self._last = None
        return self._last

    def findings(self, store: GalleryStore) -> tuple[Finding, ...] | None:
        """What the doctor finds in the gallery as it is; None: it is too large to be examined here.
        Of the worker; the gallery is compared once for each version and complaint.
        """
        version, complaints = store.version, store.complaints()
        if self._examined is None or self._examined.of != (version, complaints):
            findings = self._examine(store.templates(), complaints)
            self._examined = _Examined((version, complaints), findings)
        return self._examined.findings

    def close(self) -> None:
        """End the worker."""
        self._worker.shutdown(wait=False, cancel_futures=True)

    def _examine(
        self, templates: Sequence[Template], complaints: Sequence[Complaints]
    ) -> tuple[Finding, ...] | None:
        if len(templates) > MOST_EXAMINED:
            return None
        rules = self._settings.decide
        return examine_gallery(templates, self.manifest, rules, complaints=complaints)

    async def _in_worker(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._worker, work)

    def _open(self) -> GalleryStore:
        if source := followed_source(self._settings):
            raise GalleryError(
                f"gallery: expected one of this device's own, got a copy that follows {source}; "
                "change it where it is kept, and publish it"
            )
        return GalleryStore.open(self._settings.gallery, model_id=self.manifest.model_id)

    def _seen(self, see: Callable[[GalleryStore], Result]) -> Result:
        with self._open() as store:
            return see(store)

    def _changed(self, act: Callable[[GalleryStore], GalleryChange]) -> None:
        with self._open() as store:
            change = act(store)
            self._last = LastChange(
                next(self._numbers), change.words, change.undo, store.version, self._clock()
            )

    def _undone(self, last: LastChange) -> None:
        def act(store: GalleryStore) -> GalleryChange:
            if store.version != last.version:
                raise GalleryError(
                    f"undo: expected gallery version {last.version}, got {store.version}, as "
                    "somebody else has changed it since; look at what is there now"
                )
            if last.undo:
                last.undo(store)
            return GalleryChange(f"Taken back: {last.words}")

        self._changed(act)


def followed_source(settings: AgentSettings) -> str | None:
    """Where the gallery of a device comes from, in words; None: it is the device's own."""
    sync = settings.gallery_sync
    if sync is None:
        return None
    return "the broker" if sync.source == "mqtt" else sync.source
