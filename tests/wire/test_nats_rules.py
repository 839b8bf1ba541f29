"""The shipped configuration of a NATS cluster and its permissions, tried from the outside."""

from __future__ import annotations

import asyncio
import json
import socket
import sqlite3
import ssl
import threading
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import nats.errors
import pytest
from nats.aio.client import Client
from support.consumer import eventually
from support.decided_tracks import ADDRESS, a_zone_event, an_event
from support.nats_cluster import SecuredNatsCluster, need_nats
from support.secured_broker import certs
from support.verb_process import VerbProcess

from edge_reid.consumers.event_feed import Share
from edge_reid.consumers.nats_events import NatsEvents
from edge_reid.consumers.nats_feed import NatsFeed, servers_of
from edge_reid.core.errors import BrokerError
from edge_reid.delivery.outbox import Outbox
from edge_reid.delivery.outbox_sender import Delivery
from edge_reid.delivery.publisher import AgentFacts, Publisher
from edge_reid.mqtt.connection import Connection, MqttTransport, connect
from edge_reid.mqtt.message import Message
from edge_reid.mqtt.message_transport import RefusedError, UnreachableError
from edge_reid.wire.nats_subjects import SinkSubjects

pytestmark = pytest.mark.broker

LAB = "edge-reid/lab"
AGENT = f"{LAB}/agents/gate-1"
FACTS = AgentFacts("0123456789abcdef", gallery_version=3, started_utc_s=0.0, cameras=("gate",))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredNatsCluster]:
    need_nats()
    servers = SecuredNatsCluster(tmp_path_factory.mktemp("nats"))
    try:
        servers.start()
        yield servers
    finally:
        servers.kill()


def publish(connection: Connection, topic: str, text: str = "x", *, retain: bool = False) -> None:
    connection.publish(Message(topic, text, retain=retain))
    while not connection.is_idle:
        connection.turn(0.1)


def heard(
    cluster: SecuredNatsCluster, who: str, filters: list[str], said: list[tuple[str, str]]
) -> list[str]:
    """Topics that a subscriber hears of what others say, each at another node. What is not allowed
    is acknowledged all the same: MQTT 3.1.1 has no word for no. So the last is one that comes.
    """
    listener = connect(cluster.broker_for(who, 0))
    listener.subscribe(filters)
    listener.received.clear()  # what is retained
    for number, (speaker, topic) in enumerate(said):
        connection = connect(cluster.broker_for(speaker, number % 3))
        publish(connection, topic)
        connection.close()

    def topics() -> list[str]:
        listener.turn(0.05)
        return [message.topic for message in listener.received]

    eventually(lambda: said[-1][1] in topics(), 30)
    for _ in range(5):  # and what else there might be
        topics()
    listener.close()
    return topics_of(listener)


def topics_of(connection: Connection) -> list[str]:
    return [message.topic for message in connection.received]


@pytest.mark.parametrize(
    ("who", "filters", "said"),
    [
        (
            "desk",
            [f"{LAB}/+/hit", f"{LAB}/agents/+/status", f"{LAB}/identities/+"],
            [
                ("gate-1", f"{LAB}/gate/hit"),
                ("gate-1", f"{AGENT}/status"),
                ("yard-1", f"{LAB}/pond/hit"),
                ("gate-1", f"{LAB}/identities/ana"),
                ("yard-1", f"{LAB}/yard/hit"),
            ],
        ),
        (
            "gate-1",
            [f"{AGENT}/command", f"{AGENT}/stored", f"{LAB}/gallery/head"],
            [
                ("ops", f"{AGENT}/command"),
                ("archive", f"{AGENT}/stored"),
                ("office", f"{LAB}/gallery/head"),
            ],
        ),
    ],
)
def test_everybody_may_say_and_hear_what_is_theirs(
    cluster: SecuredNatsCluster, who: str, filters: list[str], said: list[tuple[str, str]]
) -> None:
    assert sorted(heard(cluster, who, filters, said)) == sorted(topic for _, topic in said)


