"""How long one probe takes against a gallery: `python tests/bench/match.py`.

Goal: 10 ms or less against 100,000 templates of 256 numbers on two x86 cores. Measured, not
asserted: the figures belong to the machine they were taken on, which the table names.
"""

from __future__ import annotations

import argparse
import os
import time

import numpy as np
from rich.console import Console
from rich.table import Table

from edge_reid.core.config.decide_settings import DecideSettings
from edge_reid.core.types import Embedding, GallerySnapshot, Vectors
from edge_reid.diagnostics.benchmark import describe_machine
from edge_reid.matching.decide import decide
from edge_reid.matching.index import Index

MODEL = "0" * 16
PHOTOS_PER_PERSON = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dimension", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=200)
    options = parser.parse_args()

    table = Table(
        title=f"one probe, {options.dimension} numbers, {machine()}", title_justify="left"
    )
    for title in (
        "templates",
        "compared as",
        "build ms",
        "search p50 ms",
        "search p95 ms",
        "decide p50 ms",
    ):
        table.add_column(title, justify="right")
    for templates in (100, 1_000, 10_000, 100_000):
        for fuse in (False, True):
            figures = measure(templates, options.dimension, options.repeats, fuse=fuse)
            table.add_row(f"{templates:,}", "people" if fuse else "templates", *figures)
    Console().print(table)


def measure(templates: int, dimension: int, repeats: int, *, fuse: bool) -> list[str]:
    rng = np.random.default_rng(0)
    snapshot = crowd(templates, dimension, rng)
    started = time.perf_counter()
    index = Index(snapshot, fuse=fuse)
    build_ms = 1000 * (time.perf_counter() - started)
    probes = unit(rng.normal(size=(repeats, dimension)))
    search_ms = timed(index.search, probes)
    settings = DecideSettings()
    decide_ms = timed(
        lambda probe: decide(
            [Embedding(probe, MODEL, 0.5)] * 5, index, threshold=0.5, settings=settings
        ),
        probes,
    )
    figures = build_ms, *np.percentile(search_ms, [50, 95]), np.median(decide_ms)
    return [f"{figure:.2f}" for figure in figures]


def timed(call, probes: Vectors) -> list[float]:
    call(probes[0])
    durations = []
    for probe in probes:
        started = time.perf_counter()
        call(probe)
        durations.append(1000 * (time.perf_counter() - started))
    return durations


def crowd(templates: int, dimension: int, rng: np.random.Generator) -> GallerySnapshot:
    people = max(1, templates // PHOTOS_PER_PERSON)
    vectors = unit(rng.standard_normal((templates, dimension), np.float32))
    labels = (np.arange(templates) % people).astype(np.int32)
    names = tuple(f"person {number}" for number in range(people))
    return GallerySnapshot(names, labels, vectors, MODEL, version=1)


def unit(vectors: np.ndarray) -> Vectors:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def machine() -> str:
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return f"{describe_machine()}, NumPy {np.__version__}{load}"


if __name__ == "__main__":
    main()
