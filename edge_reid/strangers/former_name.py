"""A name that somebody had before two strangers of a device were merged by hand.

It stands in events, and whoever orders an erasure may know no other. The agents of the device read
it in their files of what they have heard, and tell the others of it.
"""

from __future__ import annotations

from pathlib import Path

from edge_reid.strangers.heard_purge import HEARD_FILES
from edge_reid.strangers.heard_store import HeardStrangerStore


def note_former_name(own: Path, name: str, present: str, forgotten_utc_s: float) -> None:
    """Note it for every agent that shares; none does on most devices.

    Args:
        own: file of the device's strangers, beside which the agents have theirs.
        name: that is gone.
        present: that the person has now.
        forgotten_utc_s: until when the person is kept, Unix seconds.

    Raises:
        GalleryError: a file is locked, damaged or full.
    """
    for path in sorted(own.parent.glob(HEARD_FILES)):
        with HeardStrangerStore.open(path) as heard:
            heard.rename(name, present, forgotten_utc_s)
