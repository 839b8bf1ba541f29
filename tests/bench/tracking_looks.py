"""What looks bring where places leave a choice: `python tests/bench/tracking_looks.py`.

The agent's stages over clips whose detections are given, nobody enrolled, as shipped and by places
alone: IDF1, identity switches, and crops embedded a second of somebody seen. Clips are the campus
clip, still and shaken; with `--people DATA` simulated streets whose people are dressed as those of
a labelled set, which the model should not have been trained on.

    pip install --no-deps trackeval
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from support.dressed_street import dressed_clip, wardrobe
from support.replayed_pipeline import followed
from support.simulated_street import STREETS
from support.tracking_clips import TrackingClip, read_all, shaken_clip, still_clip
from tracking import PHASES, RATES_HZ, STREET_SEEDS, score

from edge_reid.core.types import Image

Filmed = tuple[TrackingClip, Sequence[Image]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--people", type=Path, help="a labelled set of people")
    parser.add_argument("--seeds", type=int, nargs="*", default=STREET_SEEDS)
    parser.add_argument("--rates-hz", type=float, nargs="*", default=RATES_HZ)
    asked = parser.parse_args()
    table = Table("clip", "Hz", "looks", "IDF1", "switches", "embedded a second and person")
    for clip, frames in streets(asked.people, asked.seeds) if asked.people else campus_clips():
        for rate_hz in asked.rates_hz:
            for by_looks in (False, True):
                idf1, switches, embedded = measure((clip, frames), rate_hz, by_looks=by_looks)
                shown = f"{idf1:.1f}", f"{switches:.1f}", f"{embedded:.2f}"
                table.add_row(clip.name, str(rate_hz), "yes" if by_looks else "no", *shown)
    Console(width=110).print(table)


def campus_clips() -> list[Filmed]:
    return [(clip, read_all(clip.pictures)) for clip in (still_clip(), shaken_clip())]


def streets(people: Path, seeds: Sequence[int]) -> list[Filmed]:
    looks = wardrobe(people)
    return [dressed_clip(street, seed, looks) for seed in seeds for street in STREETS]


def measure(filmed: Filmed, rate_hz: float, *, by_looks: bool) -> np.ndarray:
    """IDF1 in percent, switches, embeddings a second of a person seen: the mean over the phases."""
    clip, frames = filmed
    every = clip.fps / rate_hz
    rows = []
    for start in sorted({int(start) for start in np.linspace(0, every - 1, PHASES)}):
        looks = [round(number) for number in np.arange(start, len(clip.labels) - 0.5, every)]
        seen, embedded = followed(clip, frames, looks, by_looks=by_looks)
        idf1, _, _, switches, _ = score(clip, looks, seen)
        rows.append((idf1, switches, embedded * rate_hz / sum(map(len, seen.values()))))
    return np.mean(rows, axis=0)


if __name__ == "__main__":
    main()
