"""Devices of a site that tell each other of strangers, over the shipped Mosquitto configuration."""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support.consumer import Consumer, eventually
from support.in_process import edge_reid  # noqa: F401 - a fixture
from support.nats_cluster import SecuredNatsCluster, need_nats
from support.outcome import Outcome
from support.secured_broker import SecuredMosquitto, secured_mosquitto
from support.shared_stranger_examples import signed_stranger
from support.sharing_device import MANIFEST, SharingDevice, look

from edge_reid.agent import stranger_exchange, stranger_sharing
from edge_reid.agent.stranger_sharing import StrangerSharing
from edge_reid.agent.stranger_withdrawal import StrangerWithdrawal
from edge_reid.core.anonymous_names import precedes
from edge_reid.core.errors import UsageError
from edge_reid.delivery.link_state import Link
from edge_reid.mqtt import retained
from edge_reid.mqtt.connection import connect
from edge_reid.mqtt.message import Message
from edge_reid.mqtt.retained import read_retained
from edge_reid.signing.certified_envelope import CertifiedKey
from edge_reid.wire.payloads import StrangersState
from edge_reid.wire.shared_strangers import MAX_SIGNED_BYTES

pytestmark = pytest.mark.broker

LAB = "edge-reid/lab"
PATIENCE_S = 20.0


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[SecuredMosquitto]:
    with secured_mosquitto(tmp_path) as broker:
        yield broker


@pytest.fixture
def lax_broker(broker: SecuredMosquitto) -> SecuredMosquitto:
    """One whose rules let a device, door-1, say whatever it likes on anybody's topics."""
    acl = broker.pki / "acl"
    acl.write_text(acl.read_text().replace("user door-1\n", "user door-1\ntopic readwrite #\n"))
    broker.restart()
    return broker


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(stranger_sharing, "STATE_INTERVAL_S", 0.2)
    monkeypatch.setattr(stranger_exchange, "TURN_S", 0.1)
    monkeypatch.setattr(stranger_exchange, "SETTLE_S", 0.4)


def topic_of(agent: str, name: str) -> str:
    return f"{LAB}/agents/{agent}/strangers/{name}"


def lies_there(broker: SecuredMosquitto) -> dict[str, bytes]:
    """What devices have told of strangers, as a commander sees it."""
    connection = connect(broker.broker_for("ops"))
    connection.subscribe([f"{LAB}/agents/+/strangers/+"])
    found = read_retained(connection.receive).messages
    connection.close()
    return {message.topic: message.body for message in found if message.body}


def say(broker: SecuredMosquitto, who: str, *messages: tuple[str, bytes]) -> None:
    """Leave messages at the broker, with somebody's certificate."""
    connection = connect(broker.broker_for(who))
    for topic, body in messages:
        connection.publish(Message(topic, body, retain=True))
    while not connection.is_idle:
        connection.turn(0.1)
    connection.close()


def state_of(device: SharingDevice) -> StrangersState:
    state = device.uplink.publisher._report.strangers
    assert state is not None
    return state


def has_ended(desk: Consumer) -> list[dict[str, Any]]:
    """What was said of an agent that is not there."""
    return [said for said in desk.payloads("status") if said["state"] == "offline"]


def key_of(broker: SecuredMosquitto, who: str) -> CertifiedKey:
    login = broker.login(who)
    return CertifiedKey.read(login["cert_file"], login["key_file"])


class TestOneName:
    def test_somebody_has_one_at_the_gate_and_at_the_yard(self, broker, tmp_path):
        with (
            Consumer(broker.broker_for("desk"), f"{LAB}/agents/+/status") as desk,
            SharingDevice(tmp_path / "gate", broker, "gate-1") as gate,
            SharingDevice(tmp_path / "yard", broker, "yard-1") as yard,
        ):
            name = gate.sees(look(1))
            eventually(lambda: name in yard.heard, PATIENCE_S)
            assert yard.sees(look(1, towards=1)) == name
            assert yard.sees(look(2)) not in {None, name}
            eventually(lambda: len(gate.heard) == 2, PATIENCE_S)
            told = {"shared": 1, "heard": 2, "heard_from": 1, "refused": 0, "trouble": None}

            def gate_says() -> dict[str, object]:
                ours = desk.payloads("gate-1/status")[-1]["strangers"]
                return {key: ours[key] for key in told}

            eventually(lambda: gate_says() == told, PATIENCE_S)

    def test_two_names_given_before_they_heard_of_one_another_become_the_lesser(
        self, broker, tmp_path
    ):
        broker.stop()
        with (
            SharingDevice(tmp_path / "gate", broker, "gate-1") as gate,
            SharingDevice(tmp_path / "yard", broker, "yard-1") as yard,
        ):
            two = gate.sees(look(1)), yard.sees(look(1, towards=1))
            lesser = two[0] if precedes(*two) else two[1]
            broker.start()
            eventually(lambda: gate.names == yard.names == [lesser], 2 * PATIENCE_S)
            assert gate.sees(look(1, towards=2)) == yard.sees(look(1, towards=3)) == lesser
            eventually(
                lambda: (
                    lies_there(broker).keys()
                    == {topic_of("gate-1", lesser), topic_of("yard-1", lesser)}
                ),
                PATIENCE_S,
            )