def test_nobody_is_heard_on_what_is_anothers(cluster: SecuredNatsCluster) -> None:
    forged = [
        ("gate-1", f"{LAB}/door/hit"),
        ("yard-1", f"{LAB}/gate/hit"),
        ("barn-1", f"{LAB}/barn/hit"),
        ("desk", f"{LAB}/gate/hit"),
        ("archive", f"{LAB}/gate/hit"),
        ("gate-1", f"{LAB}/agents/door-1/status"),
        ("office", f"{LAB}/identities/hit"),
        ("gate-1", f"{LAB}/identities/hit"),
    ]
    allowed = ("gate-1", f"{LAB}/gate/hit")
    filters = [f"{LAB}/+/hit", f"{LAB}/agents/+/status"]
    assert heard(cluster, "desk", filters, [*forged, allowed]) == [allowed[1]]


@pytest.mark.parametrize(
    ("who", "topic_filter"),
    [
        ("gate-1", f"{LAB}/+/hit"),
        ("gate-1", f"{LAB}/agents/door-1/command"),
        ("gate-1", "edge-reid/farm/gallery/head"),
        ("desk", f"{LAB}/gallery/head"),
        ("desk", "edge-reid/farm/+/hit"),
        ("ops", f"{LAB}/+/hit"),
        ("archive", f"{LAB}/gallery/blob/+/+"),
        *((who, "#") for who in ("gate-1", "desk", "archive", "office", "ops")),
        *(
            (who, secret)  # where NATS passes on what others are to hear, and keeps it
            for who in ("gate-1", "desk")
            for secret in ("$MQTT/sub/#", "$MQTT/#", "$MQTT/msgs/#", "$JS/#", "_INBOX/#")
        ),
    ],
)
def test_nobody_hears_what_is_not_for_them(
    cluster: SecuredNatsCluster, who: str, topic_filter: str
) -> None:
    with pytest.raises(RefusedError, match="does not let us subscribe"):
        connect(cluster.broker_for(who, 1)).subscribe([topic_filter], qos=0)


def test_a_last_will_on_anothers_topic_is_not_published(cluster: SecuredNatsCluster) -> None:
    desk = connect(cluster.broker_for("desk", 0))
    desk.subscribe([f"{LAB}/agents/+/status"])
    desk.received.clear()
    for topic in (f"{LAB}/agents/door-1/status", f"{AGENT}/status"):
        connect(cluster.broker_for("gate-1", 1), will=Message(topic, "will", retain=True)).abort()

    def is_told() -> bool:
        desk.turn(0.05)
        return f"{AGENT}/status" in topics_of(desk)

    eventually(is_told, 30)
    assert f"{LAB}/agents/door-1/status" not in topics_of(desk)
    desk.close()


def test_nobody_comes_in_without_a_certificate(cluster: SecuredNatsCluster) -> None:
    bare = {"ca_file": cluster.pki / "ca.crt"}
    with pytest.raises(BrokerError, match="certificate"):
        connect(cluster.broker(0, **bare))


def test_a_cluster_of_another_ca_is_not_trusted(cluster: SecuredNatsCluster) -> None:
    own = cluster.login("archive")
    strangers = servers_of(cluster.servers, {**own, "ca_file": None})
    feed = NatsFeed(strangers, cluster.broker_for("archive"), Share("edge-reid", None, "sink", "a"))
    with pytest.raises(RefusedError, match="its certificate is not to be trusted"):
        feed.connect(print, print)


