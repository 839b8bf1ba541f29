"""Who keeps an anonymous name in the clip: `PYTHONPATH=tests python tests/bench/strangers.py`.

Nobody is enrolled, and the device begins without any strangers. The labels were made by eye; the
tracker's and the crops' settings were tuned on this clip, so this is no independent test. A track
counts once, by the name that its `end` tells; one whose best views show nobody labelled is left
out.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from support import campus

from edge_reid.core.geometry import Box

SETTINGS = """
site = "bench"
camera = "campus"
agent = "device"
gallery = "gallery.db"
[source]
uri = "{clip}"
[strangers]
"""


class Track(NamedTuple):
    """A track of somebody labelled, in the order in which they ended."""

    person: str
    stranger: str


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        events = run_agent(Path(scratch))
    tracks = list(labelled(events))
    ends = sum(event["type"] == "end" for event in events)
    print(f"{ends} tracks of unknown people ended, {len(tracks)} of somebody labelled")
    for outcome, count in Counter(outcomes(tracks)).most_common():
        print(f"{outcome:<52}{count:4}")
    print(f"{'names per person':<52}{names_per_person(tracks):7.2f}")
    print(f"{'tracks under a name that is mostly of their person':<52}{purity(tracks):7.2f}")


def labelled(events: Iterable[dict]) -> Iterator[Track]:
    seen: dict[int, str] = {}
    visits: dict[int, int | None] = {}
    for event in events:
        track_id, visit = event["track_id"], event["continues"]
        if visits.setdefault(track_id, visit) != visit:  # it goes on with somebody else
            seen.pop(track_id, None)
        visits[track_id] = visit
        frame = campus.frame_of(event["captured_at"])
        person = campus.who_is(Box(*event["box"]), frame)
        if person:
            seen[track_id] = person
        if event["type"] == "end" and track_id in seen and event["stranger"]:
            yield Track(seen[track_id], event["stranger"])


def outcomes(tracks: Iterable[Track]) -> Iterator[str]:
    names: defaultdict[str, set[str]] = defaultdict(set)
    first_owner: dict[str, str] = {}
    for person, stranger in tracks:
        owner = first_owner.setdefault(stranger, person)
        if person not in names:
            yield "first time: a new name" if owner == person else "first time: another's name"
        elif stranger in names[person]:
            yield "back again: a name they had before"
        else:
            yield "back again: a new name" if owner == person else "back again: another's name"
        names[person].add(stranger)


def names_per_person(tracks: Iterable[Track]) -> float:
    pairs = {(track.person, track.stranger) for track in tracks}
    return len(pairs) / len({person for person, _ in pairs})


def purity(tracks: list[Track]) -> float:
    people: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for person, stranger in tracks:
        people[stranger][person] += 1
    return sum(each.most_common(1)[0][1] for each in people.values()) / len(tracks)


def run_agent(folder: Path) -> list[dict]:
    config, lines = folder / "agent.toml", folder / "events.jsonl"
    config.write_text(SETTINGS.format(clip=campus.CLIP), encoding="utf-8")
    edge_reid("gallery", "init", folder / "gallery.db")
    edge_reid("run", "--config", config, "--events", lines, "--quiet")
    return [json.loads(line) for line in lines.read_text(encoding="utf-8").splitlines()]


def edge_reid(*words: object) -> None:
    command = [sys.executable, "-m", "edge_reid", *map(str, words)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
