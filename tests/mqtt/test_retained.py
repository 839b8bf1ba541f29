"""What lies retained is read, and then that was it: however much is said meanwhile, by whomever."""

from __future__ import annotations

import time
from collections import deque
from typing import Any

import pytest
from support.decided_tracks import ADDRESS
from support.mosquitto import Mosquitto
from support.noisy_client import somebody_speaks

from edge_reid.consumers.fleet import Fleet, fleet_filters
from edge_reid.mqtt.connection import connect
from edge_reid.mqtt.message import Message, Received
from edge_reid.mqtt.retained import read_retained, read_topic
from edge_reid.mqtt.subscriber import Subscriber
from edge_reid.release.channel import ReleaseChannel
from edge_reid.wire.events import CameraReport, camera_status_message
from edge_reid.wire.payloads import DeviceUpdate
from edge_reid.wire.topics import Address

GATE = camera_status_message(ADDRESS, "gate", CameraReport("running"), 0.0)


def leave(broker: Mosquitto, *messages: Message) -> None:
    connection = connect(broker.broker())
    for message in messages:
        while not connection.room:
            connection.turn(0.1)
        connection.publish(message)
    while not connection.is_idle:
        connection.turn(0.1)
    connection.close()


def an_update(agent: str) -> Message:
    at = "2026-03-01T12:00:00.000Z"
    report = DeviceUpdate(
        site="lab",
        agent=agent,
        release="1.0",
        target="pi-trixie",
        serial=1,
        wanted="1.0",
        state="current",
        reason=None,
        since=at,
        at=at,
    )
    topic = Address("edge-reid", "lab", agent).agent_update
    return Message(topic, report.to_json(), retain=True)


@pytest.mark.broker
def test_a_site_that_never_falls_silent_is_read(broker: Mosquitto) -> None:
    agents = [f"agent-{n}" for n in range(200)]
    leave(broker, *map(an_update, agents))
    with (
        somebody_speaks(broker, GATE),
        Subscriber(broker.broker(), fleet_filters("edge-reid", "lab")) as subscriber,
    ):
        retained = read_retained(subscriber.receive, most_s=60)
    known = Fleet("edge-reid", "lab")
    known.learn_all(retained.messages)
    assert {it.name for it in known.members if it.update} == set(agents)
    assert retained.is_whole


@pytest.mark.broker
def test_a_device_sees_its_release_beside_a_loud_agent(broker: Mosquitto) -> None:
    """Else one agent's certificate could keep all devices of a site from ever taking one."""
    leave(broker, Message("edge-reid/lab/release/head", b"sealed", retain=True))
    loud = Message(an_update("liar").topic, "x", retain=False)
    with (
        somebody_speaks(broker, loud),
        ReleaseChannel(broker.broker(), "edge-reid", "lab") as channel,
    ):
        assert channel.read().head == b"sealed"


def given(*messages: Received) -> Any:
    left = deque(messages)

    def receive(timeout_s: float) -> Received | None:
        if left:
            return left.popleft()
        time.sleep(timeout_s)
        return None

    return receive


def test_the_newest_on_every_topic_is_kept() -> None:
    messages = (Received("a", b"1", True), Received("b", b"2", True), Received("a", b"3", False))
    retained = read_retained(given(*messages), quiet_s=0.01)
    assert [(it.topic, it.body) for it in retained.messages] == [("a", b"3"), ("b", b"2")]
    assert retained.is_whole


def test_what_is_too_much_is_left_out_and_said() -> None:
    messages = [Received(f"topic {n}", b"x" * 1000, True) for n in range(100)]
    retained = read_retained(given(*messages), quiet_s=0.01, most_bytes=10_100)
    assert len(retained.messages) == 10
    assert not retained.is_whole


def test_who_retains_without_end_is_listened_to_for_so_long() -> None:
    retained = read_retained(lambda _: Received("a", b"x", True), most_s=0.05)
    assert not retained.is_whole


def test_what_was_asked_for_by_name_is_not_waited_for_once_it_is_there() -> None:
    messages = (Received("b", b"2", True), Received("a", b"1", True), Received("c", b"3", True))
    began_s = time.monotonic()
    retained = read_retained(given(*messages), expected=("a", "b"), quiet_s=5)
    assert time.monotonic() - began_s < 1
    assert [message.topic for message in retained.messages] == ["a", "b"], "the third was not read"
    assert retained.is_whole


def test_what_was_asked_for_and_comes_live_counts_as_well() -> None:
    """A chunk that is being published while a device fetches it."""
    retained = read_retained(given(Received("a", b"1", False)), expected=("a",), quiet_s=5)
    assert retained.body("a") == b"1"


def test_what_is_not_there_is_waited_for_no_longer_than_asked() -> None:
    retained = read_retained(given(), expected=("a",), quiet_s=0.01)
    assert retained.messages == ()
    assert retained.is_whole
    assert retained.body("a") is None


def test_what_was_cleared_is_not_there() -> None:
    retained = read_retained(given(Received("a", b"", False)), quiet_s=0.01)
    assert retained.body("a") is None


@pytest.mark.broker
def test_one_topic_is_read_beside_listeners(broker: Mosquitto) -> None:
    leave(broker, Message("lab/head", "there", retain=True))
    connection = connect(broker.broker())
    heard: list[Received] = []
    connection.listen(["lab/other"], heard.append)
    with somebody_speaks(broker, Message("lab/other", "x")):
        assert read_topic(connection, "lab/head", grace_s=5) == b"there"
        assert read_topic(connection, "lab/nothing", grace_s=0.3) is None
        assert connection.receive(0) is None
    assert heard
    connection.close()
