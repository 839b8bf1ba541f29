"""`edge-reid run` is told of a broker as its sister verbs are; what is typed wins over the file."""

from __future__ import annotations

import inspect
from dataclasses import fields

import cv2
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from edge_reid.cli.broker_options import BrokerLogin, takes_login
from edge_reid.cli.main import main
from edge_reid.cli.verbs.run import run


def test_run_takes_every_option_of_a_broker_that_the_other_verbs_take():
    options = set(inspect.signature(run).parameters)
    assert {option.name for option in fields(BrokerLogin)} <= options


@pytest.mark.parametrize(
    ("typed", "missing"),
    [
        ((), "--source, --gallery, --site and --camera"),
        (("--source", "clip.mp4", "--gallery", "gallery.db"), "--site and --camera"),
        (("--source", "clip.mp4", "--site", "lab", "--camera", "gate"), "--gallery"),
    ],
)
def test_without_a_file_it_says_which_options_are_missing(
    typed: tuple[str, ...], missing: str, capsys: pytest.CaptureFixture[str]
):
    """Whoever has typed options is told of options, and not of keys of a file."""
    with pytest.raises(SystemExit, match="2"):
        main(("run", *typed))
    assert capsys.readouterr().err == (
        "error: edge-reid run: expected --source, --gallery, --site and --camera, or a file that "
        f"has them in --config, got no {missing}; edge-reid run --help shows what there is\n"
    )


NEEDED = ("--source", "clip.mp4", "--gallery", "gallery.db", "--site", "lab", "--camera", "gate")


@pytest.mark.parametrize(
    ("typed", "named"),
    [
        (("--outbox", "people"), "--outbox"),
        (("--username", "gate", "--password-file", "x"), "--username and --password-file"),
        (("--root", "edge-reid", "--outbox", "outbox.db"), "--root and --outbox"),
    ],
)
def test_options_of_a_broker_are_not_passed_over_where_there_is_none(
    typed: tuple[str, ...], named: str, capsys: pytest.CaptureFixture[str]
):
    with pytest.raises(SystemExit, match="2"):
        main(("run", *NEEDED, *typed))
    assert capsys.readouterr().err == (
        "error: edge-reid run: expected --broker, or a file with mqtt.url in --config, beside "
        f"{named}, got neither; give one, or leave {named} out\n"
    )


def test_a_file_may_have_an_outbox_and_no_broker(tmp_path, capsys: pytest.CaptureFixture[str]):
    """It is one file for several ways to run; what is typed is meant now."""
    config = tmp_path / "agent.toml"
    config.write_text('[outbox]\npath = "outbox.db"\n[mqtt]\nusername = "gate"\n')
    with pytest.raises(SystemExit, match="1"):
        main(("run", "--config", str(config), *NEEDED))
    assert "--broker" not in capsys.readouterr().err


def test_the_broker_of_a_file_is_one(tmp_path, capsys: pytest.CaptureFixture[str]):
    config = tmp_path / "agent.toml"
    config.write_text('[mqtt]\nurl = "mqtt://127.0.0.1:1"\n')
    with pytest.raises(SystemExit, match="1"):
        main(("run", "--config", str(config), *NEEDED, "--outbox", str(tmp_path / "outbox.db")))
    assert "--broker" not in capsys.readouterr().err


def test_only_what_is_typed_is_an_override():
    app = typer.Typer()

    @app.command()
    @takes_login(url=None)
    def verb(context: typer.Context, *, login: BrokerLogin) -> None:
        typer.echo(sorted(login.typed(context).items()))

    assert CliRunner().invoke(app, []).output == "[]\n"
    given = ["--broker", "mqtt://127.0.0.1", "--root", "edge-reid", "--allow-plaintext"]
    assert CliRunner().invoke(app, given).output == (
        "[('allow_plaintext', True), ('root', 'edge-reid'), ('url', 'mqtt://127.0.0.1')]\n"
    )


@pytest.fixture
def silent_run(tmp_path, edge_reid):
    """Runs an agent over a few pictures of nobody, with these words besides."""
    pictures, gallery = tmp_path / "pictures", tmp_path / "gallery.db"
    pictures.mkdir()
    for number in range(3):
        cv2.imwrite(str(pictures / f"{number}.png"), np.full((48, 64, 3), 128, np.uint8))
    assert edge_reid("gallery", "init", gallery).code == 0
    needed = ("--source", pictures, "--gallery", gallery, "--site", "lab", "--camera", "gate")
    return lambda *words: edge_reid("run", *needed, *words)


