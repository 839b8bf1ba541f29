"""The file of an approximate index: FAISS's own bytes, and behind them what they are of.

    head      FAISS: the centroids, and how long each list is
    lists     FAISS: of every list its codes, then its row numbers; mapped, not read
    contents  JSON (`AnnContents`): the videos, in the order of the rows, and a CRC-32 a list
    foot      a mark, the lengths of head and contents, and the SHA-256 of the two

What a search relies on is checked before it is used: head and contents when the file is opened,
each list when it is first searched. Nothing else of it is read.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge_reid.archive.track_archive import ArchivedVideo
from edge_reid.core.errors import StoreError

FORMAT = "edge-reid.ann/1"
_MARK = b"er-ann/1"
_FOOT = struct.Struct("<8sQQ32s")
ROW_NUMBER_BYTES = 8


@dataclass(frozen=True, slots=True)
class IndexedVideo:
    """A video whose tracks are in an index."""

    video: ArchivedVideo
    camera: str | None
    """None: it has no track."""


@dataclass(frozen=True, slots=True)
class AnnContents:
    """What an index is of."""

    kind: str
    """As `faiss.index_factory` takes it."""
    trained_on: int
    """Tracks that there were when its centroids were chosen."""
    videos: tuple[IndexedVideo, ...]
    """In the order of its rows."""
    checksums: tuple[int, ...] = ()
    """CRC-32 of each list."""


class AnnDamageError(StoreError):
    """The file of an approximate index is not what was written; it can be made anew."""


class AnnFile:
    """An index as it lies on the disk, its head and contents checked. FAISS is not needed for it.

    Raises:
        FileNotFoundError: there is none.
        AnnDamageError: it is no such file, or damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with path.open("rb") as file:
                foot = _read_at(file.fileno(), os.fstat(file.fileno()).st_size - _FOOT.size)
                mark, self.head_bytes, length, digest = _FOOT.unpack(foot)
                end = os.fstat(file.fileno()).st_size - _FOOT.size
                if mark != _MARK or self.head_bytes + length > end:
                    raise AnnDamageError(f"{path}: expected an index of an archive")
                head = file.read(self.head_bytes)
                file.seek(end - length)
                said = file.read(length)
            if hashlib.sha256(head + said).digest() != digest:
                raise AnnDamageError(f"{path}: the head is damaged")
            self.contents = _contents(json.loads(said))
        except FileNotFoundError:
            raise
        except (OSError, ValueError, struct.error, KeyError, TypeError) as error:
            raise AnnDamageError(f"{path}: cannot be used: {error}") from error


class ListChecks:
    """Compares lists of an index with their checksums, each once.

    Args:
        file: where they lie.
        sizes: (lists,) rows of each.
        code_bytes: of a row.
    """

    def __init__(self, file: AnnFile, sizes: Sequence[int], code_bytes: int) -> None:
        row_bytes = code_bytes + ROW_NUMBER_BYTES
        self._ends = file.head_bytes + np.cumsum(sizes, dtype=np.int64) * row_bytes
        self._starts = self._ends - np.asarray(sizes, np.int64) * row_bytes
        self._file = file
        self._bytes = np.memmap(file.path, np.uint8, "r")
        self._checked: set[int] = set()

    def check(self, lists: Iterable[int]) -> None:
        """Make sure of some lists.

        Raises:
            AnnDamageError: one of them is not what was written.
        """
        for number in set(lists) - self._checked:
            found = zlib.crc32(self._bytes[self._starts[number] : self._ends[number]].data)
            if found != self._file.contents.checksums[number]:
                raise AnnDamageError(f"{self._file.path}: list {number} is damaged")
            self._checked.add(number)


def contents_json(contents: AnnContents) -> bytes:
    """As they stand in the file."""
    videos = [
        [known.video.sha256, known.video.tracks, known.video.changed_ns, known.camera]
        for known in contents.videos
    ]
    fields = {
        "format": FORMAT,
        "kind": contents.kind,
        "trained_on": contents.trained_on,
        "videos": videos,
        "checksums": contents.checksums,
    }
    return json.dumps(fields).encode()


def foot_of(head: bytes, said: bytes) -> bytes:
    """What the file ends with.

    Args:
        head: the first bytes of it, before the lists.
        said: the contents.
    """
    return _FOOT.pack(_MARK, len(head), len(said), hashlib.sha256(head + said).digest())


def _contents(fields: Any) -> AnnContents:
    if fields["format"] != FORMAT:
        raise ValueError(f"expected {FORMAT}, got {fields['format']}")
    videos = tuple(
        IndexedVideo(ArchivedVideo(sha256, tracks, changed_ns), camera)
        for sha256, tracks, changed_ns, camera in fields["videos"]
    )
    return AnnContents(fields["kind"], fields["trained_on"], videos, tuple(fields["checksums"]))


def _read_at(descriptor: int, offset: int) -> bytes:
    if offset < 0:
        raise ValueError("it is cut short")
    return os.pread(descriptor, _FOOT.size, offset)
