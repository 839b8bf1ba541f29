"""How far an outbox has come, noted outside of it: a file that lost something must not hide it.

SQLite passes over the rest of its log where a bit has flipped, and takes an empty file for a new
one: events are gone then, and numbers come again, without an error. The mark beside the outbox says
what should be there. It is overwritten in place after every change, which takes no room on a full
disk, and is not synced: a power cut leaves an older one, which claims too little.
"""

from __future__ import annotations

import os
import re
import zlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

SUFFIX = "-mark"
_LINE = "edge-reid outbox 1 last_seq={:019d} first_seq={:019d} depth={:012d} dropped={:012d}"
_PATTERN = re.compile(
    r"(edge-reid outbox 1 last_seq=(\d{19}) first_seq=(\d{19}) depth=(\d{12}) dropped=(\d{12}))"
    r" crc32=([0-9a-f]{8})\n"
)
_LONGEST_BYTES = 200


@dataclass(frozen=True, slots=True)
class Mark:
    """What an outbox had come to."""

    last_seq: int = 0
    """Of the newest event ever committed."""
    first_seq: int = 1
    """No event before this one waits."""
    depth: int = 0
    """Events waiting."""
    dropped: int = 0
    """Events ever lost."""


class MarkFile:
    """The mark beside an outbox. What the disk refuses is noted with the next change."""

    def __init__(self, outbox: Path) -> None:
        self._path = outbox.with_name(outbox.name + SUFFIX)
        self._written: Mark | None = None

    @property
    def is_there(self) -> bool:
        """Whether an outbox ever was at that path, be the mark readable or not."""
        return self._path.exists()

    def read(self) -> Mark | None:
        """The mark; None when there is none, or it is damaged itself."""
        try:
            with self._path.open("rb") as file:
                line = file.read(_LONGEST_BYTES).decode("ascii", "replace")
        except OSError:
            return None
        found = _PATTERN.fullmatch(line)
        if found is None or zlib.crc32(found[1].encode()) != int(found[6], 16):
            return None
        return Mark(*(int(found[group]) for group in range(2, 6)))

    def write(self, mark: Mark) -> None:
        if mark == self._written:
            return
        text = _LINE.format(mark.last_seq, mark.first_seq, mark.depth, mark.dropped)
        line = f"{text} crc32={zlib.crc32(text.encode()):08x}\n".encode()
        with suppress(OSError):
            file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.pwrite(file, line, 0)
            finally:
                os.close(file)
            self._written = mark
