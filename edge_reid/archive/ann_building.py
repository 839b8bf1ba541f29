"""How an approximate index is made of the embeddings of an archive, and added to; by FAISS."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from edge_reid.archive.ann_file import (
    ROW_NUMBER_BYTES,
    AnnContents,
    AnnFile,
    IndexedVideo,
    ListChecks,
    contents_json,
    foot_of,
)
from edge_reid.archive.ann_index import load_lists
from edge_reid.archive.track_archive import ArchivedVideo, TrackArchive
from edge_reid.core.files import whole_file
from edge_reid.core.progress import Progress
from edge_reid.core.types import Vectors

SAMPLES_A_LIST = 64
"""Embeddings that the centroids are chosen from."""
_SEED = 1234
_ROWS_AT_ONCE = 65536


@dataclass(frozen=True, slots=True, eq=False)
class AnnSource:
    """Videos that go into an index.

    Attributes:
        archive: that they are of.
        videos: in the order of the index's rows.
        progress: called with the tracks done, and all.
    """

    archive: TrackArchive
    videos: Sequence[ArchivedVideo]
    progress: Progress

    @property
    def tracks(self) -> int:
        return sum(video.tracks for video in self.videos)

    def sample(self, count: int) -> Vectors:
        """(count, D) embeddings of videos drawn at random, or all if there are not more."""
        rng = np.random.default_rng(_SEED)
        drawn, found = list[Vectors](), 0
        for number in rng.permutation(len(self.videos)):
            if found >= 2 * count:
                break
            drawn.append(self.archive.vectors(self.videos[number]))
            found += len(drawn[-1])
        rows = np.concatenate(drawn)
        chosen: Vectors = rows[rng.permutation(len(rows))[:count]]
        return chosen


def build_ann(path: Path, source: AnnSource) -> None:
    """Make an index, in the place of what is there.

    Args:
        path: of its file.
        source: what it is of.

    Raises:
        StoreError: a file of the archive is damaged.
        OSError: it cannot be written.
    """
    kind = kind_for(source.tracks)
    index = faiss.index_factory(source.archive.models.dimension, kind, faiss.METRIC_INNER_PRODUCT)
    index.cp.seed = _SEED
    source.progress(0, source.tracks)
    index.train(source.sample(SAMPLES_A_LIST * index.nlist))
    _fill(path, index, AnnContents(kind, source.tracks, ()), source)


def extend_ann(file: AnnFile, source: AnnSource) -> None:
    """Add videos to an index, whose centroids stay.

    Args:
        file: of the index; it is replaced.
        source: what is added.

    Raises:
        AnnDamageError: the index is damaged.
        StoreError: a file of the archive is damaged.
        OSError: it cannot be written.
    """
    index = load_lists(file, mapped=False)
    sizes = [index.invlists.list_size(number) for number in range(index.nlist)]
    ListChecks(file, sizes, index.code_size).check(range(index.nlist))
    _fill(file.path, index, file.contents, source)


def kind_for(tracks: int) -> str:
    """A third of the square root of the tracks, by powers of two: twice the lists take twice the
    time to make, and a search is far below 100 ms.

    >>> kind_for(1_000_000), kind_for(10_000_000)
    ('IVF256,SQ8', 'IVF1024,SQ8')
    """
    return f"IVF{2 ** max(1, round(np.log2(max(4, tracks)) / 2 - 1.5))},SQ8"


def _fill(path: Path, index: Any, contents: AnnContents, source: AnnSource) -> None:
    known, waiting = list(contents.videos), list[Vectors]()
    total = index.ntotal + source.tracks
    for number, video in enumerate(source.videos, 1):
        waiting.append(source.archive.vectors(video))
        known.append(IndexedVideo(video, source.archive.camera(video)))
        if sum(map(len, waiting)) >= _ROWS_AT_ONCE or number == len(source.videos):
            index.add(np.concatenate(waiting))
            waiting.clear()
            source.progress(index.ntotal, total)
    _write(path, index, replace(contents, videos=tuple(known)))


def _write(path: Path, index: Any, contents: AnnContents) -> None:
    """FAISS's bytes, of which the lists come last, and ours behind them."""
    length = _Meter()
    faiss.write_index(index, faiss.PyCallbackIOWriter(length.add))
    head = _Meter(keep=length.total - index.ntotal * (index.code_size + ROW_NUMBER_BYTES))
    with whole_file(path, mode=0o600) as file:

        def write(chunk: bytes) -> None:
            head.add(chunk)
            file.write(chunk)

        faiss.write_index(index, faiss.PyCallbackIOWriter(write))
        checksums = tuple(_checksum(index, number) for number in range(index.nlist))
        said = contents_json(replace(contents, checksums=checksums))
        file.write(said)
        file.write(foot_of(bytes(head.kept), said))


class _Meter:
    """How much was written, and the first bytes of it."""

    def __init__(self, keep: int = 0) -> None:
        self.total, self.kept, self._keep = 0, bytearray(), keep

    def add(self, chunk: bytes) -> None:
        self.kept += chunk[: self._keep - len(self.kept)]
        self.total += len(chunk)


def _checksum(index: Any, number: int) -> int:
    """CRC-32 of a list, as it lies in the file."""
    lists, size = index.invlists, index.invlists.list_size(number)
    if size == 0:
        return 0
    codes = faiss.rev_swig_ptr(lists.get_codes(number), size * index.code_size)
    rows = faiss.rev_swig_ptr(lists.get_ids(number), size)
    return zlib.crc32(rows.data, zlib.crc32(codes.data))