NAME = "anon-aaaaaa-7"


def signed(broker: SecuredMosquitto, agent: str, **claims: object) -> bytes:
    """What an agent says of somebody, with its signature."""
    return signed_stranger(key_of(broker, agent), agent, NAME, **claims)


class TestWhoMaySayIt:
    """The broker lets door-1 write anywhere: signatures are then the only guard."""

    def test_a_device_speaks_for_itself_alone(self, lax_broker, tmp_path, caplog):
        broker = lax_broker
        door, office = key_of(broker, "door-1"), key_of(broker, "office")
        with (
            SharingDevice(tmp_path / "gate", broker, "gate-1") as gate,
            SharingDevice(tmp_path / "yard", broker, "yard-1") as yard,
            caplog.at_level(logging.WARNING),
        ):
            name = gate.sees(look(1))
            eventually(lambda: name in yard.heard, PATIENCE_S)
            true = lies_there(broker)[topic_of("gate-1", name)]
            bent = bytearray(true)
            bent[-40] ^= 1
            forged = [
                (topic_of("gate-1", NAME), signed_stranger(door, "gate-1", NAME)),
                (topic_of("gate-1", "anon-aaaaaa-8"), signed(broker, "door-1")),
                (topic_of("gate-1", "anon-aaaaaa-9"), true),  # moved to another name
                (topic_of("door-1", name), true),  # and to another agent
                (topic_of("gate-1", name), bytes(bent)),
                (topic_of("office", NAME), signed_stranger(office, "office", NAME)),
                (topic_of("gate-1", "anon-aaaaaa-1"), b"not even a certificate"),
                (topic_of("gate-1", "Anna"), true),
                (topic_of("door-1", "anon-aaaaaa-2"), b"x" * (MAX_SIGNED_BYTES + 1)),
            ]
            say(broker, "door-1", *forged)
            eventually(lambda: state_of(yard).refused == len(forged), PATIENCE_S)
            assert yard.heard == {name}
            assert yard.sees(look(1, towards=1)) == name
        lines = [it for it in caplog.messages if it.startswith("strangers of others: gate-1")]
        assert len(lines) == 1  # six came in its name
        assert "expected the signature of agent gate-1 of lab, got agent door-1" in lines[0]

    def test_who_is_of_another_site_is_nobody_here(self, lax_broker, tmp_path):
        barn = key_of(lax_broker, "barn-1")
        body = signed_stranger(barn, "barn-1", NAME)
        with SharingDevice(tmp_path / "yard", lax_broker, "yard-1") as yard:
            say(lax_broker, "door-1", (topic_of("barn-1", NAME), body))
            eventually(lambda: state_of(yard).refused == 1, PATIENCE_S)
            assert yard.heard == set()

    def test_what_was_taken_back_or_replaced_does_not_come_again(self, lax_broker, tmp_path):
        first = signed(lax_broker, "door-1", edition=5)
        second = signed(lax_broker, "door-1", edition=6)
        topic = topic_of("door-1", NAME)
        with SharingDevice(tmp_path / "yard", lax_broker, "yard-1") as yard:
            say(lax_broker, "door-1", (topic, second))
            eventually(lambda: yard.heard == {NAME}, PATIENCE_S)
            say(lax_broker, "door-1", (topic, first))
            eventually(lambda: state_of(yard).refused == 1, PATIENCE_S)
            say(lax_broker, "door-1", (topic, b""))
            eventually(lambda: yard.heard == set(), PATIENCE_S)
            say(lax_broker, "door-1", (topic, second))
            eventually(lambda: state_of(yard).refused == 2, PATIENCE_S)
            assert yard.heard == set()


