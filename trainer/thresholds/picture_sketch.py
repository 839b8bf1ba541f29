"""Which pictures a model was trained on, in a few thousand letters of its manifest."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

_KEPT = 512
_LETTERS = 12
"""Of a hash, 48 bits: two of a million pictures share one once in a thousand sets."""


@dataclass(frozen=True, slots=True)
class PictureSketch:
    """The smallest of the hashes of many files (a bottom-k sketch: Broder, SEQUENCES 1997).

    Whoever of other files is among them is recognised if its hash is among the smallest: all are
    while the pictures are at most 512, and of 25,000 about one in fifty. A data set shares people
    with another by whole people, so by many pictures. A file stored anew in another format is not
    recognised.
    """

    hashes: tuple[str, ...] = ()

    @classmethod
    def of(cls, paths: Sequence[Path]) -> PictureSketch:
        """The sketch of files."""
        return cls._smallest(map(_hash_of, paths))

    @classmethod
    def from_text(cls, text: str) -> PictureSketch:
        """The sketch that a manifest holds.

        >>> PictureSketch.from_text("0123456789abcdef01234567").hashes
        ('0123456789ab', 'cdef01234567')
        """
        return cls(tuple(text[i : i + _LETTERS] for i in range(0, len(text), _LETTERS)))

    @property
    def text(self) -> str:
        """The sketch as a manifest holds it."""
        return "".join(self.hashes)

    def joined(self, other: PictureSketch) -> PictureSketch:
        """The sketch of the files of both.

        >>> one, other = PictureSketch(("0123456789ab",)), PictureSketch(("00cdef012345",))
        >>> one.joined(other).text
        '00cdef0123450123456789ab'
        """
        return self._smallest((*self.hashes, *other.hashes))

    def recognised(self, paths: Sequence[Path]) -> list[Path]:
        """The files that are surely among those sketched."""
        known = frozenset(self.hashes)
        return [path for path in paths if known and _hash_of(path) in known]

    @classmethod
    def _smallest(cls, hashes: Iterable[str]) -> PictureSketch:
        return cls(tuple(sorted(set(hashes))[:_KEPT]))


def _hash_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:_LETTERS]