def test_a_server_that_says_it_has_no_tls_gets_no_login(
    cluster: SecuredNatsCluster, tmp_path: Path
) -> None:
    """Whoever answers in the place of the cluster: nats-py would go on in plaintext."""
    password = tmp_path / "password"
    password.write_text("s3cret")
    login = {**cluster.login("archive"), "username": "archive", "password_file": password}
    with PlainImpostor() as impostor:
        servers = servers_of(f"tls://localhost:{impostor.port}", login)
        with pytest.raises(UnreachableError, match="it speaks plaintext only; turn TLS on there"):
            NatsEvents(servers, SinkSubjects("edge-reid", None, "sink"), print)
    assert impostor.heard == b""


class PlainImpostor:
    """Says that it is a NATS server without TLS, and listens to what it is told."""

    def __init__(self) -> None:
        self.heard = b""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._thread = threading.Thread(target=self._greet)

    def __enter__(self) -> PlainImpostor:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join(60)
        self._listener.close()

    def _greet(self) -> None:
        link, _ = self._listener.accept()
        with link:
            link.sendall(b'INFO {"server_id": "x", "version": "2.9.10", "max_payload": 1000}\r\n')
            while heard := link.recv(4096):
                self.heard += heard


@pytest.mark.parametrize("who", ["gate-1", "desk", "office", "ops"])
def test_only_sinks_use_the_client_port(cluster: SecuredNatsCluster, who: str) -> None:
    """There somebody could listen to what the cluster passes on to others."""
    with pytest.raises(RefusedError, match="Authorization Violation"):
        as_client(cluster, who, lambda client: client.flush())


def as_client(
    cluster: SecuredNatsCluster, who: str, work: Callable[[Any], Coroutine[Any, Any, Any]]
) -> Any:
    """Do something with nats-py, not with our code; what the server objects to is raised."""
    login = cluster.login(who)
    tls = ssl.create_default_context(cafile=login["ca_file"])
    tls.load_cert_chain(login["cert_file"], login["key_file"])

    async def run() -> Any:
        complaints: asyncio.Queue[Exception] = asyncio.Queue()
        client = Client()
        try:
            await client.connect(
                cluster.servers.split(",")[0],
                tls=tls,
                allow_reconnect=False,
                error_cb=complaints.put,
                inbox_prefix="_INBOX.edge-reid==sink",
            )
            tasks = asyncio.create_task(work(client)), asyncio.create_task(complaints.get())
            done, _ = await asyncio.wait(tasks, timeout=30, return_when=asyncio.FIRST_COMPLETED)
            if tasks[1] in done:
                raise RefusedError(str(tasks[1].result()))
            return tasks[0].result()
        except nats.errors.Error as error:
            raise RefusedError(str(error)) from error
        finally:
            await client.close()

    return asyncio.run(run())


@pytest.mark.parametrize(
    "wanted",
    [
        "$MQTT.msgs.edge-reid.*.gallery.>",
        "$MQTT.msgs.>",
        "$MQTT.msgs.edge-reid.*.agents.*.command",
    ],
)
def test_a_sink_gets_a_consumer_of_events_and_of_nothing_else(
    cluster: SecuredNatsCluster, wanted: str
) -> None:
    """Galleries lie in the same stream, for agents. Nor may it say another filter than it asks
    by.
    """

    async def ask(client: Any, subject: str) -> Any:
        config = {"durable_name": name, "name": name, "filter_subject": wanted}
        config["ack_policy"] = "explicit"
        body = json.dumps({"stream_name": "$MQTT_msgs", "config": config}).encode()
        answer = await client.request(subject, body, timeout=60)
        return json.loads(answer.data)

    name = "edge-reid==sink=hit"
    base = f"$JS.API.CONSUMER.CREATE.$MQTT_msgs.{name}"
    for refused in (f"{base}.{wanted}", f"$JS.API.CONSUMER.DURABLE.CREATE.$MQTT_msgs.{name}"):
        with pytest.raises(RefusedError, match="[Pp]ermissions"):
            as_client(cluster, "archive", lambda client: ask(client, refused))  # noqa: B023
    told = f"{base}.$MQTT.msgs.edge-reid.*.*.hit"
    answer = as_client(cluster, "archive", lambda client: ask(client, told))
    assert "filter" in answer["error"]["description"]