class TestExpiry:
    def test_the_broker_and_the_others_forget_with_the_device_that_saw_them(self, broker, tmp_path):
        with SharingDevice(tmp_path / "yard", broker, "yard-1") as yard:
            with SharingDevice(tmp_path / "gate", broker, "gate-1", keep_s=8.0) as gate:
                name = gate.sees(look(1), ago_s=0.0)
                eventually(lambda: name in yard.heard, PATIENCE_S)
            # the gate is gone, and clears nothing
            eventually(lambda: not lies_there(broker), PATIENCE_S)
            kept_until = [each.forgotten_utc_s for each in yard.sharing.others().strangers]
            assert all(until_utc_s <= time.time() + 1.0 for until_utc_s in kept_until)

    @pytest.mark.soak
    def test_where_messages_do_not_expire_the_clock_of_who_hears_counts(self, broker, tmp_path):
        """MQTT 3.1.1, as of a NATS cluster. What is left is swept by its owner."""
        gate = SharingDevice(tmp_path / "gate", broker, "gate-1", protocol="3.1.1", keep_s=6.0)
        with gate:
            name = gate.sees(look(1), ago_s=0.0)
            eventually(lambda: len(lies_there(broker)) == 1, PATIENCE_S)
        time.sleep(6.5)
        assert lies_there(broker).keys() == {topic_of("gate-1", name)}
        with SharingDevice(tmp_path / "yard", broker, "yard-1") as yard:
            eventually(lambda: state_of(yard).refused == 1, PATIENCE_S)
            assert yard.heard == set()
        with gate:
            eventually(lambda: not lies_there(broker), PATIENCE_S)


