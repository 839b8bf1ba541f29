"""Approximate nearest neighbours among the tracks of a large archive, by FAISS (extra `archive`).

Embeddings are sorted into lists by the nearest of some centroids (an inverted file: Jégou, Douze &
Schmid, "Product Quantization for Nearest Neighbor Search", PAMI 2011), each number as 8 bits; a
search looks through the lists whose centroids are nearest. It proposes tracks: how much they are
like somebody is computed from the archive's own vectors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from edge_reid.archive.ann_file import AnnDamageError, AnnFile, IndexedVideo, ListChecks
from edge_reid.core.types import Vector

PROBES = 32
"""Lists that a search looks through, at most half of them."""
Bits = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class IndexedTrack:
    """A track that an index proposes."""

    known: IndexedVideo
    row: int
    """Of the video."""


class AnnIndex:
    """An index on the disk, whose lists are mapped into memory as they are needed.

    Raises:
        AnnDamageError: FAISS does not read it.
    """

    def __init__(self, file: AnnFile) -> None:
        self.contents = file.contents
        self._index = load_lists(file, mapped=True)
        self._index.nprobe = min(PROBES, max(1, self._index.nlist // 2))
        lists = self._index.invlists
        sizes = [lists.list_size(number) for number in range(self._index.nlist)]
        self._checks = ListChecks(file, sizes, self._index.code_size)
        self._ends = np.cumsum([known.video.tracks for known in self.contents.videos])

    def nearest(self, vector: Vector, count: int, camera: str | None = None) -> list[IndexedTrack]:
        """The tracks that are probably most like somebody, in no order; fewer if so few are near.

        Args:
            vector: (D,).
            count: of tracks.
            camera: only of its videos.

        Raises:
            AnnDamageError: a list that was to be searched is damaged.
        """
        probe = vector[None]
        _, lists = self._index.quantizer.search(probe, self._index.nprobe)
        self._checks.check(lists[0].tolist())
        chosen = self._of_camera(camera)
        params = faiss.SearchParametersIVF(nprobe=self._index.nprobe)
        if chosen is not None:
            params.sel = faiss.IDSelectorBitmap(chosen)
        _, rows = self._index.search(probe, count, params=params)
        return [self._track(row) for row in rows[0].tolist() if 0 <= row < self._ends[-1]]

    def _track(self, row: int) -> IndexedTrack:
        number = int(np.searchsorted(self._ends, row, side="right"))
        known = self.contents.videos[number]
        return IndexedTrack(known, row - int(self._ends[number]) + known.video.tracks)

    def _of_camera(self, camera: str | None) -> Bits | None:
        """A bit a row."""
        if camera is None:
            return None
        shown = [camera == known.camera for known in self.contents.videos]
        tracks = [known.video.tracks for known in self.contents.videos]
        return np.packbits(np.repeat(shown, tracks), bitorder="little")


def load_lists(file: AnnFile, *, mapped: bool) -> Any:
    """FAISS's index of a file.

    Args:
        file: whose head is sound.
        mapped: its lists stay on the disk, and cannot be added to.

    Raises:
        AnnDamageError: FAISS does not take it; another version may have written it.
    """
    flags = faiss.IO_FLAG_MMAP | faiss.IO_FLAG_READ_ONLY if mapped else 0
    try:
        return faiss.read_index(str(file.path), flags)
    except RuntimeError as error:
        raise AnnDamageError(f"{file.path}: FAISS does not read it") from error
