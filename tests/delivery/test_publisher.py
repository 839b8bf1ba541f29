from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from support.consumer import Consumer, eventually
from support.decided_tracks import ADDRESS, STRANGER, an_event
from support.mosquitto import Mosquitto, free_port

from edge_reid import __version__
from edge_reid.core.types import HitType
from edge_reid.delivery.outbox import Outbox
from edge_reid.delivery.publisher import AgentFacts, Link, Publisher
from edge_reid.mqtt.broker import Broker
from edge_reid.mqtt.connection import MqttTransport, connect
from edge_reid.mqtt.message import Message
from edge_reid.mqtt.paho_client import PACKET_BYTES
from edge_reid.wire.events import CameraReport, camera_status_message

pytestmark = pytest.mark.broker

FACTS = AgentFacts(model_id="0123456789abcdef", gallery_version=3, started_utc_s=100.0)
STATUS = "agents/gate-1/status"


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    with Outbox(tmp_path / "outbox.db") as opened:
        yield opened


def publisher(broker: Broker, outbox: Outbox) -> Publisher:
    return Publisher(MqttTransport(broker), outbox, ADDRESS, FACTS, retry_s=(0.02, 0.1))


def test_a_hit_arrives_with_the_state_of_its_identity(broker: Mosquitto, outbox: Outbox) -> None:
    with Consumer(broker.broker()) as consumer, publisher(broker.broker(), outbox) as ours:
        assert ours.wait_settled(5).link is Link.ONLINE
        assert ours.publish(an_event(1)) == 1
        assert ours.flush(5) == 0
        (hit,) = consumer.wait_for("gate/hit")
        (state,) = consumer.wait_for("identities/ana")
    assert hit == json.loads(an_event(1).payload(1).to_json())
    assert state["event_id"] == hit["event_id"]


def test_an_unknown_has_a_topic_of_its_own_and_no_state(broker: Mosquitto, outbox: Outbox) -> None:
    with Consumer(broker.broker()) as consumer, publisher(broker.broker(), outbox) as ours:
        ours.publish(an_event(1, STRANGER))
        consumer.wait_for("gate/unknown")
        assert not any("identities" in message.topic for message in consumer.messages)


def test_the_state_of_an_identity_is_retained(broker: Mosquitto, outbox: Outbox) -> None:
    with publisher(broker.broker(), outbox) as ours:
        ours.publish(an_event(1))
        ours.publish(an_event(1, type_=HitType.END))
        assert ours.flush(5) == 0
    with Consumer(broker.broker()) as later:
        (state,) = later.wait_for("identities/ana")
    assert state["in_view"] is False


def test_the_agent_says_that_it_is_there_and_that_it_goes(
    broker: Mosquitto, outbox: Outbox
) -> None:
    with publisher(broker.broker(), outbox) as ours:
        ours.wait_settled(5)
        with Consumer(broker.broker()) as late_comer:  # it is retained
            online = late_comer.wait_for(STATUS)[-1]
            ours.close()
            offline = late_comer.wait_for(STATUS, count=2)[-1]
    assert online["state"] == "online"
    assert (online["version"], online["model_id"]) == (__version__, FACTS.model_id)
    assert online["gallery_version"] == 3
    assert (online["outbox_depth"], online["events_dropped"]) == (0, 0)
    assert online["started_at"] == "1970-01-01T00:01:40.000Z"
    assert (offline["state"], offline["reason"]) == ("offline", "stopped")


def test_a_new_gallery_is_told_at_once(broker: Mosquitto, outbox: Outbox) -> None:
    with Consumer(broker.broker()) as consumer, publisher(broker.broker(), outbox) as ours:
        ours.wait_settled(5)
        ours.update(AgentFacts("0123456789abcdef", gallery_version=4, started_utc_s=100.0))
        eventually(lambda: any(it["gallery_version"] == 4 for it in consumer.payloads(STATUS)))


def test_camera_states_are_retained_and_told_again_to_a_broker_that_forgot(
    broker: Mosquitto, outbox: Outbox
) -> None:
    def show(frames: int) -> None:
        report = CameraReport("running", frames=frames)
        ours.show(camera_status_message(ADDRESS, "gate", report, 0.0))

    with publisher(broker.broker(), outbox) as ours:
        show(1)
        show(2)
        with Consumer(broker.broker()) as consumer:
            eventually(lambda: any(it["frames"] == 2 for it in consumer.payloads("gate/status")))
        broker.restart()  # without persistence: nothing is retained any more
        with Consumer(broker.broker()) as consumer:
            assert consumer.wait_for("gate/status")[-1]["frames"] == 2


def test_events_from_before_the_connection_are_marked_as_replayed(
    broker: Mosquitto, outbox: Outbox
) -> None:
    outbox.put(an_event(1))
    with Consumer(broker.broker()) as consumer, publisher(broker.broker(), outbox) as ours:
        ours.wait_settled(5)
        ours.publish(an_event(2))
        hits = consumer.wait_for("gate/hit", count=2)
    assert [(hit["seq"], hit["replayed"]) for hit in hits] == [(1, True), (2, False)]