class TestErasure:
    @pytest.fixture
    def ops(
        self,
        broker: SecuredMosquitto,
        edge_reid: Callable[..., Outcome],  # noqa: F811 - a fixture
    ) -> Callable[..., Outcome]:
        """Runs `edge-reid gallery strangers --site lab …` as a commander."""
        login = broker.login("ops")
        files = [
            word
            for key, path in login.items()
            for word in (f"--{key.replace('_', '-')}", str(path))
        ]

        def run(*words: object) -> Outcome:
            options = ("--site", "lab", "--broker", broker.url, *files)
            return edge_reid("gallery", "strangers", *options, *words)

        return run

    def test_all_devices_forget_and_one_that_was_away_does_so_when_it_is_back(
        self, broker, tmp_path, ops
    ):
        yard = SharingDevice(tmp_path / "yard", broker, "yard-1")
        with SharingDevice(tmp_path / "gate", broker, "gate-1") as gate:
            with yard:
                name = gate.sees(look(1))
                eventually(lambda: name in yard.heard, PATIENCE_S)
                assert yard.sees(look(1, towards=1)) == name
                kept = yard.sees(look(2))
                eventually(lambda: gate.heard == {name, kept}, PATIENCE_S)
            assert yard.names == [name, kept]

            ordered = ops("--forget", name)
            assert ordered.code == 0, ordered.complaint
            assert f"{name}: done by 1 of 2" in ordered.out
            assert "yard-1: offline; it does so when it is back" in ordered.out
            assert gate.names == []
            assert gate.heard == {kept}
            assert lies_there(broker).keys() == {topic_of("yard-1", kept)}
            files = [gate.settings.strangers_path, *tmp_path.glob("gate/strangers.db-*")]
            assert not any(name.encode() in file.read_bytes() for file in files)

            with yard:
                eventually(lambda: yard.names == [kept], PATIENCE_S)
                eventually(lambda: f"{name}: done by 2 of 2" in ops().out, PATIENCE_S)
                assert lies_there(broker).keys() == {topic_of("yard-1", kept)}
                fresh = gate.sees(look(1, towards=2))
                assert fresh not in {None, name}  # known again, as somebody new
                eventually(lambda: fresh in yard.heard, PATIENCE_S)

    def test_everybody(self, broker, tmp_path, ops):
        with (
            SharingDevice(tmp_path / "gate", broker, "gate-1") as gate,
            SharingDevice(tmp_path / "yard", broker, "yard-1") as yard,
        ):
            people = {gate.sees(look(1)), yard.sees(look(2))}
            eventually(lambda: gate.heard | yard.heard == people, PATIENCE_S)
            before = lies_there(broker)
            assert "everybody: done by 2 of 2" in ops("--forget-all").out
            assert (gate.names, yard.names, gate.heard, yard.heard) == ([], [], set(), set())
            assert lies_there(broker) == {}

            # whoever has kept what was told before brings nobody back, not even to a newcomer
            (topic,) = (it for it in before if "gate-1" in it)
            with SharingDevice(tmp_path / "door", broker, "door-1") as door:
                say(broker, "gate-1", (topic, before[topic]))
                eventually(lambda: state_of(door).refused == 1, PATIENCE_S)
                assert door.heard == set()

    def test_by_a_name_that_somebody_had_before(self, broker, tmp_path, ops):
        broker.stop()
        with (
            SharingDevice(tmp_path / "gate", broker, "gate-1") as gate,
            SharingDevice(tmp_path / "yard", broker, "yard-1") as yard,
        ):
            two = {gate.sees(look(1)), yard.sees(look(1, towards=1))}
            broker.start()
            eventually(lambda: gate.names == yard.names, 2 * PATIENCE_S)
            (former,) = two - set(gate.names)
            eventually(lambda: {*gate.names} == gate.heard == yard.heard, PATIENCE_S)
            assert f"{former}: done by 2 of 2" in ops("--forget", former).out
            assert (gate.names, yard.names) == ([], [])

    def test_a_device_that_is_lost_before_it_could_share_is_waited_for(self, broker, tmp_path, ops):
        """Its last will is made when it connects, whatever else of it has not begun yet."""
        gate = SharingDevice(tmp_path / "gate", broker, "gate-1")
        with ExitStack() as stack:
            uplink = gate.connect(stack)
            eventually(lambda: uplink.publisher.state.link is Link.ONLINE, PATIENCE_S)
            desk = stack.enter_context(
                Consumer(broker.broker_for("desk"), uplink.address.agent_status)
            )
            desk.wait_for("status")
            taker = connect(broker.broker_for("gate-1"), client_id=uplink.address.client_id)
            eventually(lambda: has_ended(desk), PATIENCE_S)
            taker.abort()
            (lost, *_) = has_ended(desk)
        assert lost["strangers"] is not None
        said = ops("--forget-all").out
        assert re.search("gate-1: (lost|offline); it does so when it is back", said), said

    def test_devices_obey_no_commander_but_their_sites(self, lax_broker, tmp_path, ops):
        with SharingDevice(tmp_path / "gate", lax_broker, "gate-1") as gate:
            name = gate.sees(look(1))
            now = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
            order = {"id": "x", "strangers": None, "issued_at": now}
            orders = {
                "schema": "edge-reid.erasures/1",
                "site": "lab",
                "erasures": [order],
                "at": now,
            }
            forged = key_of(lax_broker, "door-1").sign(json.dumps(orders).encode())
            say(lax_broker, "door-1", (f"{LAB}/agents/erasures", forged))
            eventually(lambda: state_of(gate).refused == 1, PATIENCE_S)
            assert gate.names == [name]

    def test_what_is_no_order_is_told(self, ops, broker, edge_reid):  # noqa: F811 - a fixture
        assert "expected a name such as anon-3fa2c1-12" in ops("--forget", "Anna").complaint
        many = [word for number in range(1, 102) for word in ("--forget", f"anon-3fa2c1-{number}")]
        assert "expected 1 to 100 names in an erasure, got 101" in ops(*many).complaint
        assert "do not go together" in ops("--forget", NAME, "--forget-all").complaint
        bare = edge_reid("gallery", "strangers", "--site", "lab", "--broker", broker.url)
        assert "--ca-file, --cert-file and --key-file of a commander" in bare.complaint
        assert "goes with --site" in edge_reid("gallery", "strangers", "--forget-all").complaint


