"""Who is recognised in the campus clip: `PYTHONPATH=tests python tests/bench/recognition.py`.

Everybody who comes back in the clip is enrolled with photos of the first visit. The labels were
made by eye, the agent is the one that ships; its tracker and crop settings were tuned on this
clip, so this is no independent test. A track counts once, by what it was last told to be; one
whose best view shows nobody labelled, or two people, counts as unlabelled.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from support import campus

from edge_reid.core.geometry import Box


class Told(NamedTuple):
    """What the agent said of a track in the end, and what is true."""

    name: str | None
    truth: str | None
    frame: int


def main() -> None:
    returning = [person for person in campus.people() if len(person.visits) > 1]
    with tempfile.TemporaryDirectory() as scratch:
        tracks = run_agent(Path(scratch), returning)
    first_visits = {person.identity: person.visits[0].last_frame for person in returning}
    table = Counter((kind_of(track, first_visits), outcome_of(track)) for track in tracks)
    print(f"{len(first_visits)} enrolled: {', '.join(sorted(first_visits))}")
    print(f"{len(tracks)} tracks decided")
    for (kind, outcome), count in sorted(table.items()):
        print(f"{kind:<14}{outcome:<14}{count:4}")


def kind_of(track: Told, first_visits: dict[str, int]) -> str:
    if track.truth is None:
        return "unlabelled"
    if track.truth not in first_visits:
        return "stranger"
    return "came back" if track.frame > first_visits[track.truth] else "first visit"


def outcome_of(track: Told) -> str:
    if track.name is None:
        return "told unknown"
    return "right" if track.name == track.truth else "wrong name"


def run_agent(folder: Path, people: list[campus.Person]) -> list[Told]:
    gallery, lines = folder / "gallery.db", folder / "events.jsonl"
    edge_reid("gallery", "init", gallery)
    for name, photos in campus.write_photos(people, folder / "photos").items():
        edge_reid("gallery", "enroll", name, *photos, "--gallery", gallery)
    edge_reid(
        *("run", "--source", campus.CLIP, "--gallery", gallery, "--site", "bench"),
        *("--camera", "campus", "--events", lines, "--quiet"),
    )
    events = [json.loads(line) for line in lines.read_text(encoding="utf-8").splitlines()]
    return [told(event) for event in events if event["type"] == "end"]


def told(event: dict[str, str]) -> Told:
    frame = campus.frame_of(event["captured_at"])
    return Told(event["identity"], campus.who_is(Box(*event["box"]), frame), frame)


def edge_reid(*words: object) -> None:
    command = [sys.executable, "-m", "edge_reid", *map(str, words)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
