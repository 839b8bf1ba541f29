"""How an event lies in the outbox: its JSON, with a checksum, and all that is needed to send it.

    {"crc32":"9f3a02c1","topic":"edge-reid/lab/gate/hit","committed_s":12.5,"schema":"edge-reid.hit/1",…}

So a row that a bit has flipped in is known, and one that is whole is found among the raw bytes of a
file that no database can be made of any more. Releases before 0.5 wrote the event's JSON alone;
they pass the three over when they read it.

The other files of ours have their checksums in a table beside the rows, in
`storage.row_checksums`. An outbox cannot: its rows must be found, and known to be whole, without
any table.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

_BEGIN = b'{"crc32":"'
_HEAD = re.compile(rb'\{"crc32":"([0-9a-f]{8})",')
_HEAD_BYTES = len(_BEGIN) + 8 + len(b'",')
_ROW = re.compile(
    rb'"topic":(?P<topic>"(?:[^"\\]|\\.)*"),"committed_s":(?P<committed_s>[-+.0-9e]+),', re.DOTALL
)
_OLD_BEGIN = b'{"schema":'
_LONGEST_BYTES = 1 << 16
"""Of a row: far more than an event can have."""
_PIECE_BYTES = 1 << 20
_SEQ = re.compile(rb'"seq":(\d{1,18})[,}]')


class RowError(ValueError):
    """A row is not as it was written: a bit has flipped on the disk."""


@dataclass(frozen=True, slots=True)
class Row:
    """An event as it waits."""

    seq: int
    topic: str
    committed_s: float
    """On the outbox's own clock."""
    body: bytes
    """Its payload: one line of JSON, UTF-8."""

    def to_bytes(self) -> bytes:
        """What is stored: the body with the rest ahead of it."""
        head = f'"topic":{json.dumps(self.topic)},"committed_s":{self.committed_s!r},'
        checked = head.encode() + self.body[1:]
        return _BEGIN + b'%08x",' % zlib.crc32(checked) + checked


def read_row(seq: int, topic: bytes, stored: bytes, committed_s: float) -> Row:
    """A row from the columns of the file, which may hold anything when a bit has flipped.

    What an older release wrote has nothing to check.

    Raises:
        RowError: it is not as it was written.
    """
    try:
        if stored.startswith(_OLD_BEGIN):
            return Row(seq, topic.decode(), float(committed_s), stored)
        row = _checked(stored)
    except (AttributeError, TypeError, ValueError) as error:
        raise RowError(str(error)) from error
    if row.seq != seq:
        raise RowError(f"expected event {seq}, got {row.seq}")
    return row


def find_rows(raw: bytes) -> Iterator[Row]:
    """Every whole row among the bytes of a file, in any order, some maybe more than once."""
    for match in _HEAD.finditer(raw):
        stored = _whole_at(raw, match.start())
        if stored is not None:
            yield _checked(stored)


def has_row(file: BinaryIO) -> bool:
    """Whether a whole row lies anywhere in a file, read a piece at a time: it may be a film.

    Raises:
        OSError: the file cannot be read.
    """
    end = b""  # of the piece before: a row may begin there
    while piece := file.read(_PIECE_BYTES):
        raw = end + piece
        if any(True for _ in find_rows(raw)):
            return True
        end = raw[-_LONGEST_BYTES:]
    return False


def _whole_at(raw: bytes, start: int) -> bytes | None:
    """The row that begins there, if its checksum says that it ends somewhere."""
    wanted = int(raw[start + len(_BEGIN) : start + len(_BEGIN) + 8], 16)
    begin, checksum = start + _HEAD_BYTES, 0
    at = begin
    while (end := raw.find(b"}", at, start + _LONGEST_BYTES) + 1) > 0:
        checksum, at = zlib.crc32(raw[at:end], checksum), end
        if checksum == wanted:
            return raw[start:end]
    return None


def _checked(stored: bytes) -> Row:
    head = _HEAD.match(stored)
    checked = stored[_HEAD_BYTES:]
    if head is None or zlib.crc32(checked) != int(head[1], 16):
        raise RowError("its checksum is wrong")
    row, seq = _ROW.match(checked), _SEQ.search(checked)
    if row is None or seq is None:
        raise RowError("it is no event")
    body = b"{" + checked[row.end() :]
    return Row(int(seq[1]), json.loads(row["topic"]), float(row["committed_s"]), body)
