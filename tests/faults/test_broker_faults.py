"""A real Mosquitto that is not there, dies, hangs or is restarted: what does it cost? Nothing."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from support.consumer import Consumer, eventually
from support.decided_tracks import an_event
from support.fault_figures import of_hits, record
from support.mosquitto import Mosquitto
from support.publishing import publishing
from support.tcp_gate import Gate

from edge_reid.delivery.publisher import Link, Publisher
from edge_reid.mqtt.broker import Broker

pytestmark = pytest.mark.broker

TESTS = Path(__file__).resolve().parents[1]


def test_a_broker_down_for_the_whole_run_gets_all_of_it_later(
    broker: Mosquitto, tmp_path: Path
) -> None:
    broker.stop()
    with publishing(tmp_path, broker.broker()) as (publisher, _):
        for track in range(1, 101):
            publisher.publish(an_event(track))
        assert publisher.flush(0.1) == 100

    broker.start()
    with Consumer(broker.broker()) as consumer:
        with publishing(tmp_path, broker.broker()) as (publisher, _):
            assert publisher.flush(20) == 0
        hits = consumer.wait_for("gate/hit", count=100)
    assert [hit["seq"] for hit in hits] == list(range(1, 101))
    assert [hit["track_id"] for hit in hits] == list(range(1, 101))
    assert all(hit["replayed"] for hit in hits)
    record(of_hits("broker down for the whole run, then up", 1, 100, hits))


def test_a_broker_killed_again_and_again_loses_and_doubles_nothing(
    broker: Mosquitto, tmp_path: Path
) -> None:
    """500 events, six kills. The gate lets the publisher back in once the consumer listens:
    a broker without a listener would take events and forget them, which is not ours to prevent.
    """
    events, kills = 500, 6
    dice = random.Random(1)
    with (
        Gate(broker.port) as gate,
        Consumer(broker.broker()) as consumer,
        publishing(tmp_path, Broker("127.0.0.1", gate.port)) as (publisher, _),
    ):
        producer = threading.Thread(target=_produce, args=(publisher, events))
        producer.start()
        for _ in range(kills):
            time.sleep(dice.uniform(0.05, 0.3))
            gate.is_open = False
            broker.kill()
            eventually(lambda: not consumer.is_subscribed)
            broker.start()
            eventually(lambda: consumer.is_subscribed)
            gate.is_open = True
        producer.join()
        assert publisher.flush(30) == 0
        eventually(lambda: len({hit["seq"] for hit in consumer.payloads("gate/hit")}) == events)
        hits = consumer.payloads("gate/hit")

    once = {hit["event_id"]: hit for hit in hits}  # as an idempotent consumer keeps them
    assert sorted(hit["seq"] for hit in once.values()) == list(range(1, events + 1))
    assert sorted(hit["track_id"] for hit in once.values()) == list(range(1, events + 1))
    first_seqs = list(dict.fromkeys(hit["seq"] for hit in hits))
    assert first_seqs == sorted(first_seqs)  # and each came first in its turn
    assert any(hit["replayed"] for hit in hits)
    record(of_hits("broker killed -9, agent let back when a subscriber is", kills, events, hits))


def _produce(publisher: Publisher, count: int) -> None:
    for track in range(1, count + 1):
        publisher.publish(an_event(track))
        time.sleep(0.002)


def test_a_cut_cable_is_noticed_and_costs_nothing(broker: Mosquitto, tmp_path: Path) -> None:
    with (
        Gate(broker.port) as gate,
        Consumer(broker.broker()) as consumer,
        publishing(tmp_path, Broker("127.0.0.1", gate.port, keepalive_s=1)) as (publisher, _),
    ):
        publisher.wait_settled(5)
        gate.is_frozen = gate.is_open = False
        gate.is_frozen = True
        publisher.publish(an_event(1))
        eventually(lambda: publisher.state.link is Link.UNREACHABLE)
        gate.is_frozen, gate.is_open = False, True
        assert publisher.flush(10) == 0
        (hit,) = consumer.wait_for("gate/hit")
    assert hit["replayed"] is True
    record(of_hits("network cable cut", 1, 1, [hit]))


def test_a_broker_that_does_not_answer_holds_up_nobody(broker: Mosquitto, tmp_path: Path) -> None:
    with Gate(broker.port) as gate:
        gate.is_frozen = True
        began_s = time.monotonic()
        with publishing(tmp_path, Broker("127.0.0.1", gate.port)) as (publisher, _):
            assert publisher.publish(an_event(1)) == 1
            assert publisher.flush(0.2) == 1
        assert time.monotonic() - began_s < 5


def test_the_last_will_speaks_for_an_agent_that_was_killed(
    broker: Mosquitto, tmp_path: Path
) -> None:
    with Consumer(broker.broker()) as consumer:
        agent = start_agent(tmp_path / "outbox.db", broker.port)
        consumer.wait_for("gate/hit", count=5)
        agent.kill()
        agent.wait()
        statuses = consumer.wait_for("agents/gate-1/status", count=2)
    assert [(it["state"], it["reason"]) for it in statuses] == [
        ("online", None),
        ("offline", "connection lost"),
    ]
    with Consumer(broker.broker()) as late_comer:  # it is retained
        assert late_comer.wait_for("agents/gate-1/status")[0]["state"] == "offline"


@pytest.mark.parametrize("kills", [5, pytest.param(50, marks=pytest.mark.soak)])
def test_an_agent_killed_at_any_moment_loses_nothing_it_had_committed(
    broker: Mosquitto, tmp_path: Path, kills: int
) -> None:
    path = tmp_path / "outbox.db"
    dice = random.Random(2)
    committed: list[int] = []
    with Consumer(broker.broker()) as consumer:
        for _ in range(kills):
            agent = start_agent(path, broker.port)
            assert agent.stdout is not None
            said = [agent.stdout.readline() for _ in range(dice.randint(1, 40))]
            time.sleep(dice.uniform(0, 0.01))
            agent.kill()
            said += agent.communicate()[0].splitlines(keepends=True)
            committed += [int(line) for line in said if line.endswith(b"\n")]
        with publishing(path.parent, broker.broker()) as (publisher, outbox):
            last_seq = outbox.figures.last_seq
            assert publisher.flush(20) == 0
        eventually(lambda: len({hit["seq"] for hit in consumer.payloads("gate/hit")}) == last_seq)
        hits = consumer.payloads("gate/hit")
    assert {hit["seq"] for hit in hits} == set(range(1, last_seq + 1)) >= set(committed)
    assert len({hit["event_id"] for hit in hits}) == last_seq
    record(of_hits("agent killed -9 while it publishes", kills, last_seq, hits))


def start_agent(outbox_path: Path, port: int) -> subprocess.Popen[bytes]:
    """A process that publishes as fast as it can, and prints every `seq` once it is committed."""
    script = TESTS / "support" / "busy_agent.py"
    return subprocess.Popen(
        [sys.executable, str(script), str(outbox_path), str(port)], stdout=subprocess.PIPE
    )