def test_the_newest_status_comes_before_what_waited(broker: Mosquitto, outbox: Outbox) -> None:
    for track in range(1, 60):
        outbox.put(an_event(track))
    with Consumer(broker.broker()) as consumer, publisher(broker.broker(), outbox):
        consumer.wait_for("gate/hit", count=59)
    assert consumer.messages[0].topic.endswith(STATUS)
    assert json.loads(consumer.messages[0].body)["outbox_depth"] == 59


def test_a_damaged_event_does_not_stop_the_others(broker: Mosquitto, outbox: Outbox) -> None:
    for track in (1, 2, 3):
        outbox.put(an_event(track))
    outbox._db.execute("UPDATE events SET body = substr(body, 5) WHERE seq = 2")
    with Consumer(broker.broker()) as consumer, publisher(broker.broker(), outbox) as ours:
        assert ours.flush(5) == 0
        hits = consumer.wait_for("gate/hit", count=2)
    assert [hit["seq"] for hit in hits] == [1, 3]
    assert outbox.figures.dropped == 1


def test_a_wrong_address_is_known_at_once_and_costs_nothing(outbox: Outbox) -> None:
    nobody = Broker("127.0.0.1", free_port())
    with publisher(nobody, outbox) as ours:
        state = ours.wait_settled(5)
        assert state.link is Link.UNREACHABLE
        assert str(nobody) in state.reason
        assert "Connection refused; check the address" in state.reason
        assert ours.publish(an_event(1)) == 1
        assert ours.flush(0.2) == 1


def test_an_unknown_host_is_known(outbox: Outbox) -> None:
    with publisher(Broker("no-such-host.invalid", 1883), outbox) as ours:
        state = ours.wait_settled(20)
    assert state.link is Link.UNREACHABLE
    assert "no-such-host.invalid" in state.reason


def test_a_port_that_is_no_broker_is_known(outbox: Outbox) -> None:
    import socket
    import threading

    def hang_up() -> None:
        with suppress(OSError):  # until it listens no more
            while True:
                listener.accept()[0].close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=hang_up, daemon=True).start()
        with publisher(Broker("127.0.0.1", listener.getsockname()[1]), outbox) as ours:
            state = ours.wait_settled(5)
    assert state.link is Link.UNREACHABLE


def test_a_refused_login_is_known_and_flush_does_not_wait(
    make_broker: Callable[..., Mosquitto], outbox: Outbox, tmp_path: Path
) -> None:
    guarded = make_broker(login=("gate-1", "right"))
    (tmp_path / "password").write_text("wrong\n")
    login = {"username": "gate-1", "password_file": tmp_path / "password"}
    with publisher(guarded.broker(**login), outbox) as ours:
        state = ours.wait_settled(5)
        assert state.link is Link.REFUSED
        assert "check the username and the password file" in state.reason
        assert "wrong" not in state.reason
        ours.publish(an_event(1))
        began_s = time.monotonic()
        assert ours.flush(30) == 1
        assert time.monotonic() - began_s < 5


def test_the_right_login_is_let_in(
    make_broker: Callable[..., Mosquitto], outbox: Outbox, tmp_path: Path
) -> None:
    guarded = make_broker(login=("gate-1", "right"))
    (tmp_path / "password").write_text("right\n")
    login = {"username": "gate-1", "password_file": tmp_path / "password"}
    with publisher(guarded.broker(**login), outbox) as ours:
        ours.publish(an_event(1))
        assert ours.flush(5) == 0


def test_an_agent_that_may_not_publish_loses_nothing(
    make_broker: Callable[..., Mosquitto], outbox: Outbox
) -> None:
    fenced = make_broker(acl=(f"topic write {ADDRESS.agent_status}",))
    with publisher(fenced.broker(), outbox) as ours:
        ours.publish(an_event(1))
        eventually(lambda: "edge-reid/lab/gate/hit" in ours.state.reason)
        assert "does not take messages on" in ours.state.reason
        assert ours.flush(10) == 1


def test_a_damaged_outbox_is_told_in_the_status(broker: Mosquitto, tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    path.write_bytes(b"SQLite format 3\0" + bytes(range(256)) * 40)
    with (
        Outbox(path) as outbox,
        Consumer(broker.broker()) as consumer,
        publisher(broker.broker(), outbox) as ours,
    ):
        ours.publish(an_event(1))
        status = consumer.wait_for(STATUS)[-1]
        assert ours.flush(5) == 0, "a new one was started"
    assert outbox.quarantined is not None
    assert status["outbox_damaged"] == outbox.quarantined.name
    assert outbox.quarantined.exists()


def test_a_message_larger_than_any_of_ours_stays_at_the_broker(broker: Mosquitto) -> None:
    speaker, listener = connect(broker.broker()), connect(broker.broker())
    listener.subscribe(["large", "small"])
    for topic, size in (("large", PACKET_BYTES + 1), ("small", 10)):
        speaker.publish(Message(topic, b"x" * size))
        while not speaker.is_idle:
            speaker.turn(0.1)
    eventually(lambda: listener.turn(0.05) or bool(listener.received))
    assert [it.topic for it in listener.received] == ["small"]
    for connection in (speaker, listener):
        connection.close()
