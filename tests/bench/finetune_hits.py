"""Does a fine-tune name more on the device? `python tests/bench/finetune_hits.py DATA`.

DATA is a labelled set of cameras that the shipped model never saw, with eight photos or more of
each person. Some people are yours: of each camera the earlier half of their photos is trained on,
and a few of these are enrolled; the later half walks by. All others are strangers. Train and
export (of a MobileNet with its mirror image, as it is shipped) are verbs, in processes of their own
with one thread each, and train for as many steps as they do by themselves: a limit of minutes would
end them early on a busy machine. Gallery, threshold and decision are the agent's code, a photo at a
time.

Printed are hits of yours, photos of yours under another name, and strangers taken for somebody:
with the shipped model, and with the fine-tune, whether or not `export` refuses it. The hits "at
1 %" are those at a threshold that one stranger in a hundred reaches: what the network can do,
whatever its table of thresholds says.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from rich.console import Console
from rich.table import Table

from edge_reid.agent.policy import MatchPolicy
from edge_reid.core.bundled_models import (
    EMBEDDING,
    MOBILENET_EMBEDDING,
    QUICK_OPEN_EMBEDDING,
    shipped_model,
)
from edge_reid.core.config.decide_settings import DecideSettings
from edge_reid.core.manifest import load_embedding_manifest
from edge_reid.core.types import Embedding, GallerySnapshot, Known
from edge_reid.matching.decide import decide
from edge_reid.matching.gallery_thresholds import GalleryThresholds
from edge_reid.matching.index import Index
from trainer.data.datasets import PersonData, read_source
from trainer.scoring.crop_embeddings import CropEmbeddings
from trainer.scoring.evaluate import embed_with_file

FEWEST_PHOTOS = 8
STARTS = {
    "shipped": EMBEDDING,
    "open": QUICK_OPEN_EMBEDDING,
    "mobilenet": MOBILENET_EMBEDDING,
}
"""What `train --start` begins with, as it is shipped."""
MOST_STRANGERS = 200
"""Photos of strangers looked up, evenly of all."""


@dataclass(frozen=True, slots=True)
class Photo:
    """A person crop, and whose it is."""

    path: Path
    person: str


@dataclass(frozen=True, slots=True)
class Task:
    """Photos trained on, enrolled of these, and two kinds that walk by."""

    trained: tuple[Photo, ...]
    enrolled: tuple[Photo, ...]
    unseen: tuple[Photo, ...]
    strangers: tuple[Photo, ...]


@dataclass(frozen=True, slots=True)
class Hits:
    """What a device made of the photos that walked by."""

    right: int
    wrong: int
    strangers: int
    threshold: float
    at_one_per_cent: int
    """Right at the similarity that one in a hundred strangers reaches."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--people", type=int, nargs="+", default=[10, 60])
    parser.add_argument("--templates", type=int, default=2, help="enrolled of each person")
    parser.add_argument("--photos", type=int, default=4, help="unseen ones of each person")
    parser.add_argument("--start", choices=tuple(STARTS), default="shipped")
    parser.add_argument("--draws", type=int, default=1, help="of people, for each number of them")
    options = parser.parse_args()
    table = Table(title=f"{options.data}", title_justify="left")
    columns = (
        "people",
        "model",
        "hits",
        "under another name",
        "strangers named",
        "threshold",
        "hits at 1 %",
    )
    for name in (*columns, "minutes"):
        table.add_column(name, justify="right")
    data = read_source(options.data)
    for people in options.people:
        for draw in range(1, options.draws + 1):
            made = task(data, people, options.templates, options.photos, draw)
            for row in rows(made, options.start):
                table.add_row(str(people), *row)
    Console(width=120).print(table)


def task(data: PersonData, people: int, templates: int, photos: int, draw: int) -> Task:
    """Whom to train on, and who walks by; the same in every run of this draw."""
    labels, counts = np.unique(data.labels[data.labels >= 0], return_counts=True)
    fitting = np.random.default_rng(draw).permutation(labels[counts >= FEWEST_PHOTOS])
    if people >= len(fitting):
        raise SystemExit(f"expected more than {people} people of {FEWEST_PHOTOS} photos and more")
    trained: list[Photo] = []
    enrolled: list[Photo] = []
    unseen: list[Photo] = []
    for who in fitting[:people]:
        earlier, later = halves(data, int(who))
        trained += earlier
        enrolled += spread(earlier, templates)
        unseen += spread(later, photos)
    others = [photo for who in fitting[people:] for photo in photos_of(data, int(who))]
    return Task(*map(tuple, (trained, enrolled, unseen, spread(others, MOST_STRANGERS))))


def halves(data: PersonData, who: int) -> tuple[list[Photo], list[Photo]]:
    """The earlier and the later photos of a person, of each camera."""
    earlier, later = [], []
    rows = np.flatnonzero(data.labels == who)
    for camera in np.unique(data.cameras[rows]):
        there = [photo_at(data, row) for row in rows[data.cameras[rows] == camera]]
        middle = (len(there) + 1) // 2
        earlier += there[:middle]
        later += there[middle:]
    return earlier, later


