"""The first bytes of an SQLite file, read before SQLite opens it: that may change a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_MAGIC = b"SQLite format 3\0"
_VERSIONS = slice(18, 20)
_APPLICATION_ID = slice(68, 72)


@dataclass(frozen=True, slots=True)
class FileHead:
    """As it lies on the disk; what stands in a log beside the file may be newer."""

    raw: bytes
    """At most 72 bytes, fewer of a file that is shorter."""

    @classmethod
    def read(cls, path: Path) -> FileHead:
        """Raises OSError when the file cannot be read."""
        with path.open("rb") as file:
            return cls(file.read(_APPLICATION_ID.stop))

    @property
    def is_blank(self) -> bool:
        """Whether it begins with nothing, as a file does that was lost in a power cut."""
        return not any(self.raw[: len(_MAGIC)])

    @property
    def is_of_a_database(self) -> bool:
        return self.raw.startswith(_MAGIC)

    @property
    def application_id(self) -> int:
        """0 of a file that is too short to have one."""
        return int.from_bytes(self.raw[_APPLICATION_ID], "big")

    @property
    def has_a_mark_of_ours(self) -> bool:
        """Whether it was a database of ours before its first bytes became others: all our
        application ids are `er` and two letters.
        """
        return self.raw[_APPLICATION_ID].lower().startswith(b"er")

    @property
    def is_read_only(self) -> bool:
        """Whether SQLite would read the file and not write it: two bytes differ that it writes
        alike, so that a bit must have flipped.
        """
        return self.is_of_a_database and len(set(self.raw[_VERSIONS])) > 1
