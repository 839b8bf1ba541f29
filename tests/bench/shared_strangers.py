"""One name at two devices: `PYTHONPATH=tests python tests/bench/shared_strangers.py DATA`.

DATA is a labelled set of people whom two cameras saw, as for `unseen_cameras.py`: crops of one pass
at each. The first camera stands for the gate, the second for the yard, each a device with the real
files, recogniser, signed messages and exchange of an agent; there is no video, tracker or broker
between. Two questions:

* *walks over*: the gate sees half of the people, the yard hears of them, then it sees everybody.
  How many have the name that they had, how many another's, how many newcomers are somebody's?
* *named twice*: both see everybody before they hear of one another. How many have one name
  afterwards, and how many share one with somebody else?

Halves are drawn several times; figures are means, in people.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table
from support.crop_cache import cached_crops
from support.two_views import MemoryDevice, MemorySite, exchanged, without_waits

from edge_reid.core.bundled_models import EMBEDDING, shipped_model
from edge_reid.core.manifest import EmbeddingManifest, load_embedding_manifest
from edge_reid.core.types import Embedding
from trainer.data.datasets import read_source

RATES = (0.002, 0.01, 0.02, 0.05)
"""Of `share_target_fpir`; `target_fpir` is the default."""
DRAWS = 5

View = Mapping[str, Sequence[Embedding]]
"""What a camera saw of each person."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="labels.csv, or a folder, of people at two cameras")
    parser.add_argument("--model", type=Path, default=shipped_model(EMBEDDING))
    options = parser.parse_args()
    without_waits()
    manifest = load_embedding_manifest(options.model)
    views = both_views(options.model, manifest, options.data)
    people = sorted(views[0].keys() & views[1].keys())
    walks: defaultdict[float, Counter[str]] = defaultdict(Counter)
    twice: dict[float, Counter[str]] = {}
    runs = [(rate, seed) for rate in RATES for seed in range(DRAWS)]
    for rate, seed in track(runs, "runs", console=Console(stderr=True)):
        drawn = np.random.default_rng(seed).permutation(people)
        walks[rate] += walked_over(manifest, views, set(drawn[: len(people) // 2]), rate)
        if seed == 0:
            twice[rate] = named_twice(manifest, views, people, rate)
    print(f"{len(people)} people at two cameras, {DRAWS} draws of {len(people) // 2} for the gate")
    for title, found, each in (("walks over", walks, DRAWS), ("named twice", twice, 1)):
        Console().print(table(title, found, each))


def both_views(model: Path, manifest: EmbeddingManifest, data: Path) -> tuple[View, View]:
    """What each of the two cameras saw of everybody."""
    source = read_source(data)
    crops = cached_crops(model, source.paths)
    found: dict[int, defaultdict[str, list[Embedding]]] = {}
    for row, quality, camera, person in zip(
        crops.rows, crops.qualities, source.cameras, source.labels, strict=True
    ):
        looks = found.setdefault(int(camera), defaultdict(list))[f"{person}"]
        looks.append(Embedding(row, manifest.model_id, float(quality)))
    first, second = (found[camera] for camera in sorted(found))
    return first, second


@contextmanager
def gate_and_yard(
    manifest: EmbeddingManifest, rate: float
) -> Iterator[tuple[MemoryDevice, MemoryDevice]]:
    with tempfile.TemporaryDirectory() as folder:
        site = MemorySite(Path(folder))
        with (
            MemoryDevice(site, "gate-1", manifest, share_target_fpir=rate) as gate,
            MemoryDevice(site, "yard-1", manifest, share_target_fpir=rate) as yard,
        ):
            yield gate, yard


def walked_over(
    manifest: EmbeddingManifest, views: tuple[View, View], known: set[str], rate: float
) -> Counter[str]:
    """The gate sees those who are known; then the yard sees everybody."""
    counts: Counter[str] = Counter()
    with gate_and_yard(manifest, rate) as (gate, yard):
        owner: dict[str | None, str] = {}
        for person in sorted(known):
            owner.setdefault(gate.sees(views[0][person]), person)
        exchanged(gate, yard)
        for person in sorted(views[1]):
            was = owner.get(yard.sees(views[1][person]))
            kind = "who was at the gate" if person in known else "newcomers"
            outcome = "that name" if was == person else "another's name" if was else "a new name"
            counts[f"{kind}: {outcome}"] += 1
        counts["people who share a name at the gate"] += len(known) - len(owner)
    return counts


def named_twice(
    manifest: EmbeddingManifest, views: tuple[View, View], people: Sequence[str], rate: float
) -> Counter[str]:
    """Both see everybody, and then hear of one another."""
    counts: Counter[str] = Counter()
    with gate_and_yard(manifest, rate) as devices:
        given = [
            {person: device.sees(view[person]) for person in people}
            for device, view in zip(devices, views, strict=True)
        ]
        exchanged(*devices)
        at_gate, at_yard = (
            {person: device.heard.renamed().get(str(name), name) for person, name in names.items()}
            for device, names in zip(devices, given, strict=True)
        )
        for person in people:
            others = {name for other, name in at_yard.items() if other != person}
            one = at_gate[person] == at_yard[person]
            wrong = at_gate[person] in others
            counts["one name" if one else "another's name" if wrong else "two names"] += 1
    return counts


def table(title: str, found: Mapping[float, Counter[str]], runs: int) -> Table:
    """People in the mean of the runs, a row for each outcome."""
    shown = Table(title=title, title_justify="left")
    shown.add_column("share_target_fpir")
    for rate in found:
        shown.add_column(f"{rate:g}", justify="right")
    for outcome in sorted({outcome for counts in found.values() for outcome in counts}):
        shown.add_row(outcome, *(f"{counts[outcome] / runs:.1f}" for counts in found.values()))
    return shown


if __name__ == "__main__":
    main()
