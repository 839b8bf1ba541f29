from __future__ import annotations

import io
import json
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from subprocess import PIPE
from typing import Any

import pytest
import typer
from rich.console import Console
from support.decided_tracks import ANA, ORIGIN, STRANGER, a_hit, a_zone_event, an_event
from support.mosquitto import Mosquitto, free_port
from typer.testing import CliRunner

from edge_reid.agent.corrections import Corrections, operators_correction
from edge_reid.cli.hit_table import HitTable, event_text
from edge_reid.cli.verbs.watch import watch
from edge_reid.core.errors import BrokerError, ConfigError, EdgeReidError, UsageError
from edge_reid.core.types import HitType, Known, Unknown, ZoneChangeType
from edge_reid.mqtt.connection import connect
from edge_reid.mqtt.message import Message
from edge_reid.wire.events import Event
from edge_reid.wire.payloads import EventPayload

app = typer.Typer()
app.command()(watch)


def run_watch(*arguments: str) -> Any:
    return CliRunner().invoke(app, [str(it) for it in arguments], catch_exceptions=True)


@pytest.fixture
def busy_broker(broker: Mosquitto) -> Mosquitto:
    """It gets a hit, something that is no event, an unknown and another hit, again and again."""

    def publish() -> None:
        connection = connect(broker.broker())
        hit, unknown, end = an_event(1), an_event(2, STRANGER), an_event(1, ANA, HitType.END)
        texts = [
            Message(hit.topic, json.dumps(json.loads(hit.payload(1).to_json()), indent=2)),
            Message(hit.topic, "hello"),
            Message(unknown.topic, unknown.payload(2).to_json()),
            Message(end.topic, end.payload(3, replayed=True).to_json()),
        ]
        while not ended.wait(0.05):
            for message in texts:
                connection.publish(message)
            connection.turn(0.01)
        connection.close()

    ended = threading.Event()
    publisher = threading.Thread(target=publish)
    publisher.start()
    yield broker  # type: ignore[misc]
    ended.set()
    publisher.join()


@pytest.mark.broker
def test_json_is_one_event_a_line(busy_broker: Mosquitto) -> None:
    result = run_watch("--broker", busy_broker.url, "--site", "lab", "--json", "--count", "4")
    assert result.exit_code == 0
    events = [json.loads(line) for line in result.stdout.splitlines()]
    assert len(events) == 4
    assert {event["schema"] for event in events} == {"edge-reid.hit/1"}
    assert {event["seq"] for event in events} == {1, 3}
    assert "skipped what is no event, on edge-reid/lab/gate/hit" in result.stderr


@pytest.mark.broker
def test_all_shows_unknowns_too(busy_broker: Mosquitto) -> None:
    result = run_watch("--broker", busy_broker.url, "--all", "--json", "--count", "6")
    kinds = {json.loads(line)["schema"] for line in result.stdout.splitlines()}
    assert kinds == {"edge-reid.hit/1", "edge-reid.unknown/1"}


@pytest.mark.broker
def test_a_pipe_gets_plain_lines(busy_broker: Mosquitto) -> None:
    result = run_watch("--broker", busy_broker.url, "--count", "2")
    assert "gate  ana  0.81 ≥ 0.60  track 1  new" in result.stdout


@pytest.mark.broker
def test_a_pipe_gets_each_line_at_once_and_it_is_said_that_it_will(
    busy_broker: Mosquitto,
) -> None:
    words = [sys.executable, "-m", "edge_reid", "watch", "--broker", busy_broker.url]
    with subprocess.Popen(words, stdout=PIPE, stderr=PIPE, text=True) as watching:
        try:
            assert watching.stdout
            assert watching.stderr
            assert watching.stderr.readline() == "watching edge-reid/+/+/hit\n"
            line = watching.stdout.readline()  # while it goes on
            assert "gate  ana  0.81 ≥ 0.60  track 1" in line
            assert watching.poll() is None
        finally:
            watching.terminate()


@pytest.mark.broker
def test_another_site_is_not_shown(busy_broker: Mosquitto) -> None:
    result = run_watch("--broker", busy_broker.url, "--site", "barn", "--json", "--timeout", "0.5")
    assert (result.exit_code, result.stdout) == (0, "")


@pytest.mark.broker
def test_fewer_events_than_asked_for_is_a_failure(broker: Mosquitto) -> None:
    result = run_watch("--broker", broker.url, "--count", "1", "--timeout", "0.3")
    assert isinstance(result.exception, BrokerError)
    assert "expected 1 events in 0.3 s, got 0" in str(result.exception)


@pytest.mark.broker
def test_it_comes_back_after_a_restart_of_the_broker(broker: Mosquitto) -> None:
    has_ended = threading.Event()

    def restart_then_publish() -> None:
        time.sleep(0.3)  # it watches by now
        broker.restart()
        connection = connect(broker.broker())
        while not has_ended.wait(0.05):  # until it is back: what comes before it misses
            connection.publish(Message(an_event().topic, an_event().payload(1).to_json()))
            connection.turn(0.01)
        connection.close()

    other = threading.Thread(target=restart_then_publish)
    other.start()
    result = run_watch("--broker", broker.url, "--json", "--count", "1", "--timeout", "20")
    has_ended.set()
    other.join()
    assert result.exit_code == 0
    assert json.loads(result.stdout)["identity"] == "ana"


def test_a_wrong_broker_is_an_error_at_once() -> None:
    result = run_watch("--broker", f"mqtt://127.0.0.1:{free_port()}")
    assert isinstance(result.exception, BrokerError)
    assert "Connection refused; check the address" in str(result.exception)


