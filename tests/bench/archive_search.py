"""How long a search of an archive takes, and how many of the most alike it finds.

    PYTHONPATH=tests python tests/bench/archive_search.py FOLDER [--tracks 10000000] [--write]

Makes an archive of people who do not exist in FOLDER (10 million tracks: 13 GB, 3 minutes of a
core; one that is there is used again), searches growing parts of it exactly, makes the index
(2.6 GB; minutes of a core), and searches with it. Recall is of the ten most alike by exact search
over all tracks. Times are of `ArchiveSearch.find`, with all files in memory (`warm`); processor
time is what other programs do not lengthen.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.markdown import Markdown
from support.bench_report import conditions, markdown_table, write_section
from support.machine_load import Usage, usage
from support.simulated_archive import write_archive
from support.simulated_embeddings import Alikeness, SimulatedPeople, alikeness

from edge_reid.archive.ann_building import AnnSource, build_ann
from edge_reid.archive.ann_file import AnnFile
from edge_reid.archive.ann_index import AnnIndex
from edge_reid.archive.ann_upkeep import ann_path
from edge_reid.archive.archive_findings import ArchiveFindings
from edge_reid.archive.archive_search import ArchiveSearch
from edge_reid.archive.track_archive import ArchivedVideo, TrackArchive
from edge_reid.cli.verb_progress import counting
from edge_reid.core.files import read_json_or_none, write_whole
from edge_reid.core.types import Vector, Vectors

TOP = 10
A_VIDEO = 1000
EXACT_SIZES = (100_000, 250_000, 500_000, 1_000_000, 10_000_000)
LISTS = (16, 32, 64, 128)
CAMERA = "camera-7"
Best = list[set[int]]
"""Of each probe, the `track_id`s of the ten most alike."""


@dataclass(frozen=True, slots=True)
class Searches:
    """What some searches took, and what they found."""

    wall_ms: list[float]
    processor_ms: list[float]
    recall: float
    least_recall: float
    """Of one search in twenty."""

    @property
    def cells(self) -> list[str]:
        p50, p95 = np.percentile(self.wall_ms, [50, 95])
        share = [f"{self.recall:.4f}", f"{self.least_recall:.2f}"]
        return [f"{p50:.1f}", f"{p95:.1f}", f"{np.median(self.processor_ms):.1f}", *share]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tracks", type=int, default=10_000_000)
    parser.add_argument("--probes", type=int, default=200)
    parser.add_argument("--write", action="store_true", help="into tests/bench/README.md")
    given = parser.parse_args()
    before = usage({"bench": [os.getpid()]})
    people = SimulatedPeople(given.tracks)
    archive = the_archive(given.folder, people)
    videos = archive.videos()
    probes = people.seen(np.random.default_rng(1).choice(people.whose, given.probes))
    several = SimulatedPeople(4000, seen=4)
    hardness = alikeness(next(several.tracks(4000)), several.whose)
    best, of_camera = most_alike(archive, videos, probes)
    built = the_index(archive, videos)
    lines = [
        conditions("numpy", "faiss-cpu", beside=others(before)),
        exact_table(archive, videos, probes, of_camera),
        index_table(archive, videos, probes, best, of_camera),
        *index_figures(archive, built),
        hardness_text(hardness, archive, people, probes, best),
    ]
    text = "\n\n".join(lines)
    Console(width=150).print(Markdown(text))
    if given.write:
        write_section("archive_search.py", text)


def the_archive(folder: Path, people: SimulatedPeople) -> TrackArchive:
    expected = -(-len(people.whose) // A_VIDEO)
    if folder.exists() and len(list(folder.glob("*.jsonl"))) == expected:
        return TrackArchive.open(folder)
    with counting("tracks made") as progress:
        return write_archive(folder, people, tracks_a_video=A_VIDEO, progress=progress)


def most_alike(
    archive: TrackArchive, videos: Sequence[ArchivedVideo], probes: Vectors
) -> tuple[Best, Best]:
    """By exact search over all tracks, and over those of one camera."""
    all_rows, of_camera = Nearest(len(probes)), Nearest(len(probes))
    with counting("videos compared") as progress:
        for number, video in enumerate(videos):
            similarities = probes @ archive.vectors(video).T
            all_rows.take(similarities, number * A_VIDEO)
            if f"camera-{number % 20}" == CAMERA:
                of_camera.take(similarities, number * A_VIDEO)
            progress(number + 1, len(videos))
    return all_rows.best(), of_camera.best()


class Nearest:
    """The ten most alike so far, of each probe."""

    def __init__(self, probes: int) -> None:
        self._similarities = np.full((probes, TOP), -2.0, np.float32)
        self._rows = np.full((probes, TOP), -1)

    def take(self, similarities: Vectors, first: int) -> None:
        rows = np.broadcast_to(np.arange(similarities.shape[1]) + first, similarities.shape)
        both = np.concatenate([self._similarities, similarities], axis=1)
        order = np.argpartition(-both, TOP, axis=1)[:, :TOP]
        self._rows = np.take_along_axis(np.concatenate([self._rows, rows], axis=1), order, axis=1)
        self._similarities = np.take_along_axis(both, order, axis=1)

    def best(self) -> Best:
        return [set(rows) for rows in self._rows.tolist()]


def the_index(archive: TrackArchive, videos: Sequence[ArchivedVideo]) -> dict[str, float]:
    """What making it took; from an earlier run, if it is there."""
    path, figures = ann_path(archive), archive.folder.with_suffix(".built.json")
    if path.exists() and (earlier := read_json_or_none(figures, dict)):
        return earlier
    words = [sys.executable, __file__, str(archive.folder)]
    started_s = time.monotonic()
    done = subprocess.run(
        words, env=os.environ | {"BUILD": "1"}, check=True, stdout=subprocess.PIPE
    )
    processor_s, peak_mb = map(float, done.stdout.split())
    wall_s = time.monotonic() - started_s
    built = {"wall_s": wall_s, "processor_s": processor_s, "peak_mb": peak_mb}
    write_whole(figures, str(built).replace("'", '"').encode())
    return built


def build(folder: Path) -> None:
    """In a process of its own, whose memory is measured."""
    archive = TrackArchive.open(folder)
    with counting("tracks into the index") as progress:
        build_ann(ann_path(archive), AnnSource(archive, archive.videos(), progress))
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(used.ru_utime + used.ru_stime, used.ru_maxrss * 1024 / 1e6)  # maps no file


def exact_table(
    archive: TrackArchive, videos: Sequence[ArchivedVideo], probes: Vectors, of_camera: Best
) -> str:
    rows = []
    for size in EXACT_SIZES:
        if size > A_VIDEO * len(videos):
            break
        part = videos[: size // A_VIDEO]
        searched = probes[: max(3, min(20, 2_000_000 // size))]
        took = searches(ArchiveSearch(archive, part), searched, None)
        rows.append([f"{size:,}", *took.cells[:3]])
    return markdown_table(("tracks, exactly", "p50 ms", "p95 ms", "processor ms"), rows)


def index_table(
    archive: TrackArchive,
    videos: Sequence[ArchivedVideo],
    probes: Vectors,
    best: Best,
    of_camera: Best,
) -> str:
    index = AnnIndex(AnnFile(ann_path(archive)))
    search, shipped = ArchiveSearch(archive, videos, index), index._index.nprobe
    rows = []
    for lists in sorted({*LISTS, shipped}):
        index._index.nprobe = lists
        mark = " (built in)" if lists == shipped else ""
        took = searches(search, probes, best)
        rows.append([f"{lists} lists{mark}", *took.cells])
        took = searches(search, probes, of_camera, CAMERA)
        rows.append([f"{lists} lists{mark}, one camera of 20", *took.cells])
    headings = ("by the index", "p50 ms", "p95 ms", "processor ms", "recall", "of one in 20")
    return markdown_table(headings, rows)


def searches(
    search: ArchiveSearch, probes: Vectors, best: Best | None, camera: str | None = None
) -> Searches:
    """Every probe twice: what is measured is the second time, with all in memory."""
    wall_ms, processor_ms, recalls = [], [], []
    for number, probe in enumerate(probes):
        search.find(probe, top=TOP, camera=camera)
        wall_s, processor_s = time.perf_counter(), time.process_time()
        found = search.find(probe, top=TOP, camera=camera)
        processor_ms.append(1000 * (time.process_time() - processor_s))
        wall_ms.append(1000 * (time.perf_counter() - wall_s))
        recalls.append(recall(found, best[number]) if best else 1.0)
    return Searches(
        wall_ms, processor_ms, float(np.mean(recalls)), float(np.quantile(recalls, 0.05))
    )


def recall(found: ArchiveFindings, best: set[int]) -> float:
    return len(best & {match.track.track_id for match in found.matches}) / len(best)


def index_figures(archive: TrackArchive, built: dict[str, float]) -> list[str]:
    """How large it is, and what a new process needs for its first search."""
    size_mb = ann_path(archive).stat().st_size / 1e6
    words = [sys.executable, __file__, str(archive.folder)]
    colds = []
    for cold in ("1", ""):
        environment = os.environ | {"FIRST": "1", "COLD": cold}
        done = subprocess.run(words, env=environment, check=True, stdout=subprocess.PIPE, text=True)
        opened_ms, first_ms, used_mb = map(float, done.stdout.split())
        what = "nothing of the index in memory" if cold else "all in memory"
        colds.append(
            f"- a new process, {what}: {opened_ms:.0f} ms to list the videos and open the index, "
            f"{first_ms:.0f} ms for its first search, {used_mb:.0f} MB of its own"
        )
    made = (
        f"- made in {built['wall_s']:.0f} s, {built['processor_s']:.0f} s of processor time, with "
        f"{built['peak_mb']:.0f} MB at most; the file has {size_mb:.0f} MB"
    )
    return ["\n".join([made, *colds])]


def first_search(folder: Path, *, cold: bool) -> None:
    archive = TrackArchive.open(folder)
    path = ann_path(archive)
    if cold:
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    vector = archive.vectors_at(archive.videos()[5], [17])[0]
    started_s = time.perf_counter()
    search = ArchiveSearch(archive, archive.videos(), AnnIndex(AnnFile(path)))
    opened_s = time.perf_counter()
    search.find(vector, top=TOP)
    found_s = time.perf_counter()
    print(1000 * (opened_s - started_s), 1000 * (found_s - opened_s), own_mb())


def own_mb() -> float:
    """Memory of this process that is no file's, MB."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1e3


