"""Kinds of approximate index beside each other: how large, how fast, and what they find.

    PYTHONPATH=tests python tests/bench/ann_kinds.py [--tracks 300000] [--write]

Each has the same lists, of which 32 are searched; what it proposes is compared by the embeddings
themselves. Recall is of the ten most alike by exact search, with 40 and with 200 proposals. Times
are of FAISS alone, on one thread, without those comparisons.
"""

from __future__ import annotations

import argparse
import time

import faiss
import numpy as np
from rich.console import Console
from rich.markdown import Markdown
from support import simulated_embeddings
from support.bench_report import conditions, markdown_table, write_section
from support.simulated_embeddings import DIMENSION, SimulatedPeople

from edge_reid.archive.ann_index import PROBES
from edge_reid.core.types import Vectors

KINDS = ("SQ8", "SQ4", "PQ64x4fs", "RaBitQ")
PROPOSED = (40, 200)
TOP, SEARCHES, LISTS = 10, 100, 512


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tracks", type=int, default=300_000)
    parser.add_argument("--kinds", nargs="+", default=KINDS)
    parser.add_argument("--shared", type=float, help="of looks; 0: nobody is dressed alike")
    parser.add_argument("--write", action="store_true", help="into tests/bench/README.md")
    given = parser.parse_args()
    faiss.omp_set_num_threads(1)
    if given.shared is not None:
        simulated_embeddings.SHARED = given.shared
    people = SimulatedPeople(given.tracks)
    tracks = next(people.tracks(given.tracks))
    probes = people.seen(people.whose[:SEARCHES])
    best = np.argpartition(-(probes @ tracks.T), TOP, axis=1)[:, :TOP]
    rows = [measure(kind, tracks, probes, best) for kind in given.kinds]
    headings = ("kind", "bytes a track", "making, s", "search, ms", "recall of 40", "of 200")
    beside = f"others; {given.tracks:,} tracks, {PROBES} of {LISTS} lists, processor time"
    text = f"{conditions('faiss-cpu', beside=beside)}\n\n{markdown_table(headings, rows)}"
    Console(width=150).print(Markdown(text))
    if given.write:
        write_section("ann_kinds.py", text)


def measure(kind: str, tracks: Vectors, probes: Vectors, best: np.ndarray) -> list[str]:
    started_s = time.process_time()
    index = faiss.index_factory(DIMENSION, f"IVF{LISTS},{kind}", faiss.METRIC_INNER_PRODUCT)
    index.train(tracks[: 64 * LISTS])
    index.add(tracks)
    made_s = time.process_time() - started_s
    index.nprobe = PROBES
    index.search(probes[:1], TOP)
    took_ms, recalls = [], []
    for probe, expected in zip(probes, best, strict=True):
        for proposed in PROPOSED:
            started_s = time.process_time()
            _, found = index.search(probe[None], proposed)
            took_ms.append(1000 * (time.process_time() - started_s))
            recalls.append(len(set(found[0].tolist()) & set(expected.tolist())) / TOP)
    of_40, of_200 = np.reshape(recalls, (-1, 2)).mean(axis=0)
    figures = (f"{made_s:.0f}", f"{np.median(took_ms):.1f}", f"{of_40:.3f}", f"{of_200:.3f}")
    return [kind, str(index.code_size), *figures]


if __name__ == "__main__":
    main()
