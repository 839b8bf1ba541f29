"""How long a search of an archive in PostgreSQL takes, and how many of the most alike it finds.

    PYTHONPATH=tests python tests/bench/pgvector_search.py [--sizes 10000 100000 300000] [--write]

Puts the tracks of people who do not exist into a PostgreSQL of its own with pgvector (the package
pgserver), and searches them one by one, by the index that is built in (IVFFlat) and by HNSW.
Recall is of the ten most alike by exact search. Processor time is of the server's processes, with
connecting, which other programs do not lengthen; wall time is of the whole search.
"""

from __future__ import annotations

import argparse
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psycopg
from rich.console import Console
from rich.markdown import Markdown
from support.bench_report import conditions, markdown_table, write_section
from support.machine_load import usage
from support.postgres import Postgres, pgvector_folder
from support.simulated_archive import MODELS, a_track, sha256_of
from support.simulated_embeddings import SimulatedPeople

from edge_reid.archive import vector_search
from edge_reid.archive.archive_tables import TRACKS
from edge_reid.archive.archived_track import VideoTracks
from edge_reid.archive.ivfflat_upkeep import lists_for
from edge_reid.archive.postgres_archive import PostgresArchive
from edge_reid.archive.track_rows import vector_text
from edge_reid.cli.verb_progress import counting
from edge_reid.core.types import Vector, Vectors

TOP, A_VIDEO, CAMERAS = 10, 1000, 20
CAMERA = 7
LISTS = (16, 32, 64)
BUILT_IN = vector_search.LISTS_SEARCHED
CANDIDATES = (40, 200, 1000)
"""Of HNSW: `hnsw.ef_search`."""
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
Find = Callable[[Vector], set[int]]


@dataclass(frozen=True, slots=True)
class Crowd:
    """Tracks, and people who are looked for among them."""

    tracks: Vectors
    probes: Vectors

    def best(self, camera: int | None = None) -> list[set[int]]:
        """Rows of the ten most alike, of each probe."""
        similarities = self.probes @ self.tracks.T
        if camera is not None:
            others = np.arange(len(self.tracks)) // A_VIDEO % CAMERAS != camera
            similarities[:, others] = -2.0
        rows = np.argpartition(-similarities, TOP, axis=1)[:, :TOP]
        return [set(row) for row in rows.tolist()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 300_000])
    parser.add_argument("--probes", type=int, default=100)
    parser.add_argument("--write", action="store_true", help="into tests/bench/README.md")
    given = parser.parse_args()
    before = usage({"bench": [os.getpid()]})
    people = SimulatedPeople(max(given.sizes))
    tracks = np.concatenate(list(people.tracks(A_VIDEO)))
    probes = people.seen(np.random.default_rng(1).choice(people.whose, given.probes))
    programs = pgvector_folder()
    assert programs is not None, "needs pgserver"
    server = Postgres(programs, is_copied=True)
    server.start()
    try:
        tables = measure(Bench(server), tracks, probes, sorted(given.sizes))
    finally:
        server.remove()
    share = (usage({"bench": [os.getpid()]}) - before).others_share
    beside = f"others and the server, which used {share:.0%} of the processor meanwhile"
    text = "\n\n".join([conditions("psycopg", beside=beside), *tables])
    Console(width=150).print(Markdown(text))
    if given.write:
        write_section("pgvector_search.py", text)


