"""Outboxes beside ours, and since when no agent has had one open."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

from edge_reid.core.errors import OutboxError
from edge_reid.delivery.outbox_file import is_in_use

ABANDONED_S = 600.0
"""Nobody comes back to an outbox that was not open at any look for so long. It is longer than an
upgrade may take: until then the agents of the release before may be started again.
"""
_FILE = re.compile(r"(outbox(?:-[a-z0-9_-]+)?\.db)(-wal|\.damaged-.*)?")
"""What may hold names, and the outbox that it belongs to."""


class UnusedOutboxes:
    """Those in the folder of `ours`; not for several threads.

    Args:
        clock: seconds that only ever rise: a wall clock that is set abandons nobody.
    """

    def __init__(
        self,
        ours: Path,
        *,
        after_s: float = ABANDONED_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ours = ours
        self._after_s = after_s
        self._clock = clock
        self._since_s: dict[Path, float] = {}

    def look(self) -> frozenset[Path]:
        """Those that nobody has open now.

        Raises:
            OutboxError: the folder cannot be read.
        """
        unused = frozenset(path for path in self._beside_ours() if not is_in_use(path))
        self._since_s = {path: self._since_s.get(path, self._clock()) for path in unused}
        return unused

    def is_abandoned(self, path: Path) -> bool:
        """Whether nobody had it open for so long, as of the last look."""
        return self._clock() - self._since_s[path] >= self._after_s

    def forget(self) -> None:
        """Have every outbox be given its time anew."""
        self._since_s.clear()

    def _beside_ours(self) -> set[Path]:
        try:
            names = [file.name for file in self._ours.parent.iterdir()]
        except OSError as error:
            raise OutboxError(f"outbox {self._ours}: cannot look beside it: {error}") from error
        found = [match[1] for name in names if (match := _FILE.fullmatch(name))]
        paths = {self._ours.with_name(name) for name in found} - {self._ours}
        return {path for path in paths if not (path.exists() and path.samefile(self._ours))}
