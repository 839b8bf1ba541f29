"""Topic → listener: without a broker, and on a connection to one."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from support.consumer import eventually
from support.mosquitto import Mosquitto
from support.raw_broker import said_by_a_broker

from edge_reid.core.errors import BrokerError
from edge_reid.mqtt.connection import Connection, connect
from edge_reid.mqtt.message import Message, Received
from edge_reid.mqtt.message_transport import RefusedError
from edge_reid.mqtt.router import Listener, Router


def message(topic: str, body: bytes = b"x") -> Received:
    return Received(topic, body, retained=False)


def heard_by(*filters: str, on: str) -> int:
    """How often a listener of these filters hears one message on a topic."""
    heard: list[Received] = []
    router = Router()
    router.add(Listener(filters, heard.append))
    assert router.route(message(on)) == bool(heard)
    return len(heard)


@pytest.mark.parametrize(
    ("topic_filter", "topic", "fits"),
    [
        ("a/b/hit", "a/b/hit", True),
        ("a/b/hit", "a/b/hits", False),
        ("a/+/hit", "a/b/hit", True),
        ("a/+/hit", "a/b/c/hit", False),
        ("a/+", "a", False),
        ("a/#", "a", True),
        ("a/#", "a/b/c", True),
        ("#", "a", True),
        ("#", "$SYS/broker", False),
        ("$share/archive/a/+/hit", "a/b/hit", True),
        ("$share/archive/#", "a/b", True),
        ("$share/archive/a/+/hit", "archive/a/b/hit", False),
    ],
)
def test_a_filter_fits_as_mqtt_has_it(topic_filter: str, topic: str, fits: bool) -> None:
    assert heard_by(topic_filter, on=topic) == fits


def test_a_message_that_fits_two_filters_of_one_listener_is_heard_once() -> None:
    assert heard_by("a/#", "a/+", on="a/b") == 1


def test_listeners_are_called_in_their_order_until_they_are_removed() -> None:
    calls: list[str] = []
    router = Router()
    first = Listener(("a/#",), lambda _: calls.append("first"))
    second = Listener(("a/+",), lambda _: calls.append("second"))
    for listener in (first, second):
        router.add(listener)
    assert router.filters == {"a/#", "a/+"}
    router.route(message("a/b"))
    router.remove(first)
    router.route(message("a/b"))
    router.remove(first)  # it is gone already
    assert calls == ["first", "second", "second"]
    assert not router.route(message("b")), "nobody's"


def test_one_that_raises_is_logged_and_keeps_nobody_from_hearing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    heard: list[Received] = []
    router = Router()

    def stumble(_: Received) -> None:
        raise KeyError("of its own")

    router.add(Listener(("a/#",), stumble))
    router.add(Listener(("a/+",), heard.append))
    with caplog.at_level(logging.ERROR):
        assert router.route(message("a/b"))
    assert [received.topic for received in heard] == ["a/b"]
    assert "a listener of a/b failed; the others go on" in caplog.text
    assert "of its own" in caplog.text


def test_a_listener_may_take_itself_away_while_it_is_called() -> None:
    router = Router()
    heard: list[Received] = []
    once = Listener(("a",), lambda received: (heard.append(received), router.remove(once)))  # type: ignore[func-returns-value]
    router.add(once)
    router.add(Listener(("a",), heard.append))
    for body in (b"1", b"2"):
        router.route(message("a", body))
    assert [received.body for received in heard] == [b"1", b"1", b"2"]


@pytest.fixture
def pair(broker: Mosquitto) -> Iterator[tuple[Connection, Connection]]:
    """One connection that speaks, and one that listens."""
    speaker, listening = connect(broker.broker()), connect(broker.broker())
    yield speaker, listening
    for connection in (speaker, listening):
        connection.close()


def say(speaker: Connection, *messages: Message) -> None:
    for each in messages:
        speaker.publish(each)
    while not speaker.is_idle:
        speaker.turn(0.1)


@pytest.mark.broker
def test_every_listener_of_a_connection_hears_its_own(pair: tuple[Connection, Connection]) -> None:
    speaker, listening = pair
    hits: list[bytes] = []
    all_of_gate: list[bytes] = []
    listening.listen(["lab/+/hit"], lambda received: hits.append(received.body))
    listening.listen(["lab/gate/hit"], lambda received: all_of_gate.append(received.body))
    listening.subscribe(["lab/gate/status"])
    say(speaker, Message("lab/gate/status", "on"))
    say(speaker, *(Message(f"lab/{camera}/hit", camera) for camera in ("gate", "door", "gate")))
    eventually(lambda: listening.turn(0.05) or (len(set(hits)) == 2 and len(all_of_gate) >= 2))
    assert set(all_of_gate) == {b"gate"}
    assert [body for index, body in enumerate(hits) if body not in hits[:index]] == [
        b"gate",
        b"door",
    ], "in the order in which they came"
    waiting = listening.receive(0)
    assert waiting is not None
    assert waiting.body == b"on", "what no listener takes waits for who receives"


@pytest.mark.broker
def test_one_that_is_added_while_connected_hears_what_lies_there_and_what_comes(
    pair: tuple[Connection, Connection],
) -> None:
    speaker, listening = pair
    early: list[bytes] = []
    late: list[bytes] = []
    listening.listen(["lab/gate/hit"], lambda received: early.append(received.body))
    say(speaker, Message("lab/gate/status", "retained", retain=True), Message("lab/gate/hit", "1"))
    eventually(lambda: listening.turn(0.05) or bool(early))
    listening.listen(["lab/gate/+"], lambda received: late.append(received.body))
    eventually(lambda: listening.turn(0.05) or bool(late))
    say(speaker, Message("lab/gate/hit", "2"))
    eventually(lambda: listening.turn(0.05) or (b"2" in early and b"2" in late))
    assert late[0] == b"retained"
    assert b"1" not in late


@pytest.mark.broker
def test_one_that_stops_listening_takes_nothing_from_the_others(
    pair: tuple[Connection, Connection],
) -> None:
    speaker, listening = pair
    first: list[bytes] = []
    second: list[bytes] = []
    leaving = listening.listen(
        ["lab/gate/hit", "lab/gate/status"], lambda received: first.append(received.body)
    )
    listening.listen(["lab/gate/hit"], lambda received: second.append(received.body))
    listening.stop_listening(leaving)
    say(speaker, Message("lab/gate/status", "on"), Message("lab/gate/hit", "1"))
    eventually(lambda: listening.turn(0.05) or bool(second))
    assert first == []
    assert listening.receive(0.1) is None, "what nobody listens to is not sent any more"


@pytest.mark.broker
def test_a_listener_that_raises_does_not_end_the_connection(
    pair: tuple[Connection, Connection],
) -> None:
    speaker, listening = pair
    heard: list[bytes] = []

    def stumble(_: Received) -> None:
        raise BrokerError("as if the connection were over")

    listening.listen(["lab/+/hit"], stumble)
    listening.listen(["lab/gate/hit"], lambda received: heard.append(received.body))
    say(speaker, Message("lab/gate/hit", "1"), Message("lab/gate/hit", "2"))
    eventually(lambda: listening.turn(0.05) or {b"1", b"2"} <= set(heard))


SUBACK_NOT_AUTHORISED = bytes([0x90, 4, 0, 1, 0, 0x87])


def test_what_may_not_be_heard_ends_the_connection_unless_it_can_be_done_without() -> None:
    with said_by_a_broker(2 * SUBACK_NOT_AUTHORISED, stays=True) as connection:
        connection.listen_if_allowed(["lab/gate/status"], print)
        with pytest.raises(RefusedError, match="does not let us subscribe: Not authorized"):
            connection.listen(["lab/gate/hit"], print)
