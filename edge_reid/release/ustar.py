"""The one form of tar that a bundle has: plain files of names that are known beforehand.

Programs disagree about much in a tar: pax headers, sparse files, GNU's long names, numbers in base
256, what lies behind the end. None of it is in ours. A header counts only if it is, byte by byte,
one that a writer of ours makes, so no program can find anything else there than we do.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

from edge_reid.core.errors import BundleError

BLOCK_BYTES = 512
RECORD_BYTES = 20 * BLOCK_BYTES
"""A tar is filled up with zeros to a multiple of it."""
MODES = (0o600, 0o644, 0o755)

_PIECE_BYTES = 1 << 20
_FIELDS = struct.Struct("100s 8s 8s 8s 12s 12s 8s s 100s 8s 32s 32s 8s 8s 155s 12x")
_NAME, _PREFIX, _MODE, _SIZE = 0, 14, 1, 4
_MAX_NAME_BYTES, _MAX_PREFIX_BYTES = 100, 155
_CHECKSUM = slice(148, 156)
_MAGIC, _MAGIC_AT = b"ustar\x0000", slice(257, 265)
_DEVICES = (b"", b"0000000")
"""The numbers of a device that a file is not, as Python's tarfile writes them, and once wrote."""


@dataclass(frozen=True, slots=True)
class TarMember:
    """A file of a tar."""

    name: str
    size_bytes: int
    mode: int

    @property
    def header(self) -> bytes:
        """Its block, of nobody's and of no time.

        Raises:
            BundleError: the name is too long for a tar.
        """
        return _header(*_split(self.name), self.size_bytes, self.mode, _DEVICES[0])

    @property
    def padding_bytes(self) -> int:
        """Zeros behind its content."""
        return -self.size_bytes % BLOCK_BYTES


class UstarWriter:
    """Files into a tar; the same files give the same bytes, whatever Python writes them."""

    def __init__(self, sink: IO[bytes]) -> None:
        self._sink = sink
        self._written = 0

    @contextmanager
    def member(self, member: TarMember) -> Iterator[IO[bytes]]:
        """Where its content is to be written to, which has the size that was said."""
        self._put(member.header)
        yield self._sink
        self._written += member.size_bytes
        self._put(bytes(member.padding_bytes))

    def end(self) -> None:
        """Write the end of the archive."""
        self._put(bytes(_end_bytes(self._written)))

    def _put(self, block: bytes) -> None:
        self._sink.write(block)
        self._written += len(block)


class UstarReader:
    """Files out of a tar, one after the other; each must be the one that is expected.

    Args:
        read: gives so many bytes of the tar, fewer only at its end.
    """

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._unlimited_read = read
        self._done = 0

    def next(self, name: str) -> TarMember:
        """The next file, whose content is to be read with `content` then.

        Raises:
            BundleError: it is another, or anything but a plain file.
        """
        block = self._read(BLOCK_BYTES)
        if not block.strip(b"\0"):
            raise BundleError(f"expected {name}, it ends before; it is cut short")
        if block[_MAGIC_AT] != _MAGIC:
            raise BundleError(
                "expected a bundle (tar.zst), it is damaged or something else; copy or make it "
                f"again (where {name} should begin stands {block[:20]!r})"
            )
        member = _parsed(block)
        if member is None or member.name != name:
            raise BundleError(f"expected the file {name}, got {_described(block)}; it is forged")
        return member

    def content(self, member: TarMember) -> Iterator[bytes]:
        """What is in a file, in pieces.

        Raises:
            BundleError: it is cut short, or something hides behind it.
        """
        left = member.size_bytes
        while left:
            piece = self._read(min(left, _PIECE_BYTES))
            left -= len(piece)
            yield piece
        self._zeros(member.padding_bytes, f"behind {member.name}")

    def end(self) -> None:
        """There must be the end of a tar, and nothing behind it; raises BundleError."""
        self._zeros(_end_bytes(self._done), "at its end")
        if self._unlimited_read(1):
            raise BundleError("expected nothing behind its end, there is more; it is forged")

    def _zeros(self, size: int, where: str) -> None:
        if (found := self._read(size)).strip(b"\0"):
            raise BundleError(f"expected zeros {where}, got {_described(found)}; it is forged")

    def _read(self, size: int) -> bytes:
        piece = self._unlimited_read(size)
        if len(piece) < size:
            raise BundleError(
                f"expected more than {self._done + len(piece)} bytes; it is cut short"
            )
        self._done += size
        return piece


def _end_bytes(done: int) -> int:
    """Two blocks of zeros, and more until a record is full."""
    return 2 * BLOCK_BYTES + -(done + 2 * BLOCK_BYTES) % RECORD_BYTES


def _header(prefix: bytes, name: bytes, size: int, mode: int, device: bytes) -> bytes:
    nobody, no_time = b"0000000", b"00000000000"
    fields = [
        *(name, b"%07o" % mode, nobody, nobody, b"%011o" % size, no_time, b" " * 8, b"0"),
        *(b"", _MAGIC, b"", b"", device, device, prefix),
    ]
    block = bytearray(_FIELDS.pack(*fields))
    block[_CHECKSUM] = b"%06o\0 " % sum(block)
    return bytes(block)


def _split(name: str) -> tuple[bytes, bytes]:
    """Prefix and name of a header, as Python's tarfile splits it today."""
    whole = name.encode("ascii")
    if len(whole) <= _MAX_NAME_BYTES:
        return b"", whole
    for slash in re.finditer(rb"/", whole):
        prefix, rest = whole[: slash.start()], whole[slash.end() :]
        if len(prefix) <= _MAX_PREFIX_BYTES and len(rest) <= _MAX_NAME_BYTES:
            return prefix, rest
    raise BundleError(f"{name}: expected a shorter name, it does not go into a tar")


def _parsed(block: bytes) -> TarMember | None:
    """What a header says; None: no writer of ours makes one like it."""
    fields = _FIELDS.unpack(block)
    prefix, name = fields[_PREFIX].rstrip(b"\0"), fields[_NAME].rstrip(b"\0")
    try:
        size, mode = (int(fields[at].rstrip(b"\0"), 8) for at in (_SIZE, _MODE))
        member = TarMember((prefix + b"/" * bool(prefix) + name).decode("ascii"), size, mode)
        ours = {_header(prefix, name, size, mode, device) for device in _DEVICES}
    except (ValueError, struct.error):
        return None
    return member if size >= 0 and mode in MODES and block in ours else None


def _described(block: bytes) -> str:
    """For a person: what name stands in a block, and of what kind it is."""
    name = block[:100].split(b"\0", 1)[0].decode("ascii", "backslashreplace")
    kind = block[156:157]
    return repr(name) if kind == b"0" else f"{name!r} of type {kind.decode('ascii', 'replace')!r}"
