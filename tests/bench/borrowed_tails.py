"""Do a fine-tune's thresholds hold? `PYTHONPATH=tests python tests/bench/borrowed_tails.py DATA…`.

DATA are labelled sets of cameras that the shipped model never saw. In place of fine-tunes, which
take hours, are changes of its embeddings that 24 people of a set teach: their spread made equal in
all directions, a little or much. A few more are held out, the others show what thresholds of these
lead to: shares of comparisons taken for somebody over the share promised, and comparisons of one
person missed. Beside `with_tail` are the shipped table as it is, and the few people's alone.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from support.unseen_sets import UnseenSet, unseen_set

from edge_reid.core.bundled_models import EMBEDDING, shipped_model
from edge_reid.core.manifest import load_embedding_manifest
from edge_reid.matching.threshold import threshold_for
from edge_reid.matching.vectors import unit_rows
from trainer.data.datasets import PersonData
from trainer.scoring.crop_embeddings import CropEmbeddings
from trainer.scoring.ranking_metrics import IntArray, People
from trainer.thresholds.borrowed_tail import with_tail
from trainer.thresholds.similarities import Quantiles, decision_similarities
from trainer.thresholds.threshold_table import Embedded, calibrate, table

TAUGHT_BY = 24
HELD_OUT = (12, 20, 40)
FEWEST_OTHERS = 20
STRENGTHS = (0.0, 1.0, 5.0)
"""Of the change: the spread of one person's crops over what is added to it."""
SHARES = (0.01, 0.001, 0.0001)

Key = tuple[float, int, float, str]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, nargs="+", help="labelled sets of unseen cameras")
    parser.add_argument("--draws", type=int, default=3, help="of people, for each set")
    options = parser.parse_args()
    model = shipped_model(EMBEDDING)
    shipped = load_embedding_manifest(model).impostor_quantiles
    found: defaultdict[Key, list[tuple[float, float]]] = defaultdict(list)
    for data in options.data:
        unseen = unseen_set(model, data)
        for draw in range(options.draws):
            for key, rates in tried(unseen, shipped, draw):
                found[key].append(rates)
    shown = Table(title=f"{model.stem}, {options.draws} draws of each set", title_justify="left")
    for name in ("change", "held out", "share", "table", "times the share: mean", "most", "missed"):
        shown.add_column(name, justify="right")
    for (strength, people, share, way), rates in sorted(found.items()):
        times, missed = np.array(rates).T
        cells = f"{times.mean():.2f}", f"{times.max():.1f}", f"{100 * missed.mean():.0f} %"
        shown.add_row(f"{strength:g}", str(people), f"{100 * share:g} %", way, *cells)
    Console().print(shown)


def tried(
    unseen: UnseenSet, shipped: Quantiles, draw: int
) -> Iterator[tuple[Key, tuple[float, float]]]:
    """What each table leads to on the people of a set who were neither taught nor held out."""
    order = np.random.default_rng([3, draw]).permutation(unseen.sizes[0])
    for held_out in HELD_OUT:
        first_other = TAUGHT_BY + held_out
        if len(order) - first_other < FEWEST_OTHERS:
            continue
        for strength in STRENGTHS:
            people = changed(unseen.people, order[:TAUGHT_BY], strength)
            few = part_of(people, order[TAUGHT_BY:first_other])
            own = table(calibrate([few], sizes=(), replicates=1).impostor)
            others = part_of(people, order[first_other:])
            impostor, genuine = decision_similarities(others.data, others.crops)
            tables = {"shipped": shipped, "own": own, "continued": with_tail(own, shipped)}
            for way, quantiles in tables.items():
                for share in SHARES:
                    threshold = threshold_for(quantiles, share, 1)
                    rates = np.mean(impostor >= threshold) / share, np.mean(genuine < threshold)
                    yield (strength, held_out, share, way), (float(rates[0]), float(rates[1]))


def changed(people: People, teachers: Sequence[int] | IntArray, strength: float) -> People:
    """Embeddings in which crops of one of the teachers are spread more evenly."""
    taught = people.take(np.isin(people.labels, teachers))
    means = {who: taught.embeddings[taught.labels == who].mean(axis=0) for who in teachers}
    apart = taught.embeddings - np.stack([means[who] for who in taught.labels])
    spread = apart.T @ apart / len(apart)
    values, directions = np.linalg.eigh(strength * spread / spread.trace() * len(spread))
    scaled = directions / np.sqrt(np.maximum(values, 0) + 1)
    rows = unit_rows(people.embeddings @ (scaled @ directions.T))
    return People(rows, people.labels, people.cameras, people.qualities)


def part_of(people: People, labels: IntArray) -> Embedded:
    """Some of the people, as a data set."""
    chosen = people.take(np.isin(people.labels, labels))
    paths = tuple(Path(f"{row}.jpg") for row in range(len(chosen.labels)))
    names = tuple(f"person-{label}" for label in range(int(people.labels.max()) + 1))
    data = PersonData(paths, chosen.labels, chosen.cameras, names)
    return Embedded("part", data, CropEmbeddings(chosen.embeddings, chosen.qualities))


if __name__ == "__main__":
    main()
