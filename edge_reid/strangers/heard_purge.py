"""What agents have heard of strangers that are no more: renamed, or removed from their device."""

from __future__ import annotations

import logging
from pathlib import Path

from edge_reid.core.errors import GalleryError
from edge_reid.strangers.heard_store import HeardStrangerStore

HEARD_FILES = "heard-strangers-*.db"
"""Files of all agents of a device, beside their outboxes."""

_log = logging.getLogger(__name__)


def purge_others(own: Path, now_utc_s: float, keep_s: float) -> None:
    """Overwrite whoever is due in the files beside ours; what another agent has open, it does too.

    A file that fails is said, and left: the next try may go better.
    """
    for path in sorted(own.parent.glob(HEARD_FILES)):
        if path != own:
            _purge(path, now_utc_s, keep_s)


def _purge(path: Path, now_utc_s: float, keep_s: float) -> None:
    try:
        with HeardStrangerStore.open(path) as store:
            store.purge(now_utc_s, keep_s)
    except GalleryError as error:
        _log.warning("%s; nobody in it is forgotten, so delete it unless it is needed", error)