def measure(bench: Bench, tracks: Vectors, probes: Vectors, sizes: Sequence[int]) -> list[str]:
    exact, built, found = list[list[str]](), list[list[str]](), list[list[str]]()
    for size in sizes:
        crowd = Crowd(tracks[:size], probes)
        bench.fill(crowd.tracks)
        exact.append([f"{size:,}", *bench.searches(bench.exactly(), crowd, 20)[:3]])
        lists = lists_for(size)
        with bench.making() as took:
            bench.archive(0).make_index(lambda *_: None)
        built.append([f"{size:,}", f"IVFFlat, {lists} lists", *took])
        built_in = min(BUILT_IN, lists // 2)
        for number in sorted({built_in, *(count for count in LISTS if 2 * count <= lists)}):
            mark = " (built in)" if number == built_in else ""
            of_all = bench.searches(bench.by_lists(number), crowd)
            of_camera = bench.searches(bench.by_lists(number, CAMERA), crowd, camera=CAMERA)
            found.append([f"{size:,}", f"{number} of {lists} lists{mark}", *of_all])
            found.append([f"{size:,}", f"the same, one camera of {CAMERAS}", *of_camera])
        bench.execute("DROP INDEX edge_reid_archive.tracks_by_embedding")
        with bench.making() as took:
            bench.make_hnsw()
        built.append([f"{size:,}", "HNSW, m = 16, ef_construction = 64", *took])
        for number in CANDIDATES:
            of_all = bench.searches(bench.by_hnsw(number), crowd)
            found.append([f"{size:,}", f"HNSW, {number} candidates", *of_all])
        bench.execute("DROP INDEX edge_reid_archive.hnsw")
    times = ("p50 ms", "p95 ms", "processor ms")
    return [
        markdown_table(("tracks, exactly", *times), exact),
        markdown_table(("tracks", "index", "made in s", "processor s", "memory MB", "MB"), built),
        markdown_table(("tracks", "searched", *times, "recall", "of one in 20"), found),
    ]


class Bench:
    """A server with an archive in it."""

    def __init__(self, server: Postgres) -> None:
        self._server, self._videos = server, 0
        PostgresArchive.create(server.url, MODELS)

    def archive(self, exact_tracks: int) -> PostgresArchive:
        return PostgresArchive(self._server.url, MODELS, exact_tracks=exact_tracks)

    def execute(self, statement: str) -> list[tuple[int]]:
        with psycopg.connect(self._server.url, autocommit=True) as db:
            cursor = db.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def fill(self, tracks: Vectors) -> None:
        """Add the videos that are not there yet."""
        archive, wanted = self.archive(0), len(tracks) // A_VIDEO
        with counting("videos added") as progress:
            for number in range(self._videos, wanted):
                rows = range(number * A_VIDEO, (number + 1) * A_VIDEO)
                camera = f"camera-{number % CAMERAS}"
                listed = tuple(a_track(f"{number}.mp4", camera, row) for row in rows)
                archive.add(VideoTracks(sha256_of(number), listed, tracks[rows.start : rows.stop]))
                progress(number + 1, wanted)
        self._videos = wanted
        self.execute(f"VACUUM ANALYZE {TRACKS}")

    def exactly(self) -> Find:
        return self._finding(self.archive(1 << 40), None)

    def by_lists(self, lists: int, camera: int | None = None) -> Find:
        vector_search.LISTS_SEARCHED = lists
        return self._finding(self.archive(0), camera)

    def by_hnsw(self, candidates: int) -> Find:
        def find(vector: Vector) -> set[int]:
            with psycopg.connect(self._server.url) as db:
                db.execute("SET enable_seqscan = off")
                db.execute(f"SET hnsw.ef_search = {candidates}".encode())
                nearest = f"SELECT track_id FROM {TRACKS} ORDER BY embedding <#> %s::vector"
                query = f"{nearest} LIMIT {TOP}".encode()
                return {number for (number,) in db.execute(query, (vector_text(vector),))}

        return find

    def make_hnsw(self) -> None:
        with psycopg.connect(self._server.url, autocommit=True) as db:
            db.execute("SET maintenance_work_mem = '2GB'")
            db.execute("SET max_parallel_maintenance_workers = 0")
            db.execute(
                f"CREATE INDEX hnsw ON {TRACKS} USING hnsw (embedding vector_ip_ops)".encode()
            )

    @contextmanager
    def making(self) -> Iterator[list[str]]:
        """What making an index took: wall and processor time, memory, size; filled at the end."""
        took: list[str] = []
        before_mb = self._index_mb()
        started_s, processor_s = time.monotonic(), self._processor_s()
        with PeakMemory(self._server.process) as peak:
            yield took
        took += [f"{time.monotonic() - started_s:.0f}", f"{self._processor_s() - processor_s:.0f}"]
        took += [f"{peak.most_mb:.0f}", f"{self._index_mb() - before_mb:.0f}"]

    def searches(
        self, find: Find, crowd: Crowd, count: int | None = None, camera: int | None = None
    ) -> list[str]:
        """Wall times, processor time and recall of searches, each for the second time."""
        probes, best = crowd.probes[:count], crowd.best(camera)
        for probe in probes[:10]:
            find(probe)
        wall_ms, recalls = [], []
        processor_s = self._processor_s()
        for probe, expected in zip(probes, best, strict=False):
            started_s = time.perf_counter()
            found = find(probe)
            wall_ms.append(1000 * (time.perf_counter() - started_s))
            recalls.append(len(found & expected) / TOP)
        processor_ms = 1000 * (self._processor_s() - processor_s) / len(probes)
        p50, p95 = np.percentile(wall_ms, [50, 95])
        share = [f"{np.mean(recalls):.4f}", f"{np.quantile(recalls, 0.05):.2f}"]
        return [f"{p50:.0f}", f"{p95:.0f}", f"{processor_ms:.1f}", *share]

    def _finding(self, archive: PostgresArchive, camera: int | None) -> Find:
        name = None if camera is None else f"camera-{camera}"

        def find(vector: Vector) -> set[int]:
            found = archive.find(vector, top=TOP, camera=name, progress=lambda *_: None)
            return {match.track.track_id for match in found.matches}

        return find

    def _processor_s(self) -> float:
        """Of the server and of all its processes that have ended."""
        time.sleep(0.05)  # the last one ends
        fields = Path(f"/proc/{self._server.process}/stat").read_text().rsplit(")", 1)[1].split()
        return sum(map(int, fields[11:15])) * _TICK_S

    def _index_mb(self) -> float:
        ((size,),) = self.execute(f"SELECT pg_indexes_size('{TRACKS}')")
        return size / 1e6


class PeakMemory:
    """A context manager that watches the processes of a server."""

    def __init__(self, server: int) -> None:
        self._server, self._is_over = server, threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.most_mb = 0.0
        """The most that one of them had of its own."""

    def __enter__(self) -> PeakMemory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _watch(self) -> None:
        children = Path(f"/proc/{self._server}/task/{self._server}/children")
        while not self._is_over.wait(0.05):
            for child in children.read_text().split():
                with suppress(OSError, StopIteration):
                    lines = Path(f"/proc/{child}/status").read_text().splitlines()
                    own = next(line for line in lines if line.startswith("RssAnon"))
                    self.most_mb = max(self.most_mb, int(own.split()[1]) / 1e3)


if __name__ == "__main__":
    main()