class TestWhoShares:
    def test_a_recording_and_a_device_that_is_not_to_share_do_not(self, broker, tmp_path):
        for share, is_live in ((False, True), (True, False)):
            device = SharingDevice(tmp_path / "gate", broker, "gate-1", share=share)
            with ExitStack() as stack:
                uplink = device.connect(stack)
                assert not StrangerSharing.open(device.settings, MANIFEST, uplink, is_live=is_live)

    def test_who_shares_no_longer_takes_back_what_it_told_and_forgets_what_it_heard(
        self, broker, tmp_path
    ):
        gate = SharingDevice(tmp_path / "gate", broker, "gate-1")
        with SharingDevice(tmp_path / "yard", broker, "yard-1") as yard:
            with gate:
                names = {gate.sees(look(1)), yard.sees(look(2))}
                eventually(lambda: gate.heard | yard.heard == names, PATIENCE_S)
            quiet = SharingDevice(tmp_path / "gate", broker, "gate-1", share=False)
            assert quiet.settings.heard_strangers_path.exists()
            with ExitStack() as stack:
                uplink = quiet.connect(stack)
                StrangerWithdrawal.start(quiet.settings, MANIFEST, uplink, stack)
                eventually(lambda: yard.heard == set(), PATIENCE_S)
                eventually(lambda: not quiet.settings.heard_strangers_path.exists())
            assert len(lies_there(broker)) == 1  # the yard's
            assert state_of(yard).refused == 0

    def test_it_reads_until_it_has_taken_back_all(self, broker, tmp_path, monkeypatch):
        """As after a reading that was cut short, here since there is room for one message."""
        with SharingDevice(tmp_path / "gate", broker, "gate-1") as gate:
            for person in range(3):
                gate.sees(look(person))
            eventually(lambda: len(lies_there(broker)) == 3, PATIENCE_S)
        cramped = partial(read_retained, most_bytes=2000)
        monkeypatch.setattr(retained, "read_retained", cramped)
        quiet = SharingDevice(tmp_path / "gate", broker, "gate-1", share=False)
        with ExitStack() as stack:
            uplink = quiet.connect(stack)
            StrangerWithdrawal.start(quiet.settings, MANIFEST, uplink, stack)
            eventually(lambda: not quiet.settings.heard_strangers_path.exists(), PATIENCE_S)
        assert lies_there(broker) == {}

    def test_another_agents_certificate_is_none(self, broker, tmp_path):
        device = SharingDevice(tmp_path / "gate", broker, "gate-1", login="door-1")
        with ExitStack() as stack:
            uplink = device.connect(stack)
            with pytest.raises(UsageError, match="expected the certificate of agent gate-1 of lab"):
                StrangerSharing.open(device.settings, MANIFEST, uplink, is_live=True)

    def test_what_a_retired_agent_has_left_is_cleared(
        self,
        broker,
        tmp_path,
        edge_reid,  # noqa: F811 - a fixture
    ):
        with SharingDevice(tmp_path / "gate", broker, "gate-1") as gate:
            gate.sees(look(1))
            eventually(lambda: len(lies_there(broker)) == 1, PATIENCE_S)
        login = [f"--{key.replace('_', '-')}={path}" for key, path in broker.login("ops").items()]
        words = ("fleet", "forget", "gate-1", "--site", "lab", "--broker", broker.url, *login)
        assert edge_reid(*words).code == 0
        assert lies_there(broker) == {}


@pytest.mark.soak
def test_the_same_over_a_nats_cluster(tmp_path):
    """MQTT 3.1.1, permissions of `certs.py`, nothing expires."""
    need_nats()
    cluster = SecuredNatsCluster(tmp_path)
    try:
        cluster.start()
        cluster.wait_ready()
        with (
            SharingDevice(tmp_path / "gate", cluster, "gate-1", protocol="3.1.1") as gate,
            SharingDevice(tmp_path / "yard", cluster, "yard-1", protocol="3.1.1") as yard,
        ):
            name = gate.sees(look(1))
            eventually(lambda: name in yard.heard, 3 * PATIENCE_S)
            assert yard.sees(look(1, towards=1)) == name
            eventually(lambda: name in gate.heard, 3 * PATIENCE_S)
            assert (state_of(gate).trouble, state_of(yard).trouble) == (None, None)
        quiet = SharingDevice(tmp_path / "gate", cluster, "gate-1", protocol="3.1.1", share=False)
        with ExitStack() as stack:
            uplink = quiet.connect(stack)
            StrangerWithdrawal.start(quiet.settings, MANIFEST, uplink, stack)
            eventually(lambda: not quiet.settings.heard_strangers_path.exists(), 3 * PATIENCE_S)
    finally:
        cluster.kill()
