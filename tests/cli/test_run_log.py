"""The log of `run`: JSON a line, the camera where it is known, and nothing without end."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import campus

from edge_reid.cli.main import main
from edge_reid.cli.options import LogFormat
from edge_reid.cli.run_log import RunLogHandler, log_run
from edge_reid.core.log_context import camera_in_log
from edge_reid.core.repeat_limit import RepeatLimit

TIME = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$"


@pytest.fixture
def log() -> Iterator[logging.Logger]:
    """A logger of ours; who tests it has the handler of last resort hear it, as it does alone."""
    ours = logging.getLogger("edge_reid.test_of_the_log")
    before, level = logging.lastResort, logging.getLogger("edge_reid").level
    yield ours
    ours.handlers.clear()
    logging.lastResort = before
    logging.getLogger("edge_reid").setLevel(level)


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_line_is_one_object_whatever_is_said(
    log: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    log_run(LogFormat.JSON)
    assert logging.lastResort
    log.addHandler(logging.lastResort)
    log.info("gate %s", "\n\x1b[2J\u202e“Ana”")
    with camera_in_log("gate"):
        log.error("no room")
    try:
        int("two\nlines")
    except ValueError:
        log.exception("failed")
    log.debug("not this")
    plain, of_camera, traceback = lines(capsys.readouterr().err)
    assert plain.keys() == {"time", "level", "logger", "message"}
    assert plain["message"] == "gate \n\x1b[2J\u202e“Ana”"
    assert (plain["level"], plain["logger"]) == ("info", log.name)
    assert (of_camera["camera"], of_camera["level"]) == ("gate", "error")
    assert traceback["error"].startswith("Traceback (most recent call last)")
    assert "ValueError: invalid literal" in traceback["error"]


def test_what_is_said_too_often_is_counted_and_the_count_is_said(
    log: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = [0.0]
    handler = RunLogHandler(RepeatLimit(most=3, span_s=60.0, clock=lambda: clock[0]))
    handler.setFormatter(logging.Formatter("%(camera)s: %(message)s"))
    log.addHandler(handler)
    for number in range(10):
        log.warning("event %d is damaged", number)
    with camera_in_log("gate"):
        log.warning("event %d is damaged", 10)
    log.warning("another")
    told = capsys.readouterr().err.splitlines()
    assert told == [
        *(f"None: event {number} is damaged" for number in range(3)),
        "gate: event 10 is damaged",
        "None: another",
    ]
    clock[0] = 61.0
    log.warning("another")
    summed, after = capsys.readouterr().err.splitlines()
    assert summed == "None: 7 more of these were not written: event %d is damaged"
    assert after == "None: another"
    for _ in range(5):
        log.warning("another")
    handler.close()
    assert (
        capsys.readouterr().err.splitlines()[-1]
        == "None: 3 more of these were not written: another"
    )


def test_counting_is_bounded() -> None:
    limit = RepeatLimit(most=1)
    for number in range(10_000):
        assert limit.passes(number)
    assert len(limit._counts) <= 200


def test_a_run_logs_json_and_nothing_else(tmp_path: Path) -> None:
    gallery = tmp_path / "gallery.db"
    with pytest.raises(SystemExit, match="0"):
        main(["gallery", "init", str(gallery)])
    clip = tmp_path / "clip.mp4"
    cut = ["-ss", "8", "-t", "2", "-i", str(campus.CLIP), "-c:v", "libx264", str(clip)]
    subprocess.run(["ffmpeg", "-v", "error", *cut], check=True)
    words = ["run", "--site", "lab", "--camera", "gate", "--gallery", str(gallery)]
    done = run([*words, "--source", str(clip), "--log-format", "json"])
    assert (done.returncode, done.stdout) == (0, "")
    nowhere, nobody, first, *_, last = lines(done.stderr)
    assert nowhere["message"].startswith("events of this run go nowhere: ")
    assert nobody["message"].startswith("nobody is enrolled in the gallery")
    assert "first frame of a file counts as taken on 1970-01-01" in first["message"]
    assert (last["message"], last["level"]) == ("the run has ended", "info")
    assert last["summary"]["frames"] == 20
    strict = run([*words, "--source", str(clip), "--log-format", "json", "--target-fpir", "1e-6"])
    doubt = "beyond what was measured for this model, so it errs towards unknown"
    hinted = [doubt in line["message"] for line in lines(strict.stderr)]
    assert hinted == [False, False, True, False, False]
    assert doubt not in done.stderr
    broken = run([*words, "--source", str(tmp_path / "none.mp4"), "--log-format", "json"])
    assert broken.returncode == 1
    (only,) = lines(broken.stderr)
    assert only["level"] == "error"
    assert "none.mp4" in only["message"]


def run(words: list[str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edge_reid", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)