@pytest.mark.parametrize(
    ("arguments", "kind", "says"),
    [
        (["--broker", "localhost:1883"], ConfigError, "should look like mqtt://host:1883"),
        (["--broker", "mqtt://me:secret@host"], ConfigError, "should hold no login"),
        (
            ["--password-file", "/no/such/file"],
            ConfigError,
            "--password-file: cannot be read: No such file",
        ),
        (["--site", "a/b"], UsageError, "--site: expected a name of a-z, 0-9, _ and -, got 'a/b'"),
        (["--root", "#"], ConfigError, "--root: expected"),
        (
            ["--broker", "mqtt://broker.example"],
            ConfigError,
            "network; use mqtts://, or --allow-plaintext where nobody else can listen",
        ),
    ],
)
def test_mistakes_are_told_before_anything_is_tried(
    arguments: list[str], kind: type[EdgeReidError], says: str
) -> None:
    error = run_watch(*arguments).exception
    assert isinstance(error, kind)
    assert says in str(error)
    assert "secret" not in str(error)
    assert error.exit_code == 2


@pytest.mark.broker
@pytest.mark.timeout(30)
def test_no_time_at_all_is_a_time(broker: Mosquitto) -> None:
    assert run_watch("--broker", broker.url, "--timeout", "0").exit_code == 0


def rendered(table: HitTable) -> str:
    console = Console(file=io.StringIO(), width=110, color_system=None)
    console.print(table)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_the_table_tells_who_where_how_sure_and_why() -> None:
    table = HitTable(title="lab")
    table.add(an_event(1).payload(1))
    table.add(an_event(2, Unknown(None, 0.6, 3)).payload(2))
    table.add(an_event(1, type_=HitType.END).payload(3, replayed=True))
    text = rendered(table)
    first, unknown, end = (" ".join(line.split()) for line in text.splitlines()[4:7])
    assert first == "00:00:03.0 gate ana 0.81 ≥ 0.60 0.20 3 #1 new"
    assert unknown == "00:00:04.0 gate unknown – < 0.60 – 3 #2 new"
    assert end.endswith("end replayed")
    assert "ana 2 · unknown 1 · 1 replayed" in text


def test_a_stranger_has_an_anonymous_name() -> None:
    hit = replace(a_hit(2, STRANGER), stranger="anon-3fa2c1-12")
    event = Event(hit, ORIGIN).payload(1)
    table = HitTable()
    table.add(event)
    assert "anon-3fa2c1-12" in rendered(table)
    assert "nobody known yet · unknown 1" in rendered(table)
    assert "  anon-3fa2c1-12  " in event_text(event)


def corrected(by: str) -> EventPayload:
    """A name is published, and then taken back."""
    published = Corrections()
    published.with_correction(an_event(1))
    if by == "decision":
        return published.with_correction(an_event(1, STRANGER))[0].payload(2)
    if by == "removal":
        return published.of_removed(set(), ORIGIN, 10.0)[0].payload(2)
    return operators_correction(an_event(1), ORIGIN, 10.0).payload(2)


@pytest.mark.parametrize(
    ("by", "in_table", "in_words"),
    [
        ("decision", "decided anew", "decided anew: somebody else, or nobody enrolled"),
        ("removal", "removed", "removed from the gallery"),
        ("operator", "by operator", "somebody else, as an operator says"),
    ],
)
def test_a_name_that_is_taken_back_looks_like_no_hit(by: str, in_table: str, in_words: str) -> None:
    correction = corrected(by)
    table = HitTable()
    table.add(an_event(1).payload(1))
    table.add(correction)
    text = rendered(table)
    row = " ".join(text.splitlines()[4].split())
    assert row.partition(" ")[2] == f"gate not ana {in_table} #1 correction"
    assert "ana 1 · 1 taken back" in text
    line = event_text(correction)
    assert line.partition("  ")[2] == f"gate  not ana  {in_words}  track 1  correction"


def test_a_correction_fits_the_table_of_a_narrow_terminal() -> None:
    table = HitTable()
    table.add(corrected("decision"))
    console = Console(file=io.StringIO(), width=80, color_system=None)
    console.print(table)
    assert "decided anew" in console.file.getvalue()  # type: ignore[attr-defined]
    assert "#1  correction" in console.file.getvalue()  # type: ignore[attr-defined]


def test_what_happens_in_zones_is_among_them() -> None:
    table = HitTable()
    table.add(an_event(1).payload(1))
    table.add(a_zone_event(1).payload(2, replayed=True))
    table.add(a_zone_event(1, ZoneChangeType.CROSSED, "door").payload(3))
    _, entered, crossed = (" ".join(line.split()) for line in rendered(table).splitlines()[3:6])
    assert entered == "00:00:02.0 gate zone desk #1 entered replayed"
    assert crossed == "00:00:02.0 gate line door, in #1 crossed"
    assert "ana 1 · 1 replayed" in rendered(table)
    line = event_text(a_zone_event(1).payload(2))
    assert line == "1970-01-01T00:00:02.000Z  gate  zone desk  track 1  entered"


def test_a_name_is_no_markup() -> None:
    table = HitTable()
    table.add(an_event(1, Known("[red]ana[/x]", 0.9, 0.6, None, 3)).payload(1))
    assert rendered(table).count("[red]ana[/x]") == 2, "in its row, and below the table"


def test_the_table_keeps_the_newest_rows() -> None:
    table = HitTable(rows=2)
    for track in range(1, 5):
        table.add(an_event(track).payload(track))
    text = rendered(table)
    assert "#2" not in text
    assert "#3" in text
    assert "#4" in text
    assert table.count == 4


def test_help_does_not_need_the_heavy_rooms(tmp_path: Path) -> None:
    code = (
        "import sys, edge_reid.cli.verbs.watch, edge_reid.cli.verbs.schema;"
        "print([m for m in ('paho', 'pydantic', 'rich.table', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
