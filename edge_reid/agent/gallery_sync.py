"""Keeps the gallery of a device up to date, beside the frames.

A thread fetches, checks and loads a new version; the finished index is taken between two frames.
The disk is looked at as well: `gallery rollback`, or another agent on this device, may have put
another version in force.

Where nobody names an embedding model, a gallery of another shipped one is put in force, too: on the
disk. Then the agent is to be started anew, with that model; until then it goes on as it was.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeAlias

import numpy as np

from edge_reid.core.config.agent_settings import AgentSettings
from edge_reid.core.config.sync_settings import GallerySyncSettings
from edge_reid.core.errors import (
    BrokerError,
    DamagedError,
    EdgeReidError,
    GalleryError,
    ModelChangeError,
    ModelError,
    NoRoomError,
    SnapshotError,
)
from edge_reid.core.interpreter_turns import frames_soon_have_their_turn
from edge_reid.core.manifest import EmbeddingManifest, model_in_words
from edge_reid.core.types import GallerySnapshot
from edge_reid.gallery.gallery_head import Head, TrustPolicy, open_head
from edge_reid.gallery.gallery_install import LoadedGallery, install, load_held, nothing_to_fetch
from edge_reid.gallery.gallery_model import sound_shipped_model
from edge_reid.gallery.replica import Replica, StoredVersion
from edge_reid.matching.gallery_thresholds import GalleryThresholds
from edge_reid.matching.index import Index
from edge_reid.signing.keys import read_public_key
from edge_reid.signing.transport import PublicationSource
from edge_reid.transfer.gallery_transfer import open_gallery_source

_log = logging.getLogger(__name__)

TURN_S = 1.0
"""Longest wait for the source before looking at the disk, and at whether to stop."""
FIRST_WAIT_S = 10.0
"""A device that has no gallery at all waits so long for its first before its first frame."""
FAREWELL_S = 2.0
STRETCH_S = 0.002
"""Of work on a new gallery, then a rest."""
REST = 3
"""So many times as long."""

OtherModels = Callable[[str], EmbeddingManifest | None]
"""The manifest of a model, by its id, that the agent may go over to; None: it has none of that id.

