"""How long the gallery doctor takes, and in how much memory: `python tests/bench/doctor.py`.

The gallery is made up: 10,000 people of 5 templates of 256 numbers, one in a thousand misfiled.
Measured, not asserted: the figures belong to the machine they were taken on.
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np
from rich.console import Console

from edge_reid.cli.verb_progress import counting
from edge_reid.core.types import Template
from edge_reid.diagnostics.benchmark import describe_machine
from edge_reid.gallery.findings import Bars
from edge_reid.gallery.gallery_doctor import examine

BARS = Bars(threshold=0.75, margin=0.05, genuine=(0.02, 0.38), quality=0.2)
SIMILARITY = 0.9
"""Of each template to what its person looks like."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--people", type=int, default=10_000)
    parser.add_argument("--each", type=int, default=5)
    options = parser.parse_args()
    templates, misfiled = crowd(options.people, options.each)
    before_mb = memory_mb()
    started_s, worked_s = time.perf_counter(), time.process_time()
    with counting("comparing templates") as progress:
        findings = examine(templates, BARS, progress=progress)
    wall_s, cpu_s = time.perf_counter() - started_s, time.process_time() - worked_s
    found = {n for each in findings if each.disable for n in each.template_ids}
    console = Console()
    console.print(f"{len(templates):,} templates on {describe_machine()}")
    console.print(f"{wall_s:.1f} s, {cpu_s:.1f} s of processor time")
    console.print(f"{memory_mb() - before_mb:.0f} MB above the {before_mb:.0f} before")
    console.print(f"{len(found & misfiled)} of {len(misfiled)} misfiled found")
    console.print(f"{len(found - misfiled)} others to be disabled")


def crowd(people: int, each: int) -> tuple[list[Template], set[int]]:
    rng = np.random.default_rng(0)
    centres = np.repeat(unit(rng.standard_normal((people, 256), np.float32)), each, axis=0)
    misfiled = rng.choice(len(centres), len(centres) // 1000, replace=False)
    centres[misfiled] = centres[(misfiled + each * (people // 2)) % len(centres)]
    away = unit(rng.standard_normal(centres.shape, np.float32))
    vectors = unit(SIMILARITY * centres + np.sqrt(1 - SIMILARITY**2) * away)
    templates = [
        Template(f"person {n // each}", vector, "0" * 16, 0.6, f"{n:064x}", 0.0, n)
        for n, vector in enumerate(vectors)
    ]
    return templates, set(map(int, misfiled))


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def memory_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
