"""Since when others run a release well, as this device itself has seen it.

What a device says of how long it has run something is its word. Whoever has its certificate can say
anything, but cannot make our clock go faster: so a soak has passed when both say so.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge_reid.core.files import read_json_or_none, write_whole
from edge_reid.release.release_head import ReleaseHead
from edge_reid.wire.payloads import DeviceUpdate


def is_well(head: ReleaseHead, report: DeviceUpdate | None) -> bool:
    """Whether a device says that it runs this release, and well."""
    if report is None or report.state != "current":
        return False
    return (report.serial, report.wanted) == (head.serial, head.version)


class Watch:
    """Looks at what others say, again and again; a file keeps it over the looks.

    One that once is not well, or says nothing, is watched anew.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def look(
        self, head: ReleaseHead, reports: Mapping[str, DeviceUpdate], now_utc_s: float
    ) -> dict[str, float]:
        """For how many seconds each agent has been seen to be well, this time included."""
        before = self._read(head.serial)
        since = {
            name: min(before.get(name, now_utc_s), now_utc_s)
            for name, report in reports.items()
            if is_well(head, report)
        }
        if since != before:  # an SD card is written to for news only
            self._write(head.serial, since)
        # nobody has run it before it was published: a clock that was wrong then proves nothing
        return {
            name: max(0.0, now_utc_s - max(at, head.created_utc_s)) for name, at in since.items()
        }

    def _read(self, serial: int) -> dict[str, float]:
        """Since when each agent runs the release of this serial well; nobody, if none is noted."""

        def of_this_release(table: dict[str, Any]) -> dict[str, float]:
            since = {str(name): float(at) for name, at in table["since"].items()}
            return since if int(table["serial"]) == serial else {}

        return read_json_or_none(self._path, of_this_release) or {}

    def _write(self, serial: int, since: dict[str, float]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(self._path, json.dumps({"serial": serial, "since": since}).encode())
