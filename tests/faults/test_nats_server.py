"""What a NATS cluster does with messages that it has acknowledged, when a node of it is killed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path

import nats
import nats.errors
import pytest
from nats.aio.client import Client
from nats.js.api import AckPolicy, ConsumerConfig
from support.nats_cluster import NatsCluster, need_nats

from edge_reid.mqtt.connection import connect
from edge_reid.mqtt.message import Message
from edge_reid.wire.nats_subjects import KEPT_BELOW, MESSAGES

pytestmark = [pytest.mark.broker, pytest.mark.soak]

NODE = 2
HITS = {f"hit {number}" for number in range(10)}
PURGED = "nats-server 2.9.10 purges what a consumer whose state is empty has not had yet"
WRITTEN_S = 5.0
"""The server writes states within so long."""


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[NatsCluster]:
    need_nats()
    servers = NatsCluster(tmp_path)
    try:
        servers.start()
        yield servers
    finally:
        servers.kill()


@pytest.mark.xfail(reason=PURGED, strict=False)
def test_events_outlive_a_node_that_was_killed_while_it_wrote_how_far_a_consumer_is(
    cluster: NatsCluster, tmp_path: Path
) -> None:
    """As it comes back, each node removes from its own copy what all consumers have had, by the
    state of each that it finds on its disk. The server truncates that file and then writes it; one
    that is killed in between leaves it empty.
    """
    asyncio.run(have_consumers(cluster))
    say(cluster, "hit", {"early"})
    assert asyncio.run(take(cluster, "hit")) == {"early"}
    say(cluster, "hit", HITS)
    say(cluster, "unknown", {"last"})
    assert asyncio.run(take(cluster, "unknown")) == {"last"}
    time.sleep(WRITTEN_S)
    cluster.kill_node(NODE)
    (state,) = tmp_path.glob(f"node-{NODE}/**/obs/hit/o.dat")
    state.write_bytes(b"")
    cluster.start_node(NODE)
    cluster.wait_ready(NODE)
    asyncio.run(have_lead(cluster, "hit", f"node-{NODE}"))
    assert asyncio.run(take(cluster, "hit")) == HITS


def say(cluster: NatsCluster, kind: str, texts: set[str]) -> None:
    """By MQTT, and acknowledged."""
    connection = connect(cluster.broker())
    for text in texts:
        connection.publish(Message(f"lab/{kind}", text))
    while not connection.is_idle:
        connection.turn(0.1)
    connection.close()


async def have_consumers(cluster: NatsCluster) -> None:
    client = await client_of(cluster)
    for kind in ("hit", "unknown"):
        await client.jetstream(timeout=30).add_consumer(
            MESSAGES,
            ConsumerConfig(
                durable_name=kind,
                filter_subject=f"{KEPT_BELOW}lab.{kind}",
                ack_policy=AckPolicy.EXPLICIT,
            ),
        )
    await client.close()


async def take(cluster: NatsCluster, kind: str) -> set[str]:
    """Receive and acknowledge what a consumer has, until nothing comes for a while."""
    client = await client_of(cluster)
    consumer = await client.jetstream(timeout=30).pull_subscribe_bind(kind, MESSAGES)
    texts: set[str] = set()
    with contextlib.suppress(nats.errors.TimeoutError):
        while messages := await consumer.fetch(len(HITS), timeout=8):
            for message in messages:
                texts.add(message.data.decode())
                await message.ack_sync(timeout=8)
    await client.close()
    return texts


async def have_lead(cluster: NatsCluster, durable: str, node: str) -> None:
    """Have a consumer's leader step down until that node leads it."""
    client = await client_of(cluster)
    while await leader_of(client, durable) != node:
        with contextlib.suppress(nats.errors.Error):
            step_down = f"$JS.API.CONSUMER.LEADER.STEPDOWN.{MESSAGES}.{durable}"
            await client.request(step_down, timeout=5)
        await asyncio.sleep(1)
    await client.close()


async def leader_of(client: Client, durable: str) -> str | None:
    with contextlib.suppress(nats.errors.Error):
        answer = await client.request(f"$JS.API.CONSUMER.INFO.{MESSAGES}.{durable}", timeout=5)
        leader = json.loads(answer.data).get("cluster", {}).get("leader")
        return None if leader is None else str(leader)
    return None


async def client_of(cluster: NatsCluster) -> Client:
    """At a node that is not killed."""
    return await nats.connect(cluster.servers.split(",")[0], allow_reconnect=False)