Raises ModelError if it is not sound.
"""

_Loaded: TypeAlias = dict[StoredVersion, LoadedGallery]
_Unusable: TypeAlias = dict[StoredVersion, EdgeReidError]
"""Why, by version."""


def no_other_model(_model_id: str) -> None:
    """Somebody named the model of this agent."""


@dataclass(frozen=True, slots=True)
class SyncState:
    """How the sync stands."""

    version: int = 0
    """Loaded last; the pipeline has it a frame later."""
    created_utc_s: float | None = None
    checked_utc_s: float | None = None
    refused: str | None = None
    purged_through: int = 0


class _Courtesy:
    """Keeps a thread that has much to do from holding up the frames: it rests after every stretch
    of work, for a few times as long.
    """

    def __init__(self) -> None:
        self._worked_s = time.thread_time()

    def pause(self) -> None:
        """Rest, if it is time; of the thread that made it."""
        worked_s = time.thread_time() - self._worked_s
        if worked_s >= STRETCH_S:
            time.sleep(REST * worked_s)
            self._worked_s = time.thread_time()


class GallerySync:
    """A gallery that follows its source. `with` starts and stops it; opening loads what is held.

    Args:
        settings: `gallery` is the path of the replica.
        pinned: what a gallery must be.
        source: where it comes from.
        fuse: whether the templates of a person are fused (`Index`).
        other_models: those of which galleries are put in force, too.
    """

    def __init__(
        self,
        path: Path,
        settings: GallerySyncSettings,
        pinned: TrustPolicy,
        source: PublicationSource,
        *,
        fuse: bool = False,
        other_models: OtherModels = no_other_model,
    ) -> None:
        self.source_name = settings.source
        self.state = SyncState()
        """How it stands; another value takes its place, from the thread."""
        self._path = path
        self._settings = settings
        self._pinned = pinned
        self._source = source
        self._fuse = fuse
        self._other_models = other_models
        self._ready: deque[Index] = deque(maxlen=1)  # to be taken between two frames
        self._successor: Head | None = None  # of another model, and in force on the disk
        self._disk_due_s = 0.0
        self._must_reopen = False  # the replica: it is damaged, or was opened on a full disk
        self._concluded = threading.Event()  # an attempt is over
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="gallery sync", daemon=True)
        self.first, self.gone = self._load_first()
        """The gallery to begin with, and the names that the one before it had and it has not."""

    @classmethod
    def open(cls, settings: AgentSettings, manifest: EmbeddingManifest) -> GallerySync | None:
        """As the settings say; None when the gallery is the device's own.

        Raises:
            UsageError: the public key, or a file that the source needs, cannot be read.
            GalleryError: the replica cannot be opened or made.
        """
        sync = settings.gallery_sync
        if sync is None:
            return None
        pinned = TrustPolicy(
            read_public_key(sync.public_key),
            settings.site,
            manifest.model_id,
            manifest.dimension,
            sync.max_bytes,
            sync.least_version,
        )
        source = open_gallery_source(sync, settings)
        others = partial(sound_shipped_model, settings.models)
        return cls(
            settings.gallery,
            sync,
            pinned,
            source,
            fuse=GalleryThresholds.of(manifest).fuse,
            other_models=no_other_model if settings.models.names_embedding else others,
        )

    def __enter__(self) -> GallerySync:
        frames_soon_have_their_turn()
        self._thread.start()
        if not self.state.version:
            self._concluded.wait(FIRST_WAIT_S)
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join(FAREWELL_S)

    @property
    def thread_id(self) -> int:
        """Of the running thread, for measurements."""
        return self._thread.ident or 0

    def look_now(self, patience_s: float) -> SyncState:
        """Look at the source at once; returns what came of it.

        Raises:
            SnapshotError: it did not answer in time, or what it has is refused.
        """
        self._concluded.clear()
        self._source.trigger()
        if not self._concluded.wait(patience_s):
            raise SnapshotError(
                f"gallery {self.source_name}: expected an answer within {patience_s:g} s, got none;"
                " is a gallery published there?"
            )
        if self.state.refused:
            raise SnapshotError(self.state.refused)
        return self.state

    def take(self) -> Index | None:
        """A gallery that has come into force since the last call."""
        return self._ready.pop() if self._ready else None

    @property
    def model_change(self) -> str | None:
        """In words, if a gallery of another model has been put in force on the disk."""
        head = self._successor
        if head is None:
            return None
        return (
            f"gallery version {head.version} is of embedding model {model_in_words(head.model_id)},"
            " which the agent takes when it starts anew, as models.embedding names none"
        )

    def check_model(self) -> None:
        """Raise ModelChangeError if a gallery of another model has been put in force."""
        if change := self.model_change:
            raise ModelChangeError(change)

    def _load_first(self) -> tuple[Index, frozenset[str]]:
        loaded, unusable = self._load_held()
        ours = [held for held, its in loaded.items() if its.head.model_id == self._pinned.model_id]
        self._tell_of_unusable(unusable, ours)
        if not ours:
            return Index(self._nobody(), fuse=self._fuse), frozenset()
        first = loaded[ours[0]]
        self._note_loaded(first)
        names = (its.snapshot.identities for its in loaded.values())
        gone = frozenset().union(*names).difference(first.snapshot.identities)
        return Index(first.snapshot, fuse=self._fuse), gone

    def _load_held(self) -> tuple[_Loaded, _Unusable]:
        """All that can be loaded of what is on the disk, the version in force first, and why the
        others cannot; nothing while a full one has none.
        """
        try:
            with Replica.open(self._path) as replica:
                self.state = replace(self.state, purged_through=replica.purged_through)
                found = {held: self._load_or_why(held, replica) for held in replica.held}
        except NoRoomError as error:
            self._refuse(error)
            found = {}
        loaded = {held: its for held, its in found.items() if isinstance(its, LoadedGallery)}
        unusable = {held: why for held, why in found.items() if isinstance(why, EdgeReidError)}
        return loaded, unusable

    def _load_or_why(self, held: StoredVersion, replica: Replica) -> LoadedGallery | EdgeReidError:
        try:
            return self._load(held, replica)
        except (SnapshotError, ModelError) as error:
            return error

    def _load(self, held: StoredVersion, replica: Replica) -> LoadedGallery:
        """A version to begin with. One that is kept may be of any model: its names are wanted.

        Raises:
            SnapshotError: it is damaged, or of a model that this agent has not.
            ModelError: it has it, and it is not sound.
        """
        if held.left_utc_s is None:
            pinned = self._pinned_for(held.sealed)
        else:
            head = open_head(held.sealed, self._pinned.key)
            pinned = self._pinned.of_model(head.model_id, head.dimension)
        return load_held(held, nothing_to_fetch, replica, pinned)

    def _tell_of_unusable(self, unusable: _Unusable, ours: Sequence[StoredVersion]) -> None:
        """Say what cannot be used of what is on the disk, and what is used in its place.

        Args:
            unusable: why, by version.
            ours: versions that can be used, the one that is first.
        """
        instead = "nobody is recognised"
        if ours:
            kept = "" if ours[0].left_utc_s is None else ", kept from before,"
            instead = f"version {ours[0].version}{kept} is used"
        for held, error in unusable.items():
            _log.error("gallery version %d on this disk: %s (%s)", held.version, error, instead)
            if held.left_utc_s is None:
                self.state = replace(self.state, refused=str(error))

    def _nobody(self) -> GallerySnapshot:
        return GallerySnapshot(
            identities=(),
            labels=np.empty(0, np.int32),
            vectors=np.empty((0, self._pinned.dimension), np.float32),
            model_id=self._pinned.model_id,
            version=0,
        )

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                with Replica.open(self._path) as replica:
                    self._follow(replica)
            except Exception as error:
                self._refuse(error)
            self._concluded.set()
            self._stopping.wait(TURN_S)
        self._source.close()

    def _follow(self, replica: Replica) -> None:
        self._must_reopen, self._disk_due_s = False, 0.0
        while not (self._stopping.is_set() or self._must_reopen):
            self._turn(replica)

    def _turn(self, replica: Replica) -> None:
        try:
            self._look_at_disk(replica)
            sealed = self._source.news(TURN_S)
            if sealed is not None:
                self._take(sealed, replica)
        except EdgeReidError as error:
            self._note_disk(error)
            self._refuse(error)
            self._stopping.wait(min(TURN_S, self._settings.poll_s))

    def _note_disk(self, error: EdgeReidError) -> None:
        """Opening repairs a damaged replica, and takes note of room that there is again."""
        self._must_reopen |= isinstance(error, (DamagedError, NoRoomError))

    def _take(self, sealed: bytes, replica: Replica) -> None:
        now_utc_s = time.time()
        arrived = install(
            sealed,
            self._source.fetch,
            replica,
            self._pinned_for(sealed),
            now_utc_s=now_utc_s,
            pause=_Courtesy().pause,
        )
        if arrived:
            self._offer(arrived)
        held, highest = replica.in_force, replica.highest
        is_newest = held is not None and held.version == highest
        self._note(
            checked_utc_s=now_utc_s,
            refused=None if is_newest else f"version {highest} was rolled back on this device",
        )
        self._concluded.set()

    def _look_at_disk(self, replica: Replica) -> None:
        """Load what others have put in force, and wipe what was kept long enough."""
        if time.monotonic() < self._disk_due_s:
            return
        self._disk_due_s = time.monotonic() + TURN_S + self._settings.poll_s  # should it fail
        held = replica.in_force
        known = self._successor.version if self._successor else self.state.version
        try:
            if held and held.version != known:
                self._offer(self._load_or_fetch(held, replica))
        except (SnapshotError, ModelError):  # what was kept before it goes all the same
            self._wipe(replica)
            self._let_go_of_wiped(replica)
            raise
        if self._wipe(replica):
            self._disk_due_s = time.monotonic() + TURN_S

    def _wipe(self, replica: Replica) -> bool:
        """Overwrite what was kept long enough. Whatever is wrong with the disk, the source is asked
        all the same, as somebody's erasure may lie there; and this one is not confirmed.
        """
        try:
            replica.purge(keep_s=self._settings.keep_previous_s, now_utc_s=time.time())
        except SnapshotError as error:
            _log.warning("gallery sync: %s", error)
            if held := replica.in_force:
                self._load_or_fetch(held, replica)
            return False
        except GalleryError as error:
            self._note_disk(error)
            _log.warning("gallery sync: old versions are not wiped yet: %s", error)
            return False
        if replica.purged_through != self.state.purged_through:
            self._note(purged_through=replica.purged_through)
        return True

    def _let_go_of_wiped(self, replica: Replica) -> None:
        """Recognise nobody by a version that is wiped, where that in force is of a model that this
        agent has not: it would not have the older one either if it started now.
        """
        held = replica.held
        if self.state.version in {0, *(version.version for version in held)}:
            return
        if open_head(held[0].sealed, self._pinned.key).model_id == self._pinned.model_id:
            return  # it may yet be mended
        _log.warning(
            "gallery version %d, kept from before, is wiped: nobody is recognised until a gallery "
            "of this agent's model comes",
            self.state.version,
        )
        self._ready.append(Index(self._nobody(), fuse=self._fuse))
        self._note(version=0, created_utc_s=None)

    def _load_or_fetch(self, held: StoredVersion, replica: Replica) -> LoadedGallery:
        fetch, pause = self._source.fetch, _Courtesy().pause
        return load_held(held, fetch, replica, self._pinned_for(held.sealed), pause=pause)

    def _pinned_for(self, sealed: bytes) -> TrustPolicy:
        """What a gallery must be: of our model or, as far as that is left to it, of its own.

        Raises:
            SnapshotError: its head is none.
            ModelError: that other model is not sound.
        """
        model_id = open_head(sealed, self._pinned.key).model_id
        other = None if model_id == self._pinned.model_id else self._other_models(model_id)
        return self._pinned.of_model(model_id, other.dimension) if other else self._pinned

    def _offer(self, arrived: LoadedGallery) -> None:
        if arrived.head.model_id != self._pinned.model_id:
            self._successor = arrived.head
            _log.warning("%s", self.model_change)
            return
        self._successor = None
        self._ready.append(Index(arrived.snapshot, fuse=self._fuse))
        self._note_loaded(arrived)
        _log.info("gallery version %d is in force", arrived.head.version)

    def _note_loaded(self, arrived: LoadedGallery) -> None:
        self.state = replace(
            self.state, version=arrived.head.version, created_utc_s=arrived.head.created_utc_s
        )

    def _refuse(self, error: Exception) -> None:
        """Say why the newest version is not in force; the log hears it when it is news, but for
        trouble with the broker, which is said by who publishes there.
        """
        is_bug = not isinstance(error, EdgeReidError)
        reason = f"unexpected {type(error).__name__}: {error}" if is_bug else str(error)
        if reason != self.state.refused and not isinstance(error, BrokerError):
            _log.warning("gallery sync: %s", reason, exc_info=error if is_bug else None)
        self._note(refused=reason)
        self._concluded.set()

    def _note(self, **news: object) -> None:
        self.state = replace(self.state, **news)  # type: ignore[arg-type]
