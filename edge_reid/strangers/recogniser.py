"""Knows people again who are not enrolled, and gives each an anonymous name.

A track that is decided unknown is compared with everybody unknown who was seen before: its mean,
weighted by quality, with theirs. Whoever is nearest is meant, if near enough by the same rule as an
identity: a threshold from the model's impostor similarities, for as many comparisons as are made.

| event | `stranger` |
|---|---|
| `new` | who it is, if seen before |
| `update` | the same, of a track that has swapped people with another one it met |
| `end` | the same; else who the whole track shows, or the name of somebody new |

So nobody is made of a track that turns out to be known, and a name once told stays the track's,
but that of a track that has swapped people. A track that continues a visit has the name of the
visit, though both may have been in view for a while.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from operator import itemgetter

import numpy as np

from edge_reid.core.config.agent_settings import AgentSettings
from edge_reid.core.config.decide_settings import StrangerSettings
from edge_reid.core.errors import GalleryError, NoRoomError
from edge_reid.core.manifest import EmbeddingManifest
from edge_reid.core.types import Hit, HitType, Known, Vector
from edge_reid.matching.fusion import mean_vector
from edge_reid.matching.threshold import Quantiles, threshold_for
from edge_reid.strangers.heard_stranger import Others, nobody_else
from edge_reid.strangers.stranger import Stranger, Visit
from edge_reid.strangers.stranger_store import StrangerStore

PURGE_INTERVAL_S = 60.0
"""Somebody may be kept for so much longer than the settings say."""
HANDOVER_S = 1.0
"""Two tracks of one person may overlap so long, when the second takes over from the first."""
VISITS_KEPT = 256
"""Names of visits that have ended: of the newest so many it is known which track continues them."""
NOT_KNOWN_AGAIN = "unknown people are not known again"
KEPT_TOO_LONG = "unknown people are kept too long"

_OwnAndOthers = tuple[Sequence[Stranger], Sequence[Stranger]]
"""People whom this device has seen, and those of whom others have told."""
_log = logging.getLogger(__name__)


class StrangerRecogniser:
    """Between the decisions of one camera and the world.

    A file that fails costs names, never events: that is logged, and the agent runs on.

    Args:
        store: who was seen before; other agents of the device may write to it too. None: it is made
            by `open_store` once there is room.
        settings: how long, how many, and how strict.
        camera: this camera.
        origin: what tells this device from others.
        impostor_quantiles: of the model.
        purges: whether to forget people while it runs; a file is over before anybody is due, and
            must give the same events in every run.
        clock: Unix seconds of the device.
        others: whom other devices of the site have told of.
    """

    def __init__(
        self,
        store: StrangerStore | None,
        settings: StrangerSettings,
        *,
        camera: str,
        origin: str,
        impostor_quantiles: Quantiles,
        purges: bool,
        clock: Callable[[], float] = time.time,
        open_store: Callable[[], StrangerStore] | None = None,
        others: Others = nobody_else,
    ) -> None:
        self._opened = store
        self._others = others
        self._open_store = open_store
        self._settings = settings
        self._camera = camera
        self._origin = origin
        self._quantiles = impostor_quantiles
        self._purges = purges
        self._clock = clock
        self._told: dict[int, str] = {}  # by track_id, of tracks that have not ended
        self._visits: dict[int, str] = {}  # by the track it began as, of visits with an end
        self._known: tuple[Stranger, ...] = ()
        self._edition: int | None = None  # of the file, when we read it
        self._purge_due_s = time.monotonic() + PURGE_INTERVAL_S
        self._complaints: set[str] = set()  # made, and nothing has gone well since

    @classmethod
    def open(
        cls,
        settings: AgentSettings,
        manifest: EmbeddingManifest,
        *,
        camera: str,
        is_live: bool,
        stack: ExitStack,
        others: Others = nobody_else,
    ) -> StrangerRecogniser | None:
        """As the settings say; None when nobody is to be remembered.

        Raises:
            GalleryError: the file cannot be opened or made.
            ModelError: the model says nothing of impostors to take a threshold from.
        """
        if settings.strangers is None:
            return None
        threshold_for(manifest.impostor_quantiles, settings.strangers.target_fpir, 1)

        def open_store() -> StrangerStore:
            assert settings.strangers is not None  # noqa: S101 - asked above
            store = StrangerStore.open_or_make(
                settings.strangers_path,
                model_id=manifest.model_id,
                dimension=manifest.dimension,
                keep_s=settings.strangers.keep_s,
            )
            return stack.enter_context(store)

        try:
            store = open_store()
        except NoRoomError as error:
            _log.error("%s: %s", NOT_KNOWN_AGAIN, error)
            store = None
        return cls(
            store,
            settings.strangers,
            camera=camera,
            origin=f"{settings.site}/{settings.agent}",
            impostor_quantiles=manifest.impostor_quantiles,
            purges=is_live,
            open_store=open_store,
            others=others,
        )

    @property
    def _store(self) -> StrangerStore:
        """The file; raises GalleryError while there is no room for one."""
        if self._opened is None:
            assert self._open_store is not None, "one or the other is given"  # noqa: S101
            self._opened = self._open_store()
        return self._opened

    def assign(self, hits: Sequence[Hit], min_crops: int) -> tuple[Hit, ...]:
        """The hits in their order, those of unknown people with their names where they have one.

        Args:
            hits: of one frame.
            min_crops: a track of fewer crops is too little to know anybody by.
        """
        for hit in hits:
            if hit.type is HitType.UPDATE:  # it may have swapped people with another track
                self._told.pop(hit.track_id, None)
        return tuple(self._named(hit, min_crops) for hit in hits)

    def forget_due(self) -> None:
        """Overwrite whoever was not seen for too long; now and then, also when no frame comes."""
        if self._purges and time.monotonic() >= self._purge_due_s:
            self._purge()

    def _named(self, hit: Hit, min_crops: int) -> Hit:
        if isinstance(hit.decision, Known):
            self._told.pop(hit.track_id, None)
            return hit
        told = self._told.get(hit.track_id)
        try:
            name = (self._at_end if hit.type is HitType.END else self._at_first)(hit, min_crops)
        except GalleryError as error:
            self._complain(NOT_KNOWN_AGAIN, error)
            return replace(hit, stranger=told)
        return replace(hit, stranger=name)

    def _at_first(self, hit: Hit, min_crops: int) -> str | None:
        """Who it is, unless whoever is nearest is in view elsewhere: then the end will tell."""
        if visitor := self._name_of_visit(hit):
            self._told[hit.track_id] = visitor
            return visitor
        nearest = self._nearest(hit, self._lately_seen(hit), min_crops)
        if nearest is None or self._is_elsewhere(nearest, hit):
            return None
        self._told[hit.track_id] = nearest.name
        return nearest.name

    def _at_end(self, hit: Hit, min_crops: int) -> str | None:
        told = self._told.pop(hit.track_id, None)
        name = self._met(hit, told, min_crops)
        if name:
            self._keep_name(hit, name)
        return name

    def _met(self, hit: Hit, told: str | None, min_crops: int) -> str | None:
        """The name of whoever an ended track shows; that they were here is written down."""
        name = told or self._name_of_visit(hit) or self._whom_it_shows(hit, min_crops)
        visit = Visit(self._camera, hit.first_seen_utc_s, hit.last_seen_utc_s, hit.embeddings)
        now_utc_s, self._edition = self._clock(), None
        others = self._others()
        present = others.renamed.get(name, name) if name else None
        if present and self._store.meet_again(present, visit, now_utc_s=now_utc_s):
            self._complaints.discard(NOT_KNOWN_AGAIN)
            return name
        is_anothers = present is not None and others.has(present)
        if (told or hit.decision.crops < min_crops) and not is_anothers:
            return told  # they were forgotten or merged meanwhile
        given = self._store.meet(
            visit,
            origin=self._origin,
            now_utc_s=now_utc_s,
            max_people=self._settings.max_people,
            named=present if is_anothers else None,
        )
        self._complaints.discard(NOT_KNOWN_AGAIN)
        return told or given

    def _name_of_visit(self, hit: Hit) -> str | None:
        """The name of the visit that a track continues, if that has one."""
        return None if hit.continues is None else self._visits.get(hit.continues)

    def _keep_name(self, hit: Hit, name: str) -> None:
        began_as = hit.track_id if hit.continues is None else hit.continues
        self._visits.pop(began_as, None)
        self._visits[began_as] = name
        for oldest in tuple(self._visits)[:-VISITS_KEPT]:
            del self._visits[oldest]

    def _whom_it_shows(self, hit: Hit, min_crops: int) -> str | None:
        own, others = self._lately_seen(hit)
        free = [each for each in own if not self._is_elsewhere(each, hit)]
        free_others = [each for each in others if not self._is_elsewhere(each, hit)]
        nearest = self._nearest(hit, (free, free_others), min_crops)
        return nearest.name if nearest else None

    def _nearest(self, hit: Hit, people: _OwnAndOthers, min_crops: int) -> Stranger | None:
        """The nearest of these people, if near enough to be meant. Those of other devices, whose
        cameras show people otherwise, have a rate of their own.
        """
        vector = mean_vector(hit.embeddings, self._store.model_id)
        if vector is None or hit.decision.crops < min_crops:
            return None
        settings = self._settings
        rates = settings.target_fpir, settings.share_target_fpir
        found = [self._nearest_of(vector, *each) for each in zip(people, rates, strict=True)]
        _, nearest = max(found, key=itemgetter(0))
        return nearest

    def _nearest_of(
        self, vector: Vector, people: Sequence[Stranger], target_fpir: float
    ) -> tuple[float, Stranger | None]:
        """Similarity and person; None when nobody is near enough."""
        if not people:
            return -1.0, None
        similarities = np.stack([each.vector for each in people]) @ vector
        nearest = int(similarities.argmax())
        is_near = similarities[nearest] >= threshold_for(self._quantiles, target_fpir, len(people))
        return (float(similarities[nearest]), people[nearest]) if is_near else (-1.0, None)

    def _lately_seen(self, hit: Hit) -> _OwnAndOthers:
        edition = self._store.edition  # before reading: a change meanwhile is then noticed
        if self._edition != edition:
            self._known, self._edition = self._store.strangers(), edition
        own, others = (
            [
                each
                for each in people
                if abs(hit.first_seen_utc_s - each.last_seen_utc_s) <= self._settings.keep_s
            ]
            for people in (self._known, self._others().strangers)
        )
        return own, others

    def _is_elsewhere(self, stranger: Stranger, hit: Hit) -> bool:
        """Whether another track of this camera shows them at the same time."""
        overlap_s = stranger.last_seen_utc_s - hit.first_seen_utc_s
        return (stranger.camera == self._camera and overlap_s > HANDOVER_S) or any(
            name == stranger.name
            for track_id, name in self._told.items()
            if track_id != hit.track_id
        )

    def _purge(self) -> None:
        self._purge_due_s = time.monotonic() + PURGE_INTERVAL_S
        self._edition = None
        try:
            self._store.purge(self._clock())
        except GalleryError as error:
            self._complain(KEPT_TOO_LONG, error)
        else:
            self._complaints.discard(KEPT_TOO_LONG)

    def _complain(self, trouble: str, error: GalleryError) -> None:
        if trouble not in self._complaints:  # once: a full disk has no room for a long log
            _log.error("%s: %s", trouble, error)
        self._complaints.add(trouble)