def hardness_text(
    made: Alikeness, archive: TrackArchive, people: SimulatedPeople, probes: Vectors, best: Best
) -> str:
    """How alike tracks are, and how dense an archive of so many is around a probe."""
    videos = archive.videos()
    nearest = [
        sorted(similar(archive, videos, probe, rows))
        for probe, rows in zip(probes, best, strict=True)
    ]
    first, tenth = np.median(nearest, axis=0)[[-1, 0]]
    shown = ", ".join(f"{similarity:.2f}" for similarity in made.others)
    same = ", ".join(f"{similarity:.2f}" for similarity in made.same)
    return (
        f"How hard it is: of pairs of two people one in 2, 10, 100, 1,000, 10,000 has a similarity "
        f"of {shown}; of pairs of one person 99, 90, 50, 10 in 100 have {same}; intrinsic "
        f"dimension {made.dimension:.0f}. {people.whose.max() + 1:,} people; in the median the "
        f"most alike of a probe has {first:.3f} and the tenth {tenth:.3f}."
    )


def similar(
    archive: TrackArchive, videos: Sequence[ArchivedVideo], probe: Vector, rows: set[int]
) -> list[float]:
    places = [divmod(row, A_VIDEO) for row in rows]
    return [float(archive.vectors_at(videos[at], [row])[0] @ probe) for at, row in places]


def others(before: Usage) -> str:
    share = (usage({"bench": [os.getpid()]}) - before).others_share
    return f"others, which used {share:.0%} of the processor meanwhile"


if __name__ == "__main__":
    if os.environ.get("BUILD"):
        build(Path(sys.argv[1]))
    elif os.environ.get("FIRST"):
        first_search(Path(sys.argv[1]), cold=bool(os.environ.get("COLD")))
    else:
        main()
