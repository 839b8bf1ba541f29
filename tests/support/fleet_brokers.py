"""What a simulated fleet talks to: a NATS cluster of three nodes, or one Mosquitto."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Protocol

import nats
from support.mosquitto import Mosquitto
from support.nats_cluster import NODES, NatsCluster, nats_version

from edge_reid.mqtt.broker import Broker
from edge_reid.wire.nats_subjects import MESSAGES


class FleetBrokers(Protocol):
    """Nodes that can be killed one by one."""

    name: str

    @property
    def mqtt(self) -> dict[str, object]:
        """`[mqtt]` of the agents."""
        ...

    @property
    def pids(self) -> dict[int, int]:
        """Processes of the nodes that run, by node."""
        ...

    @property
    def sink_words(self) -> list[str]:
        """Where a sink reads, for its command line."""
        ...

    @property
    def consumers(self) -> int | None:
        """For whom the cluster keeps a place in its stream of messages; None: it has no such."""
        ...

    def broker(self) -> Broker: ...

    def start(self) -> None: ...

    def kill_node(self, node: int) -> None: ...

    def start_node(self, node: int) -> None:
        """Start it again, and return when clients are let in."""
        ...

    def end(self) -> None: ...


class NatsBrokers:
    """Of which one node may die."""

    def __init__(self, folder: Path, host: str) -> None:
        self.cluster = NatsCluster(folder, host)
        self.name = f"NATS {nats_version()}, {NODES} nodes"

    @property
    def mqtt(self) -> dict[str, object]:
        return self.cluster.mqtt

    @property
    def pids(self) -> dict[int, int]:
        return self.cluster.pids

    @property
    def sink_words(self) -> list[str]:
        return ["--from", self.cluster.servers, "--broker", self.cluster.url, "--allow-plaintext"]

    @property
    def consumers(self) -> int | None:
        return asyncio.run(_consumers(self.cluster.servers.split(",")[-1]))

    def broker(self) -> Broker:
        return self.cluster.broker()

    def start(self) -> None:
        self.cluster.start()

    def kill_node(self, node: int) -> None:
        self.cluster.kill_node(node)

    def start_node(self, node: int) -> None:
        self.cluster.start_node(node)
        self.cluster.wait_ready(node)

    def end(self) -> None:
        self.cluster.kill()


class MosquittoBroker:
    """The only node; it saves what it holds every few seconds."""

    name = "Mosquitto"

    def __init__(self, folder: Path, host: str) -> None:
        saves = ("persistence true", f"persistence_location {folder}/", "autosave_interval 5")
        self._mosquitto = Mosquitto(folder, host=host, more=saves)

    @property
    def mqtt(self) -> dict[str, object]:
        return self._mosquitto.mqtt

    @property
    def pids(self) -> dict[int, int]:
        pid = self._mosquitto.pid
        return {} if pid is None else {0: pid}

    @property
    def sink_words(self) -> list[str]:
        return ["--broker", self._mosquitto.url, "--allow-plaintext"]

    @property
    def consumers(self) -> int | None:
        return None

    def broker(self) -> Broker:
        return self._mosquitto.broker()

    def start(self) -> None:
        self._mosquitto.start()

    def kill_node(self, node: int) -> None:
        assert node == 0, "there is one"
        self._mosquitto.kill()

    def start_node(self, node: int) -> None:
        assert node == 0, "there is one"
        self._mosquitto.start()

    def end(self) -> None:
        self._mosquitto.kill()


async def _consumers(address: str) -> int:
    client = await nats.connect(f"nats://{address.removeprefix('nats://')}", allow_reconnect=False)
    try:
        stream = await client.jetstream(timeout=15).stream_info(MESSAGES)
        return stream.state.consumer_count
    finally:
        await client.close()
