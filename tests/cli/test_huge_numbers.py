"""Numbers that no machine counts to: told in our words, and no longer than others."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from support.outcome import Outcome

DIGITS = "9" * 5000
"""More than Python makes a number of."""
LARGE = "9" * 23
"""More than a database counts to."""
RUN = ("run", "--gallery", "g.db", "--site", "lab", "--camera", "gate")


@pytest.fixture(autouse=True)
def _folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("events.jsonl").touch()


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("gallery", "enroll", "a", "a.png", "--box", DIGITS), "--box: expected the number of a"),
        (("gallery", "enroll", "a", "a.png", "--box", f"1,2,3,{LARGE},5"), "--box: expected x1,y1"),
        (("gallery", "enroll", "a", "a.png", "--box", f"1,{DIGITS},3"), "--box: expected x1,y1"),
        (("gallery", "remove", "a", "--template", LARGE), "--template: expected a number less"),
        (("gallery", "remove", "a", "--template", DIGITS), "--template: expected a"),
        (("gallery", "restore", "--template", LARGE), "--template: expected a number less"),
        (("gallery", "doctor", "--fix", "--only", LARGE), "--only: expected a number less"),
        (("hits", "--from", "events.jsonl", "--limit", LARGE), "--limit: expected a number less"),
        (("hits", "--from", "events.jsonl", "--since", f"{DIGITS}d"), "--since: expected a period"),
        (("hits", "--from", "events.jsonl", "--since", DIGITS), "--since: expected a time such as"),
        (("probe", "a.png", "--top", DIGITS), "--top: expected a"),
        ((*RUN, "--source", DIGITS), "command line: 1 mistake: --source: should be the index of a"),
        ((*RUN, "--source", LARGE), "command line: 1 mistake: --source: should be the index of a"),
        (
            (*RUN, "--source", "a.mp4", "--web", f"127.0.0.1:{DIGITS}"),
            "command line: 1 mistake: --web: should look like 127.0.0.1:9100",
        ),
    ],
    ids=lambda value: " ".join(value)[:60] if isinstance(value, tuple) else None,
)
def test_what_was_expected_is_said_in_a_short_line(
    edge_reid: Callable[..., Outcome], words: tuple[str, ...], line: str
) -> None:
    edge_reid("gallery", "init", "g.db")
    outcome = edge_reid(*words)
    assert outcome.code == 2
    assert outcome.complaint.startswith(f"error: {line}")
    assert len(outcome.complaint) < 300


@pytest.mark.parametrize("verb", ["gallery remove", "gallery restore", "gallery doctor", "hits"])
def test_a_help_text_shows_no_largest_number(edge_reid: Callable[..., Outcome], verb: str) -> None:
    help_text = edge_reid(*verb.split(), "--help")
    assert help_text.code == 0
    assert not re.search(r"\d{9}", help_text.out)
