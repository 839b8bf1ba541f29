"""From an agent's outbox to a web server, while server and sink die."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.consumer import eventually
from support.decided_tracks import an_event
from support.fault_figures import of_stored, record
from support.mosquitto import Mosquitto
from support.publishing import publishing
from support.webhook_receiver import HANG, VANISH, WebhookReceiver

from edge_reid.delivery.outbox_sender import Delivery
from edge_reid.delivery.publisher import Publisher
from edge_reid.mqtt.connection import connect
from edge_reid.mqtt.message import Message

pytestmark = pytest.mark.broker

BY_SINK = Delivery(by_sink=True, resend_s=60.0)
PATIENCE_S = 120.0
IN_DOUBT = 20
"""Events at most that a kill makes come twice: the one on its way, and what the broker had not
read of our acknowledgements, of which Mosquitto lets so many be open (max_inflight_messages)."""


class SinkProcess:
    """`edge-reid sink --to https://…`, which can be killed and started again."""

    def __init__(self, broker: Mosquitto, receiver: WebhookReceiver, work: Path) -> None:
        (work / "secret").write_text("correct horse battery staple")
        self._words = [
            *(sys.executable, "-m", "edge_reid", "sink", "--broker", broker.url),
            *("--to", receiver.url, "--to-ca-file", str(receiver.ca_file)),
            *("--secret-file", str(work / "secret")),
            *("--quarantine", str(work / "refused.jsonl"), "--name", "web"),
        ]
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(self._words, stderr=subprocess.DEVNULL)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[WebhookReceiver]:
    with WebhookReceiver(tmp_path) as receiver:
        yield receiver


@pytest.fixture
def sink(broker: Mosquitto, receiver: WebhookReceiver, tmp_path: Path) -> Iterator[SinkProcess]:
    process = SinkProcess(broker, receiver, tmp_path)
    _await_subscription(broker, receiver)
    yield process
    process.kill()


def _await_subscription(broker: Mosquitto, receiver: WebhookReceiver) -> None:
    """Until the sink hears what is said: a mark that is forgotten then."""
    mark, connection = an_event(10**6), connect(broker.broker())

    def has_it() -> bool:
        connection.publish(Message(mark.topic, mark.payload(10**6).to_json()))
        connection.turn(0.05)
        return bool(receiver.posts)

    eventually(has_it, PATIENCE_S)
    connection.close()
    time.sleep(0.2)  # what was still on its way is known, and not sent
    receiver.posts.clear()


def firsts(events: list[dict[str, Any]]) -> list[int]:
    """Numbers of the events as each came for the first time."""
    return list(dict.fromkeys(event["seq"] for event in events))


@pytest.mark.timeout(300)
def test_a_server_that_fails_hangs_and_restarts_and_a_sink_that_is_killed(
    broker: Mosquitto, receiver: WebhookReceiver, sink: SinkProcess, tmp_path: Path
) -> None:
    """Every event arrives, in order; only what was in doubt at a kill comes twice, with its id."""
    events, kills, dice = 200, 2, random.Random(7)
    receiver.answer = lambda count: {5: 503, 9: VANISH, 14: 500, 20: HANG}.get(count, 204)
    with publishing(tmp_path, broker.broker(), delivery=BY_SINK) as (publisher, _):
        producer = threading.Thread(target=lambda: _publish(publisher, events))
        producer.start()
        for _ in range(kills):
            before = len(receiver.taken)
            eventually(lambda: len(receiver.taken) > before + 20, PATIENCE_S)  # noqa: B023
            sink.kill()
            receiver.stop()
            time.sleep(dice.uniform(0, 0.2))
            receiver.start()
            sink.start()
        producer.join()
        assert publisher.flush(PATIENCE_S) == 0, publisher.state
    arrived = receiver.taken
    pairs = [(event["seq"], event["event_id"]) for event in arrived]
    fault = "webhook: server failed, hung, restarted; sink killed -9"
    record(of_stored(fault, kills, events, pairs))
    assert firsts(arrived) == list(range(1, events + 1))
    assert len(arrived) - events <= kills * IN_DOUBT


def test_what_the_server_refuses_is_quarantined_and_stays_with_the_agent(
    broker: Mosquitto, receiver: WebhookReceiver, sink: SinkProcess, tmp_path: Path
) -> None:
    receiver.answer = lambda count: 422 if count == 2 else 204
    with publishing(tmp_path, broker.broker(), delivery=BY_SINK) as (publisher, outbox):
        _publish(publisher, 3)
        eventually(lambda: outbox.figures.depth == 1 and len(receiver.taken) == 2, PATIENCE_S)
        (waiting,) = outbox.pending()
    assert waiting.seq == 2
    assert f'"{an_event(2).payload(2).event_id}"' in (tmp_path / "refused.jsonl").read_text()
    assert [event["seq"] for event in receiver.taken] == [1, 3]


def _publish(publisher: Publisher, events: int) -> None:
    for track in range(1, events + 1):
        publisher.publish(an_event(track))
        time.sleep(0.01)