NOWHERE = "events of this run go nowhere: expected --broker, --events, --web or --annotate"


def test_a_run_whose_events_go_nowhere_says_so_and_how_to_see_them(silent_run):
    lines = [line for line in silent_run("--quiet").err.splitlines() if NOWHERE in line]
    assert lines == [f"{NOWHERE}, got none; --events - prints them"]


def test_a_run_with_nobody_in_its_gallery_says_how_people_are_enrolled(
    silent_run, samples, edge_reid, tmp_path
):
    hint = "nobody is enrolled in the gallery, so everybody is unknown; edge-reid gallery enroll"
    assert hint in silent_run("--events", "-").err
    name, (sample, *_) = next(iter(samples.items()))
    assert (
        edge_reid("gallery", "enroll", name, sample.crop, "--gallery", tmp_path / "gallery.db").code
        == 0
    )
    assert hint not in silent_run("--events", "-").err


def test_in_a_log_for_programs_it_is_a_warning(silent_run, caplog):
    assert silent_run("--log-format", "json").code == 0
    (hint,) = [record for record in caplog.records if NOWHERE in record.message]
    assert hint.levelname == "WARNING"


def test_a_run_that_does_not_start_is_told_what_is_wrong_only(silent_run):
    outcome = silent_run("--detector", "no-such-detector.tflite")
    assert outcome.code != 0
    assert "go nowhere" not in outcome.err


@pytest.mark.parametrize(
    "words", [("--events", "-"), ("--annotate", "film.webm"), ("--web", "127.0.0.1:0")]
)
def test_a_run_that_somebody_can_see_says_nothing_of_it(words, silent_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    outcome = silent_run(*words)
    assert outcome.code == 0
    assert "go nowhere" not in outcome.err


def test_nor_does_one_with_metrics(silent_run, tmp_path):
    config = tmp_path / "agent.toml"
    config.write_text('[metrics]\nlisten = "127.0.0.1:0"\n')
    outcome = silent_run("--config", config)
    assert outcome.code == 0
    assert "go nowhere" not in outcome.err


@pytest.mark.broker
def test_nor_does_one_with_a_broker(silent_run, broker):
    outcome = silent_run("--broker", broker.url)
    assert outcome.code == 0
    assert "go nowhere" not in outcome.err


@pytest.mark.parametrize(
    ("typed", "complaint"),
    [
        (("--target-fpir", "3"), "--target-fpir: expected a number less than 1, got 3.0"),
        (("--start-time", "noon"), "--start-time: expected a time such as 2026-"),
        (("--threads", "0"), "--threads: expected a number greater than or equal to 1, got 0"),
        (("--web", "here"), "--web: should look like 127.0.0.1:9100"),
        (("--broker", "http://host"), "--broker: should look like mqtt://host:1883"),
        (
            ("--broker", "mqtt://me:secret@host"),
            "--broker: should hold no login, got 'mqtt://host'; set --username and --password-file",
        ),
        (("--site", "A/B"), "--site: expected a name of a-z, 0-9, _ and -, at most 64, got 'A/B'"),
    ],
)
def test_a_mistake_in_what_was_typed_names_the_option(typed, complaint, edge_reid):
    words = dict(zip(NEEDED[::2], NEEDED[1::2], strict=True)) | {typed[0]: typed[1]}
    outcome = edge_reid("run", *(word for pair in words.items() for word in pair))
    assert outcome.code == 2
    assert outcome.complaint.startswith(f"error: command line: 1 mistake: {complaint}")


def test_a_broker_that_is_refused_when_the_agent_starts_is_named_so_too(silent_run):
    outcome = silent_run("--broker", "mqtt://broker.example", "--quiet")
    assert outcome.code == 2
    assert outcome.complaint.startswith("error: command line: 1 mistake: --broker: mqtt://broker.")
    assert "or --allow-plaintext where nobody else can listen" in outcome.complaint


def test_a_mistake_in_a_file_keeps_the_name_of_its_key(edge_reid, tmp_path):
    config = tmp_path / "agent.toml"
    config.write_text("[decide]\ntarget_fpir = 3\n[mqtt]\nusername = 1\n")
    outcome = edge_reid("run", "--config", config, *NEEDED, "--threads", "0")
    assert f"error: {config}: 3 mistakes" in outcome.err
    for key in ("decide.target_fpir", "mqtt.username", "--threads"):
        assert f"  - {key}: " in outcome.err
