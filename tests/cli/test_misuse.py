"""Words that no verb takes: one line, in the dialect of all our errors."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from support.outcome import Outcome


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            "run --sorce 0",
            "edge-reid run: expected one of its options, perhaps .*--source.*, got --sorce",
        ),
        ("hits", "edge-reid hits: expected --from, got none"),
        ("gallery enroll", "edge-reid gallery enroll: expected NAME, got none"),
        ("sink --to", "--to: expected a value after it, got none"),
        ("bench --json=3 x", "--json: expected no value, got one"),
        ("run --log-format xml", "--log-format: expected one of text, json, got xml"),
        ("hits --from x --limit 0", "--limit: expected a number greater than or equal to 1, got 0"),
        ("hits --from x --limit=many", "--limit: expected a valid integer, got many"),
        ("gallry", "edge-reid: expected one of its verbs, perhaps gallery, got gallry"),
        ("gallery lst", "edge-reid gallery: expected one of its verbs, perhaps list, got lst"),
        ("enlist", "edge-reid: expected one of its verbs, got enlist"),
        ("watch gate", "edge-reid watch: expected no more words, got gate"),
        ("probe -x", "edge-reid probe: expected one of its options, got -x"),
    ],
)
def test_what_was_expected_and_what_came_in_one_line(
    edge_reid: Callable[..., Outcome], words: str, line: str
) -> None:
    outcome = edge_reid(*words.split())
    assert outcome.code == 2
    assert outcome.err.count("\n") == 1
    assert re.fullmatch(f"error: {line}; edge-reid.* --help shows what there is", outcome.complaint)


@pytest.mark.parametrize(
    ("words", "path"),
    [("sink --to", "edge-reid sink"), ("gallery show --gallery", "edge-reid gallery")],
)
def test_whose_help_it_is(edge_reid: Callable[..., Outcome], words: str, path: str) -> None:
    assert edge_reid(*words.split()).complaint.endswith(f"; {path} --help shows what there is")


@pytest.mark.parametrize(
    "words",
    ["watch rtsp://me:s3cret@gate/1", "rtsp://me:s3cret@gate", "run --web-ca me:s3cret@gate"],
)
def test_no_login_is_repeated(edge_reid: Callable[..., Outcome], words: str) -> None:
    outcome = edge_reid(*words.split())
    assert outcome.code == 2
    assert "s3cret" not in outcome.err


@pytest.mark.parametrize(
    ("words", "verb", "file"),
    [
        ("gallery enroll anna -1.png", "gallery enroll", "-1.png"),
        ("index --gate.mp4 --out x", "index", "--gate.mp4"),
    ],
)
def test_how_a_file_is_written_whose_name_begins_with_a_dash(
    edge_reid: Callable[..., Outcome], words: str, verb: str, file: str
) -> None:
    assert edge_reid(*words.split()).complaint == (
        f"error: edge-reid {verb}: expected one of its options, got {file}, which begins with a "
        f"dash; if it is a file, write ./{file}; edge-reid {verb} --help shows what there is"
    )


def test_a_mistyped_option_with_a_value_is_no_file(edge_reid: Callable[..., Outcome]) -> None:
    assert (
        "options, perhaps --gallery, got --galery" in edge_reid("probe", "--galery=g.db").complaint
    )


def test_a_file_that_is_there_is_known_without_a_suffix(
    edge_reid: Callable[..., Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("-still").touch()
    assert "got -still, which begins with a dash; if" in edge_reid("probe", "-still").complaint
    edge_reid("gallery", "init", "g.db")
    enrolled = edge_reid("gallery", "enroll", "a", "./-still", "--gallery", "g.db")
    assert "photo -still: expected an image, the file is empty" in enrolled.complaint


def test_a_group_without_a_verb_shows_its_verbs(edge_reid: Callable[..., Outcome]) -> None:
    outcome = edge_reid("gallery")
    assert outcome.code == 2
    assert "enroll" in outcome.out + outcome.err


@pytest.mark.parametrize("words", ["--version", "--help", "gallery --help"])
def test_what_is_asked_for_is_no_error(edge_reid: Callable[..., Outcome], words: str) -> None:
    outcome = edge_reid(*words.split())
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out
