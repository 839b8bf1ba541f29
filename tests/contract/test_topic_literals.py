"""A topic is written in one place: the table of edge_reid/wire/topics.py."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_reid.wire.topics import CAMERA_LEVELS, TOPICS

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "edge_reid" / "wire" / "topics.py"
SOURCES = sorted({*ROOT.glob("edge_reid/**/*.py"), *ROOT.glob("deploy/**/*.py")} - {TABLE})

FIXED = {  # a name that was filled in stands between slashes, or ends the string
    topic.pattern.partition("{")[0] if "{" in topic.pattern else topic.pattern
    for topic in TOPICS
    if not topic.pattern.startswith("{")
} | {f"/{level}" for level in CAMERA_LEVELS}
"""`agents/`, `gallery/blob/`, `release/head`, `/hit`, …"""
TOPIC = re.compile("|".join(rf"(?:^|/|\0){re.escape(part.strip('/'))}(?:$|/)" for part in FIXED))
PLAIN_WORDS = {level.strip("/") for level in FIXED}
"""A level alone is a word, and no topic."""


def texts(source: str) -> Iterator[str]:
    """Every string of a module but its docstrings; what an f-string fills in becomes NUL."""
    tree = ast.parse(source)
    inner = {
        id(part)
        for node in ast.walk(tree)
        for part in ast.walk(node)
        if isinstance(node, ast.JoinedStr) and part is not node
    }
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(
                str(part.value) if isinstance(part, ast.Constant) else "\0" for part in node.values
            )
        elif isinstance(node, ast.Constant) and id(node) not in inner | prose:
            yield str(node.value)


def topics_in(source: str) -> list[str]:
    return [
        text
        for text in texts(source)
        if "/" in text and " " not in text and TOPIC.search(text) and text not in PLAIN_WORDS
    ]


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_topic_is_written_outside_the_table(source: Path) -> None:
    assert topics_in(source.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "line",
    [
        'f"{root}/{site}/agents/+/status"',
        'f"{where}/hit"',
        '"edge-reid/lab/gate/unknown"',
        'f"{prefix}agents/{name}/update"',
        'topic.endswith("/status")',
        'f"{root}/{site}/release/head"',
    ],
)
def test_a_topic_would_be_found(line: str) -> None:
    assert topics_in(f"x = {line}")


@pytest.mark.parametrize("line", ['"hit"', '"status"', '"it agents/ is prose"', 'f"{a}/{b}"'])
def test_a_word_is_no_topic(line: str) -> None:
    assert not topics_in(f"x = {line}")
