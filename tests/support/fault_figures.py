"""The figures of the fault tests: each test records its own; this script makes the table of them.

    PYTHONPATH=tests python tests/support/fault_figures.py              # every fault test
    PYTHONPATH=tests python tests/support/fault_figures.py TEST_FILE…   # only these

Without a file the long ones run too; with some, the other rows stay as they are.

It writes the table into README.md beside it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parents[1] / "faults"
BEGIN, END = "<!-- figures -->\n", "<!-- end of figures -->\n"
COLLECT_INTO = "FAULT_FIGURES"


@dataclass(frozen=True)
class Figure:
    """What one fault cost."""

    fault: str
    tried: int
    """How often the fault was made to happen."""
    events: int | None = None
    """None, here and below: the test is not about that."""
    lost: int | None = None
    doubled: int | None = None
    """Told under two ids, or stored twice: what an idempotent consumer would still have twice."""


def of_hits(fault: str, tried: int, events: int, hits: list[dict[str, Any]]) -> Figure:
    """Of events numbered from 1 to `events`, and what a subscriber has heard of them."""
    once = {hit["event_id"]: hit["seq"] for hit in hits}
    lost = len(set(range(1, events + 1)) - set(once.values()))
    return Figure(fault, tried, events, lost, doubled=len(once) - len(set(once.values())))


def of_stored(fault: str, tried: int, events: int, stored: Sequence[tuple[int, str]]) -> Figure:
    """Of events numbered from 1 to `events`, and the number and id of each that a consumer has."""
    lost = len(set(range(1, events + 1)) - {number for number, _ in stored})
    doubled = len(stored) - len({event_id for _, event_id in stored})
    return Figure(fault, tried, events, lost, doubled)


def record(figure: Figure) -> None:
    """Note a figure, where somebody collects them."""
    if path := os.environ.get(COLLECT_INTO):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(figure), ensure_ascii=False) + "\n")


def table(figures: list[Figure]) -> str:
    lines = ["| fault | times tried | events | lost | doubled |", "|---|---:|---:|---:|---:|"]
    lines += [
        f"| {it.fault} | {it.tried:,} | {_or_dash(it.events)} | {_or_dash(it.lost)} "
        f"| {_or_dash(it.doubled)} |"
        for it in figures
    ]
    return "\n".join(lines) + "\n"


def merged(kept: list[str], new: str) -> str:
    """A table with the new rows in the place of those for the same fault, tried as often."""

    def fault_of(line: str) -> tuple[str, ...]:
        return tuple(line.split("|")[1:3])

    rows = {fault_of(line): line for line in [*kept, *new.splitlines()]}
    return "\n".join(rows.values()) + "\n"


def _or_dash(count: int | None) -> str:
    return "–" if count is None else f"{count:,}"


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "figures.jsonl"
        command = [sys.executable, "-m", "pytest", "-q", *(sys.argv[1:] or [str(HERE)])]
        environment = os.environ | {COLLECT_INTO: str(path)}
        if code := subprocess.run(command, env=environment, check=False).returncode:
            return code
        figures = [Figure(**json.loads(line)) for line in path.read_text("utf-8").splitlines()]
    readme = HERE / "README.md"
    before, _, rest = readme.read_text("utf-8").partition(BEGIN)
    old, _, after = rest.partition(END)
    kept = old.splitlines() if sys.argv[1:] else []
    readme.write_text(f"{before}{BEGIN}{merged(kept, table(figures))}{END}{after}", "utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
