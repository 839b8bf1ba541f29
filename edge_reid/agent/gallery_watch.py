"""Follows the gallery file of a device that has a gallery of its own, beside the frames.

Whoever is enrolled or removed while the agent runs is so for the agent within seconds: a thread
looks at the file's size and times, which wears no card, reads the gallery only when they have
changed, and the finished index is taken between two frames. A gallery that cannot be read
changes nothing: the one before stays in force, and the log says why.
"""

from __future__ import annotations

import hashlib
import logging
import os
import threading
import time
from collections import deque
from pathlib import Path
from typing import TypeAlias

from edge_reid.core.errors import GalleryError
from edge_reid.core.types import GallerySnapshot
from edge_reid.gallery.store import GalleryStore
from edge_reid.matching.index import Index

_log = logging.getLogger(__name__)

LOOK_S = 1.0
"""Between two looks at the file."""
SETTLED_S = 3.0
"""Two changes may leave the same time on a file system that counts in ticks or in seconds; so one
that was this fresh when it was read is read once more."""
RETRY_S = 10.0
"""Until a gallery that could not be read is tried again, unless its file changes before that."""
REST = 5
"""After reading, so many times as long without reading: somebody may be enrolling hundreds."""
FAREWELL_S = 2.0

_Marks: TypeAlias = tuple[tuple[int, int, int, int] | None, ...]


class GalleryWatch:
    """The gallery of a file, as it is now. `with` starts and stops following it.

    Args:
        path: of the gallery.
        model_id: the model it must belong to.
        fuse: whether the templates of a person are fused (`Index`).
        look_s: between two looks at the file.

    Raises:
        GalleryError: it cannot be read at the start.
    """

    def __init__(
        self, path: Path, model_id: str, *, fuse: bool = False, look_s: float = LOOK_S
    ) -> None:
        self._path = path
        self._model_id = model_id
        self._fuse = fuse
        self._look_s = look_s
        self._ready: deque[Index] = deque(maxlen=1)  # to be taken between two frames
        self._seen = _marks(path)  # before reading: a change meanwhile is then noticed
        self._again_s: float | None = None  # when to read whatever the marks say
        self._rest_until_s = 0.0
        self._complaint = ""
        snapshot = self._read()
        self._content = _digest(snapshot)
        self.first = Index(snapshot, fuse=self._fuse)
        """The gallery to begin with."""
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="gallery watch", daemon=True)

    def __enter__(self) -> GalleryWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join(FAREWELL_S)

    def take(self) -> Index | None:
        """A gallery that differs from the one before, read since the last call."""
        return self._ready.pop() if self._ready else None

    def _run(self) -> None:
        while not self._stopping.wait(self._look_s):
            self._turn()

    def _turn(self) -> None:
        try:
            self._look()
        except GalleryError as error:
            self._complain(str(error))
        except Exception as error:
            self._complain(f"unexpected {type(error).__name__}: {error}", error)

    def _look(self) -> None:
        marks, now_s = _marks(self._path), time.monotonic()
        is_due = self._again_s is not None and now_s >= self._again_s
        if now_s < self._rest_until_s or (marks == self._seen and not is_due):
            return
        self._seen, self._again_s = marks, now_s + RETRY_S  # should it fail
        snapshot = self._read()
        self._again_s = None if is_due else now_s + SETTLED_S
        self._rest_until_s = time.monotonic() + REST * (time.monotonic() - now_s)
        self._complaint = ""
        self._offer(snapshot)

    def _read(self) -> GallerySnapshot:
        with GalleryStore.open(self._path, model_id=self._model_id) as store:
            return store.snapshot()

    def _offer(self, snapshot: GallerySnapshot) -> None:
        content = _digest(snapshot)
        if content == self._content:
            return
        self._content = content
        self._ready.append(Index(snapshot, fuse=self._fuse))
        _log.info("gallery version %d is in force", snapshot.version)

    def _complain(self, reason: str, bug: Exception | None = None) -> None:
        if reason != self._complaint:
            _log.error("%s (the gallery of before stays in force)", reason, exc_info=bug)
        self._complaint = reason


def _marks(path: Path) -> _Marks:
    """What every change of the file, or of its log, changes."""
    return tuple(_mark(file) for file in (path, path.with_name(f"{path.name}-wal")))


def _mark(path: Path) -> tuple[int, int, int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116 - called every second
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _digest(snapshot: GallerySnapshot) -> bytes:
    """The same for the same people under the same number: another file may have that number."""
    digest = hashlib.sha256(repr((snapshot.version, snapshot.identities)).encode())
    digest.update(snapshot.labels.tobytes())
    digest.update(snapshot.vectors.tobytes())
    return digest.digest()