def photos_of(data: PersonData, who: int) -> list[Photo]:
    return [photo_at(data, row) for row in np.flatnonzero(data.labels == who)]


def photo_at(data: PersonData, row: int) -> Photo:
    return Photo(data.paths[row], f"person-{data.labels[row]}")


def spread(photos: Sequence[Photo], count: int) -> list[Photo]:
    """So many of them at most, evenly."""
    chosen = np.linspace(0, len(photos) - 1, min(count, len(photos))).round().astype(int)
    return [photos[number] for number in chosen]


def rows(made: Task, start: str) -> Iterator[tuple[str, ...]]:
    """Cells of the shipped model, and of the fine-tune of it."""
    shipped = shipped_model(STARTS[start])
    yield (start, *cells(made, looked_up(shipped, made)), "")
    with TemporaryDirectory() as folder:
        began_s = time.monotonic()
        model, refusal = fine_tune(made, start, Path(folder))
        took = f"{(time.monotonic() - began_s) / 60:.1f}"
        title = f"fine-tune{', refused' if refusal else ''}"
        yield (title, *cells(made, looked_up(model, made)), took)
        if refusal:
            print(refusal, file=sys.stderr)


def cells(made: Task, hits: Hits) -> tuple[str, ...]:
    return (
        f"{hits.right} of {len(made.unseen)}",
        str(hits.wrong),
        f"{hits.strangers} of {len(made.strangers)}",
        f"{hits.threshold:.3f}",
        str(hits.at_one_per_cent),
    )


def fine_tune(made: Task, start: str, folder: Path) -> tuple[Path, str]:
    """The file that a user gets, and why `export` refuses it; nothing where it does not."""
    data, run, model = folder / "mine", folder / "run", folder / "mine.tflite"
    for number, photo in enumerate(made.trained):
        (data / photo.person).mkdir(parents=True, exist_ok=True)
        link = data / photo.person / f"{number:05}{photo.path.suffix}"
        link.symlink_to(photo.path.resolve())
    verb("train", data, "--start", start, "--out", run)
    mirror = ["--mirror"] if start == "mobilenet" else []
    refused = verb("export", run, "--out", model, *mirror, can_fail=True)
    return (model.with_suffix(".refused.tflite"), refused) if refused else (model, "")


def verb(*words: object, can_fail: bool = False) -> str:
    """Run `edge-reid …`; returns what it says when it fails."""
    one_thread = {"OMP_NUM_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1"}
    done = subprocess.run(
        ["nice", "-n", "10", sys.executable, "-m", "edge_reid", *map(str, words)],
        env=os.environ | one_thread,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode and not can_fail:
        raise SystemExit(f"edge-reid {words[0]}: {done.stderr}")
    print(done.stdout, file=sys.stderr)
    return done.stderr if done.returncode else ""


def looked_up(model: Path, made: Task) -> Hits:
    """Enrol, and decide about each photo that walks by."""
    manifest = load_embedding_manifest(model)
    thresholds = GalleryThresholds.of(manifest)
    names = tuple(dict.fromkeys(photo.person for photo in made.enrolled))
    vectors = embed_with_file(model, [photo.path for photo in made.enrolled]).rows
    labels = np.array([names.index(photo.person) for photo in made.enrolled], np.int32)
    snapshot = GallerySnapshot(names, labels, vectors, manifest.model_id, version=1)
    policy = MatchPolicy(Index(snapshot, fuse=thresholds.fuse), DecideSettings(), thresholds)
    unseen, strangers = (
        embed_with_file(model, [photo.path for photo in photos])
        for photos in (made.unseen, made.strangers)
    )
    names_seen = named(unseen, policy)
    right = sum(name == photo.person for name, photo in zip(names_seen, made.unseen, strict=True))
    wrong = sum(name is not None for name in names_seen) - right
    passed = sum(name is not None for name in named(strangers, policy))
    nearest = [policy.index.search(vector, 1)[0].similarity for vector in strangers.rows]
    equal = policy.with_threshold(float(np.quantile(nearest, 0.99)))
    at_one_per_cent = sum(
        name == photo.person for name, photo in zip(named(unseen, equal), made.unseen, strict=True)
    )
    return Hits(right, wrong, passed, policy.threshold, at_one_per_cent)


def named(crops: CropEmbeddings, policy: MatchPolicy) -> list[str | None]:
    """Whom the agent names, looking at a photo at a time."""
    decisions = [
        decide(
            [Embedding(vector, policy.index.model_id, quality)],
            policy.index,
            threshold=policy.threshold,
            settings=policy.rules,
            final=True,
        )
        for vector, quality in zip(crops.rows, crops.qualities, strict=True)
    ]
    return [found.identity if isinstance(found, Known) else None for found in decisions]


if __name__ == "__main__":
    main()
