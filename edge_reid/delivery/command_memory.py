"""Which commands an agent has taken, over its restarts: one that comes again is not done again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from edge_reid.core.errors import CommandError
from edge_reid.core.files import read_json_or_none, write_whole

TAKEN_MAX = 10_000
"""Commands that may be issued within the age that they are taken at."""


class CommandMemory:
    """Ids of commands, each for as long as it could be taken again.

    Args:
        path: of a file that is made when the first command is taken.
        keep_s: a command issued longer ago is too old to be taken, so nobody need know it.
    """

    def __init__(self, path: Path, keep_s: float) -> None:
        self._path = path
        self._keep_s = keep_s
        self._issued = read_json_or_none(path, _parse_issued) or {}  # Unix seconds, by id

    def __contains__(self, command_id: str) -> bool:
        return command_id in self._issued

    def note(self, command_id: str, issued_utc_s: float, now_utc_s: float) -> None:
        """Remember a command, on disk, before it is done.

        Raises:
            CommandError: it cannot be remembered, so it must not be done.
        """
        kept = {known: at for known, at in self._issued.items() if now_utc_s - at <= self._keep_s}
        if len(kept) >= TAKEN_MAX:
            raise CommandError(
                f"expected fewer than {TAKEN_MAX} commands within {self._keep_s:g} s; try later"
            )
        kept[command_id] = issued_utc_s
        try:
            write_whole(self._path, json.dumps(kept).encode())
        except OSError as error:
            raise CommandError(
                f"{self._path}: cannot be written: {error.strerror}, so a restart would do the "
                "command again; make room there"
            ) from error
        self._issued = kept


def _parse_issued(table: dict[str, Any]) -> dict[str, float]:
    return {str(command_id): float(issued_utc_s) for command_id, issued_utc_s in table.items()}
