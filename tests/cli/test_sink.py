"""`edge-reid sink`, as whoever starts it sees it. What it stores is tested with the faults."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pytest
from support.decided_tracks import an_event
from support.mosquitto import Mosquitto

from edge_reid.mqtt.connection import connect
from edge_reid.mqtt.message import Message


@pytest.mark.parametrize("name", ["hits.db", "hits.jsonl"])
def test_a_wrong_command_line_leaves_no_store_behind(
    tmp_path: Path, edge_reid: Any, name: str
) -> None:
    file = tmp_path / name
    where = f"sqlite:///{file}" if name.endswith(".db") else file
    outcome = edge_reid("sink", "--broker", "http://broker", "--to", where)
    assert outcome.code == 2
    assert "--broker: should look like mqtt://" in outcome.complaint
    assert not file.exists()


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--from", "mqtt://a"), "--from: should look like nats://host:4222 or tls://host:4222"),
        (("--from", "nats://192.0.2.7"), "plaintext over the network; use tls://"),
        (
            ("--from", "nats://127.0.0.1", "--publisher-property", "publisher"),
            "--publisher-property: expected an MQTT 5 broker, got --from",
        ),
    ],
)
def test_a_wrong_source_is_said_and_leaves_no_store_behind(
    tmp_path: Path, edge_reid: Any, words: tuple[str, ...], complaint: str
) -> None:
    outcome = edge_reid("sink", *words, "--to", f"sqlite:///{tmp_path}/hits.db")
    assert outcome.code == 2
    assert complaint in outcome.complaint
    assert not list(tmp_path.iterdir())


def test_without_nats_py_it_is_said_how_to_get_it(
    tmp_path: Path, edge_reid: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("edge_reid.consumers.nats_feed", "edge_reid.consumers.nats_events"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    for name in ("nats", "nats.errors", "nats.js", "nats.js.errors"):
        monkeypatch.setitem(sys.modules, name, None)
    outcome = edge_reid("sink", "--from", "nats://127.0.0.1", "--to", tmp_path / "hits.jsonl")
    assert outcome.code == 2
    assert "--from: needs nats-py, not installed; pip install '.[nats]'" in outcome.complaint


def test_a_file_that_only_grows_keeps_everything(tmp_path: Path, edge_reid: Any) -> None:
    file = tmp_path / "hits.jsonl"
    complaint = edge_reid("sink", "--to", file, "--keep", "90d").complaint
    assert "--keep: expected a database in --to, got" in complaint
    wrong = edge_reid("sink", "--to", f"sqlite:///{file}", "--keep", "soon").complaint
    assert "--keep: expected a period such as 90d, 2h, 30m or 45s, got 'soon'" in wrong
    assert not file.exists()


def test_what_is_wrong_is_shown_as_it_is(tmp_path: Path) -> None:
    """Not as markup, of which the address of this broker looks like some."""
    words = ["sink", "--broker", "mqtts://[fe80::1]:9", "--to", f"sqlite:///{tmp_path}/hits.db"]
    with running(*words) as lines:
        said = next(line for line in lines if "trying again" not in line)  # a log's line
    assert said.startswith("mqtts://[fe80::1]:9: ")


@pytest.mark.broker
def test_a_sink_shows_that_it_lives(broker: Mosquitto, tmp_path: Path) -> None:
    """Also where no terminal is: in a service's log."""
    words = ["sink", "--broker", broker.url, "--to", f"sqlite:///{tmp_path}/hits.db"]
    with running(*words) as lines:
        assert next(lines) == (
            f"storing events of all sites from 127.0.0.1:{broker.port} in "
            f"sqlite:///{tmp_path}/hits.db\n"
        )
        event, connection = an_event(1), connect(broker.broker())
        connection.publish(Message(event.topic, event.payload(1).to_json()))
        while not connection.is_idle:
            connection.turn(0.1)
        assert next(lines).startswith("1 event stored, the last ")
        broker.kill()
        assert "127.0.0.1" in next(line for line in lines if "trying again" not in line)
        broker.start()
        assert next(lines) == "well again\n"


@contextmanager
def running(*words: str) -> Iterator[IO[str]]:
    """What `edge-reid …` writes to standard error; it is killed in the end."""
    command = [sys.executable, "-m", "edge_reid", *words]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        guard = threading.Timer(60, process.kill)
        guard.start()
        assert process.stderr is not None
        yield process.stderr
        process.kill()
        guard.cancel()
