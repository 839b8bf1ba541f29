"""Seconds and memory of an evaluation of Market-1501's size: `python tests/bench/evaluation.py`.

Random unit vectors stand for embeddings: 3,368 queries against 19,732 pictures of 750 people and
distractors, 256 numbers each. Goal: 2 GB at most. Measured, not asserted.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import time

import numpy as np
from rich.console import Console
from rich.table import Table

from edge_reid.diagnostics.benchmark import describe_machine
from trainer.scoring.openset import Setup, open_set_trials
from trainer.scoring.ranking_metrics import People, rank_gallery
from trainer.scoring.track_means import crops_per_track
from trainer.scoring.verification import FARS, pair_similarities, roc, tars_at_fars

PEOPLE, CAMERAS, DISTRACTORS = 750, 6, 2_798


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--queries", type=int, default=3_368)
    parser.add_argument("--gallery", type=int, default=19_732)
    parser.add_argument("--dimension", type=int, default=256)
    options = parser.parse_args()
    query, gallery = crowd(options.queries, options.gallery, options.dimension)

    title = f"{options.queries:,} × {options.gallery:,} × {options.dimension}, {describe_machine()}"
    table = Table(title=f"{title}, load {os.getloadavg()[0]:.1f}", title_justify="left")
    for column in ("step", "seconds", "CPU seconds", "peak memory so far"):
        table.add_column(column, justify="right")
    table.add_row("start", "", "", peak())
    for name, step in (
        ("rank: CMC, mAP, mINP", lambda: rank_gallery(query, gallery)),
        ("verify: pairs, TAR at 3 FARs, ROC", lambda: verify(query, gallery)),
        ("open set: 10 draws of 5-shot tracks", lambda: open_set(query, gallery)),
    ):
        started, used = time.perf_counter(), time.process_time()
        step()
        took = time.perf_counter() - started, time.process_time() - used
        table.add_row(name, *(f"{seconds:.1f}" for seconds in took), peak())
    Console().print(table)


def verify(query: People, gallery: People) -> None:
    impostor, genuine = pair_similarities(query, gallery)
    tars_at_fars(impostor, genuine, FARS)
    roc(impostor, genuine)


def open_set(query: People, gallery: People) -> None:
    known = gallery.take((gallery.labels >= 0) & (gallery.labels < PEOPLE))
    everybody = People(
        *(np.concatenate(parts) for parts in zip(rows(query), rows(known), strict=True))
    )
    open_set_trials(everybody, Setup(shots=crops_per_track()))


def rows(people: People) -> tuple[np.ndarray, ...]:
    return people.embeddings, people.labels, people.cameras, people.qualities


def crowd(queries: int, gallery: int, dimension: int) -> tuple[People, People]:
    rng = np.random.default_rng(0)
    who = rng.integers(0, PEOPLE, gallery)
    who[:DISTRACTORS] = PEOPLE  # nobody's label
    return (
        draw(rng.integers(0, PEOPLE, queries), dimension, rng),
        draw(who, dimension, rng),
    )


def draw(labels: np.ndarray, dimension: int, rng: np.random.Generator) -> People:
    vectors = rng.standard_normal((len(labels), dimension), np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return People(vectors, labels, rng.integers(0, CAMERAS, len(labels)), np.ones(len(labels)))


def peak() -> str:
    unit_bytes = 1 if sys.platform == "darwin" else 1024
    return f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit_bytes / 1e6:,.0f} MB"


if __name__ == "__main__":
    main()
