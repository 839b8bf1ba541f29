"""Memory that a decoder and the agent share: slots for pictures, and who is where.

The decoder writes into a slot that is neither the newest nor being read; the agent says which one
it reads, and looks afterwards whether it is still the picture it meant. Nobody ever waits. The
memory has no name in any folder: it is gone with the two processes, however they end.
"""

from __future__ import annotations

import mmap
import os
import struct
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Literal

Layout = Literal["i420", "i420-full", "bgr", "rgb"]
"""How bytes make a picture: planes Y, U, V (4:2:0; `full`: levels 0 to 255, else 16 to 235), or
three bytes a pixel."""

MAX_PIXELS = 20_000_000
LEAST_SLOTS = 3
"""The newest picture, one that is read, one that is written."""
MOST_SLOTS = 8
_SLOT_BYTES = MAX_PIXELS * 3
"""Only what pictures really fill takes memory."""
_HEAD_BYTES = mmap.PAGESIZE
_SEQUENCE = struct.Struct("<Q")
_SEQUENCES_AT = 64
_MOST_SEQUENCE = 1 << 52
"""Far more than there ever are: a decoder that was taken over may have left any number."""
_BEING_WRITTEN = 0


@dataclass(frozen=True, slots=True)
class Slot:
    """A picture in the shared memory."""

    number: int
    sequence: int
    """Of this picture among all that were ever written here, from 1."""
    width: int
    height: int
    layout: Layout

    @property
    def bytes(self) -> int:
        return byte_count(self.width, self.height, self.layout)

    def check(self) -> None:
        """Raises ValueError: a decoder that was taken over may claim anything."""
        is_even = self.layout in {"bgr", "rgb"} or not (self.width % 2 or self.height % 2)
        is_sized = 0 < self.width <= MAX_PIXELS and 0 < self.height <= MAX_PIXELS
        if not (
            self.number in range(MOST_SLOTS)
            and is_sized
            and is_even
            and self.width * self.height <= MAX_PIXELS
            and self.layout in {"i420", "i420-full", "bgr", "rgb"}
        ):
            raise ValueError(f"expected a picture of at most {MAX_PIXELS} pixels, got {self}")


def byte_count(width: int, height: int, layout: Layout) -> int:
    """Of a picture whose rows have no gaps."""
    return width * height * 3 // (1 if layout in {"bgr", "rgb"} else 2)


class FrameSlots:
    """The memory, as both sides see it.

    Args:
        descriptor: of memory that another process made; None: make it.
        count: of the slots that are made; more of them keep older pictures for longer.
    """

    def __init__(self, descriptor: int | None = None, count: int = LEAST_SLOTS) -> None:
        self.descriptor = _new_memory(count) if descriptor is None else descriptor
        size_bytes = os.fstat(self.descriptor).st_size
        self._count = (size_bytes - _HEAD_BYTES) // _SLOT_BYTES
        self._memory = mmap.mmap(self.descriptor, size_bytes)
        self._view = memoryview(self._memory)
        self._newest = 0
        if descriptor is not None:
            self._forget_nonsense()

    def close(self) -> None:
        """Let the memory go: now, or when the last view of it does, which a traceback may hold."""
        os.close(self.descriptor)
        with suppress(BufferError):
            self._view.release()
            self._memory.close()

    def write(self, rows: Sequence[memoryview], width: int, height: int, layout: Layout) -> Slot:
        """Put a picture, piece after piece, into a free slot."""
        number = next(free for free in self._oldest_first() if free + 1 != self._memory[0])
        sequence = max(map(self._sequence, range(self._count))) + 1
        self._mark(number, _BEING_WRITTEN)
        at = _HEAD_BYTES + number * _SLOT_BYTES
        for piece in rows:
            self._view[at : at + len(piece)] = piece
            at += len(piece)
        self._mark(number, sequence)
        self._newest = number
        return Slot(number, sequence, width, height, layout)

    @contextmanager
    def reading(self, slot: Slot) -> Iterator[memoryview | None]:
        """The bytes of a picture, which stay as they are meanwhile; None: they are another's now.
        The slot has been checked.
        """
        start = _HEAD_BYTES + slot.number * _SLOT_BYTES
        self._memory[0] = slot.number + 1
        try:
            yield self._view[start : start + slot.bytes] if self.holds(slot) else None
        finally:
            self._memory[0] = 0

    def holds(self, slot: Slot) -> bool:
        """Whether the picture is still in its slot, whole."""
        return slot.number < self._count and self._sequence(slot.number) == slot.sequence

    def _forget_nonsense(self) -> None:
        """Numbers that leave none to count on with; before anything is written."""
        for at in range(_SEQUENCES_AT, _HEAD_BYTES, _SEQUENCE.size):
            if _SEQUENCE.unpack_from(self._memory, at)[0] >= _MOST_SEQUENCE:
                _SEQUENCE.pack_into(self._memory, at, _BEING_WRITTEN)

    def _oldest_first(self) -> list[int]:
        others = (number for number in range(self._count) if number != self._newest)
        return sorted(others, key=self._sequence)

    def _sequence(self, number: int) -> int:
        (sequence,) = _SEQUENCE.unpack_from(self._memory, _SEQUENCES_AT + number * _SEQUENCE.size)
        return int(sequence)

    def _mark(self, number: int, sequence: int) -> None:
        _SEQUENCE.pack_into(self._memory, _SEQUENCES_AT + number * _SEQUENCE.size, sequence)


def _new_memory(count: int) -> int:
    """A descriptor of zeros for so many slots, inherited by nobody unasked."""
    size_bytes = _HEAD_BYTES + count * _SLOT_BYTES
    if sys.platform != "linux":
        import tempfile  # noqa: PLC0415 - which no decoder is to have in memory

        with tempfile.TemporaryFile() as file:
            file.truncate(size_bytes)
            return os.dup(file.fileno())
    import fcntl  # noqa: PLC0415 - the seals are Linux's

    descriptor = os.memfd_create("camera", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.truncate(descriptor, size_bytes)
    # a decoder that made it smaller would end the agent at its next look
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
    return descriptor
