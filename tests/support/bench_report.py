"""What a bench has measured, where people read it: a section of `tests/bench/README.md`."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path

from edge_reid.diagnostics.benchmark import describe_machine

README = Path(__file__).parents[1] / "bench" / "README.md"


def markdown_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Its first column to the left, the others to the right."""
    lines = [headings, ["---", *["---:"] * (len(headings) - 1)], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def conditions(*libraries: str, beside: str) -> str:
    """Machine, libraries, day and what ran beside, in one sentence."""
    named = ", ".join(f"{library} {version(library)}" for library in libraries)
    kernel = platform.release().split("-")[0]
    day = datetime.now(timezone.utc).date().isoformat()
    return f"{describe_machine()}, kernel {kernel}, {named}; {day}; beside it ran {beside}."


def write_section(script: str, text: str, readme: Path = README) -> None:
    """Replace what stands between the two marks of a script.

    Raises:
        ValueError: the page has no such marks.
    """
    page = readme.read_text(encoding="utf-8")
    marks = re.compile(rf"(<!-- {re.escape(script)} -->\n).*?(<!-- end -->)", re.DOTALL)
    filled, found = marks.subn(lambda match: f"{match[1]}\n{text.strip()}\n\n{match[2]}", page)
    if found != 1:
        raise ValueError(f"{readme}: expected one section <!-- {script} -->, got {found}; add it")
    readme.write_text(filled, encoding="utf-8")
