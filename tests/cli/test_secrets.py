"""A password typed where none belongs does not come back: not on the screen, not with --debug."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest

from edge_reid.cli.main import main
from edge_reid.core.errors import EdgeReidError

SECRET = "hunter2"
ADDRESS = f"rtsp://guard:{SECRET}@gate/1"
PLACE = ("--site", "lab", "--camera", "gate", "--gallery", "gallery.db")
MISTAKES = {
    "a scheme without its colon": ("run", "--source", ADDRESS.replace(":", "", 1), *PLACE),
    "a scheme with one slash": ("run", "--source", ADDRESS.replace("//", "/"), *PLACE),
    "no scheme": ("run", "--source", ADDRESS.removeprefix("rtsp://"), *PLACE),
    "a stream as a clip": ("bench", ADDRESS),
    "doctor of a mistyped camera": ("doctor", "--source", ADDRESS.replace("//", "/")),
    "a login in the broker's address": ("watch", "--broker", f"mqtt://guard:{SECRET}@gate"),
    "a store of an unknown kind": (
        *("sink", "--broker", "mqtt://127.0.0.1:9", "--site", "lab"),
        *("--to", f"postgres2://guard:{SECRET}@db/hits"),
    ),
    "the password as its file": (
        *("watch", "--broker", "mqtt://127.0.0.1:9", "--username", "guard"),
        *("--password-file", SECRET),
    ),
}


def say(*words: str, capfd: pytest.CaptureFixture[str]) -> str:
    """All that a command says, with the traceback of what it raises."""
    with pytest.raises((SystemExit, EdgeReidError)) as left:
        main(words)
    captured = capfd.readouterr()
    return "".join([captured.out, captured.err, *traceback.format_exception(left.value)])


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_password_is_not_repeated(mistake: str, capfd: pytest.CaptureFixture[str]) -> None:
    for debug in ((), ("--debug",)):
        assert SECRET not in say(*MISTAKES[mistake], *debug, capfd=capfd)


def test_nor_are_those_in_a_configuration_with_mistakes(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "agent.toml"
    config.write_text(
        f'site = "lab"\ncamera = "gate"\ngallery = "g.db"\n[source]\nuri = ["{ADDRESS}"]\n'
        f'url = "{ADDRESS}"\n[mqtt]\npassword = "{SECRET}"\nusername = ["{SECRET}"]\n'
    )
    for debug in ((), ("--debug",)):
        said = say("run", "--config", str(config), *debug, capfd=capfd)
        assert SECRET not in said
        assert "did you mean source.uri?" in said


def test_an_address_as_a_clip_is_told_from_a_missing_file(
    capfd: pytest.CaptureFixture[str],
) -> None:
    said = say("bench", ADDRESS, capfd=capfd)
    assert "expected a video file, so that runs can be compared" in said