@pytest.mark.parametrize("subject", ["$MQTT.sub.>", "$MQTT.>", "_INBOX.>", ">", "edge-reid.>"])
def test_a_sink_listens_to_nothing_else_at_the_client_port(
    cluster: SecuredNatsCluster, subject: str
) -> None:
    async def listen(client: Any) -> None:
        await client.subscribe(subject)
        await asyncio.sleep(60)  # until the server complains

    with pytest.raises(RefusedError, match="[Pp]ermissions"):
        as_client(cluster, "archive", listen)


def test_a_device_cannot_pose_as_a_node(cluster: SecuredNatsCluster) -> None:
    """Routes are for who bears the name of a node, not for every certificate of the CA."""
    assert answer_to_a_node(cluster, "server").startswith(b"PONG")
    assert b"Authorization Violation" in answer_to_a_node(cluster, "clients/gate-1")


def answer_to_a_node(cluster: SecuredNatsCluster, pair: str) -> bytes:
    """What somebody with that certificate hears who says that it is a node."""
    tls = ssl.create_default_context(cafile=cluster.pki / "ca.crt")
    own = cluster.pki / pair
    tls.load_cert_chain(own.with_suffix(".crt"), own.with_suffix(".key"))
    with (
        socket.create_connection(("127.0.0.1", cluster.route_ports[0]), timeout=60) as plain,
        tls.wrap_socket(plain, server_hostname="localhost") as link,
        link.makefile("rb") as lines,
    ):
        assert lines.readline().startswith(b"INFO")
        link.sendall(b'CONNECT {"name": "posing", "cluster": "edge-reid"}\r\nPING\r\n')
        return lines.readline()


def test_events_go_from_an_agent_to_a_sink_and_its_word_comes_back(
    cluster: SecuredNatsCluster, tmp_path: Path
) -> None:
    """Nothing tells the agent that this is no Mosquitto; `edge-reid sink` is told."""
    own, database = cluster.login("archive"), tmp_path / "hits.db"
    words = (
        *("--from", cluster.servers, "--broker", cluster.url, "--to", f"sqlite:///{database}"),
        *("--ca-file", own["ca_file"], "--cert-file", own["cert_file"]),
        *("--key-file", own["key_file"], "--group", "archive", "--count", "20"),
    )
    agent = cluster.broker(protocol="auto", **cluster.login("gate-1"))
    with (
        VerbProcess("sink", *words) as sink,
        Outbox(tmp_path / "outbox.db") as outbox,
        Publisher(
            MqttTransport(agent),
            outbox,
            ADDRESS,
            FACTS,
            delivery=Delivery(by_sink=True, resend_s=2.0),
        ) as publisher,
    ):
        for track in range(1, 21):  # of every kind
            publisher.publish((an_event(track), a_zone_event(track))[track % 2])
        assert publisher.flush(60) == 0, publisher.state
        code, said = sink.leave()
    assert code == 0, said
    assert "20 events stored" in said
    with sqlite3.connect(database) as db:
        tables = [
            [seq for (seq,) in db.execute(f"SELECT seq FROM {name} ORDER BY seq")]
            for name in ("events", "edge_reid_zone_events")
        ]
    assert tables == [list(range(2, 21, 2)), list(range(1, 21, 2))]


def test_a_removed_device_is_not_let_in_after_a_reload(cluster: SecuredNatsCluster) -> None:
    """The last test of the cluster, whose users it changes."""
    stolen, others = cluster.broker_for("door-1", 0), cluster.broker_for("gate-1", 0)
    connect(stolen).close()
    assert certs(cluster.pki, "remove door-1")[0] == 0
    cluster.reload()

    def is_refused() -> bool:
        try:
            connect(stolen).close()
        except BrokerError:
            return True
        return False

    eventually(is_refused, 60)
    connect(others).close()
