"""What a new gallery costs the frames, and the network: `python tests/bench/swap.py`.

Frames come 25 times a second, and of each some tracks are matched as the agent matches them.
Meanwhile one person after another is enrolled anew in a gallery of 10,000: a thread fetches, checks
and loads each version, and it is put in force between two frames. The same frames with the sync
idle stand beside it: what is more is the price. Goals: no frame waits more than 50 ms for a
gallery; a delta is at most 64 KB.
"""

from __future__ import annotations

import argparse
import hashlib
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from edge_reid.agent.gallery_sync import GallerySync
from edge_reid.core.config.sync_settings import GallerySyncSettings
from edge_reid.core.types import Template
from edge_reid.diagnostics.benchmark import describe_machine
from edge_reid.gallery.gallery_head import TrustPolicy
from edge_reid.gallery.publication import publish
from edge_reid.gallery.store import GalleryStore
from edge_reid.matching.index import Index
from edge_reid.signing.blobs import BlobRef
from edge_reid.signing.keys import SigningKey
from edge_reid.transfer.folder import FolderSource, FolderTarget
from edge_reid.transfer.gallery_transfer import GALLERY

MODEL = "0" * 16
DIMENSION = 256
TEMPLATES = 5
FRAME_S = 0.04
TRACKS = 3
console = Console(stderr=True)


class Shelf(FolderTarget):
    """Keeps the blobs of all versions, and their heads for later."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, GALLERY)
        self.heads: list[bytes] = []

    def head(self) -> bytes | None:
        return self.heads[-1] if self.heads else None

    def put_head(self, sealed: bytes) -> None:
        self.heads.append(sealed)

    def clear(self, refs: Iterable[BlobRef]) -> Iterator[BlobRef]:
        yield from refs


class Line(FolderSource):
    """Gives the newest head that was let out, and counts what is fetched."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, GALLERY, poll_s=3600)
        self.newest: bytes | None = None
        self.taken_bytes = 0

    def news(self, timeout_s: float) -> bytes | None:
        head, self.newest = self.newest, None
        if head is None:
            time.sleep(min(timeout_s, 0.05))
        self.taken_bytes += len(head or b"")
        return head

    def fetch(self, refs: Sequence[BlobRef]) -> Iterator[tuple[BlobRef, bytes]]:
        for ref, body in super().fetch(refs):
            self.taken_bytes += len(body)
            yield ref, body


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--people", type=int, default=10_000)
    parser.add_argument("--versions", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder), options.people, options.versions)


def measure(folder: Path, people: int, versions: int) -> None:
    key, rng = SigningKey.generate(), np.random.default_rng(0)
    shelf = Shelf(folder / "out")
    with GalleryStore.create(folder / "gallery.db", MODEL, DIMENSION) as store:
        store.add_all([each for n in range(people) for each in enrolment(n, rng)])
        publish(store, shelf, key, site="lab")
        for n in range(versions):
            store.remove(f"person {n}")
            store.add_all(enrolment(n, rng))
            publish(store, shelf, key, site="lab")
            console.print(f"published {n + 1} of {versions} changes")
    settings = GallerySyncSettings(
        source="/nowhere", public_key=folder / "none", poll_s=1, keep_previous_s=0
    )
    pinned = TrustPolicy(key.public, "lab", MODEL, DIMENSION, 1 << 28)
    line = Line(folder / "out")
    line.newest = shelf.heads[0]
    sync = GallerySync(folder / "replica.db", settings, pinned, line)
    with sync:
        while (index := sync.take()) is None:
            time.sleep(0.01)
        first_mb = line.taken_bytes / 1e6
        camera = Camera(sync, index, rng)
        frames, deltas = [], []
        for head in shelf.heads[1:]:
            line.taken_bytes, line.newest = 0, head
            version = camera.index.version
            while camera.index.version == version:
                frames.append(camera.frame_price_ms())
            deltas.append(line.taken_bytes)
    show(people, first_mb, frames, deltas)


class Camera:
    """Frames at a steady rate; one that is late begins as soon as it can."""

    def __init__(self, sync: GallerySync, index: Index, rng: np.random.Generator) -> None:
        self.index = index
        self._sync = sync
        probes = rng.standard_normal((TRACKS, DIMENSION), np.float32)
        self._probes = probes / np.linalg.norm(probes, axis=1, keepdims=True)
        self._due_s = time.perf_counter()
        self._clock = time.pthread_getcpuclockid(sync.thread_id)

    def frame_price_ms(self) -> float:
        """What the sync may have cost this frame."""
        self._due_s = max(self._due_s + FRAME_S, time.perf_counter())
        time.sleep(max(0.0, self._due_s - time.perf_counter()))
        began_s, own_s, other_s = time.perf_counter(), time.thread_time(), self._sync_s()
        newer = self._sync.take()
        self.index = self.index if newer is None else newer
        for probe in self._probes:
            self.index.search(probe)
            time.sleep(0)  # as every stage of a frame does, it lets the other thread in
        waited_s = time.perf_counter() - began_s - (time.thread_time() - own_s)
        return 1000 * min(waited_s, self._sync_s() - other_s)

    def _sync_s(self) -> float:
        return time.clock_gettime(self._clock)


def enrolment(number: int, rng: np.random.Generator) -> list[Template]:
    vectors = rng.standard_normal((TEMPLATES, DIMENSION), np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return [
        Template(
            *(f"person {number}", vector, MODEL, 0.5),
            *(hashlib.sha256(vector.tobytes()).hexdigest(), 1e9),
        )
        for vector in vectors
    ]


def show(people: int, first_mb: float, prices_ms: list[float], deltas: list[int]) -> None:
    table = Table(title=f"{people:,} people × {TEMPLATES}, {describe_machine()}")
    for title in ("versions", "frames meanwhile", "p50 ms", "p99 ms", "worst ms", "delta KB"):
        table.add_column(title, justify="right")
    figures = (*np.percentile(prices_ms, [50, 99]), max(prices_ms), max(deltas) / 1024)
    table.add_row(str(len(deltas)), str(len(prices_ms)), *(f"{figure:.1f}" for figure in figures))
    Console().print(table)
    print(f"first sync {first_mb:.1f} MB")


if __name__ == "__main__":
    main()
