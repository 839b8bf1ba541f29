"""Unknown people from the time when the settings had a section `[strangers]`."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from pathlib import Path

from edge_reid.core.errors import GalleryError
from edge_reid.core.types import Hit
from edge_reid.strangers.stranger_store import StrangerStore

LOOK_INTERVAL_S = 3600.0
"""Somebody may be kept for so much longer than the settings said."""

_log = logging.getLogger(__name__)


class StrangerPurge:
    """In the place of a `StrangerRecogniser` when nobody is to be remembered: forgets who is due.

    The file is not deleted: another agent of the device may have the section, and be using it.

    Args:
        path: where unknown people would be remembered; there need not be anything.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._due_s = time.monotonic()
        self._has_warned = False

    def assign(self, hits: Sequence[Hit], min_crops: int) -> tuple[Hit, ...]:  # noqa: ARG002
        """The hits as they are."""
        return tuple(hits)

    def forget_due(self) -> None:
        """Overwrite whoever was not seen for too long; now and then, also when no frame comes."""
        if time.monotonic() < self._due_s:
            return
        self._due_s = time.monotonic() + LOOK_INTERVAL_S
        if self._path.exists():
            self._look()

    def _look(self) -> None:
        try:
            with StrangerStore.open(self._path) as store:  # which forgets them
                left = len(store.strangers())
        except GalleryError as error:
            self._warn(f"{error}; nobody in it is forgotten, so delete it unless it is needed")
            return
        if left:
            self._warn(
                f"strangers {self._path}: embeddings of {left} unknown people are still kept, each "
                "until due; no agent with a section [strangers] on this device? then delete the "
                "file"
            )

    def _warn(self, line: str) -> None:
        if not self._has_warned:
            _log.warning("%s", line)
        self._has_warned = True
