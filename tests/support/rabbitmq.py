"""A real RabbitMQ with its MQTT plugin and certificates of deploy/broker, to be killed and started.

A node of its own in a folder of its own, on loopback, with an epmd of its own: nothing of Debian's
service is used or touched.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from support.mosquitto import free_port
from support.requirements import absent
from support.secured_broker import CAST, certs, login_of

from edge_reid.core.config.broker_settings import MqttSettings
from edge_reid.core.errors import BrokerError
from edge_reid.mqtt.broker import Broker
from edge_reid.mqtt.connection import connect

PROGRAM = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
"""Debian's; the one on the path is a wrapper for its own user and folder."""
START_TIMEOUT_S = 240.0
"""On a machine of two cores with twenty at work it has taken three minutes."""
EXCHANGE = "amq.topic"
"""Through it all of MQTT goes, a topic's slashes written as dots."""
QUEUES = "mqtt-subscription-.*qos[01]"
"""Where what a client has subscribed to waits for it."""


class RabbitMq:
    """A node with TLS that knows everybody of the cast by their certificates."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.port, self._node_port, self._epmd_port = free_port(), free_port(), free_port()
        self.url = f"mqtts://localhost:{self.port}"
        self.pki = folder / "pki"
        for words in CAST:
            code, _, complaint = certs(self.pki, words)
            assert code == 0, complaint
        (folder / "home").mkdir()
        (folder / "plugins").write_text("[rabbitmq_mqtt].\n")
        (folder / "rabbitmq.conf").write_text(self._configuration())
        definitions = json.dumps(definitions_of((self.pki / "acl").read_text()))
        (folder / "definitions.json").write_text(definitions)
        self._process: subprocess.Popen[bytes] | None = None

    def broker_for(self, name: str, **settings: object) -> Broker:
        """How somebody of the cast reaches it. Nothing says that it is no Mosquitto."""
        asked = {"url": self.url, **self.login(name), **settings}
        return Broker.from_settings(MqttSettings.model_validate(asked))

    def login(self, name: str) -> dict[str, Path]:
        """Settings of `[mqtt]` for somebody of the cast."""
        return login_of(self.pki, name)

    def start(self) -> None:
        """And return when clients are let in."""
        self._start_epmd()
        with (self._folder / "said").open("ab") as said:
            self._process = subprocess.Popen(
                [PROGRAM], env=self._environment(), stdout=said, stderr=said, start_new_session=True
            )
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while not self._lets_in():
            said_last = (self._folder / "said").read_text()[-2000:]
            assert self._process.poll() is None, said_last
            assert time.monotonic() < deadline_s, said_last
            time.sleep(0.1)

    def kill(self) -> None:
        """SIGKILL the shell and the node that it has started, and wait."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):  # it has ended by itself
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(timeout=10)
        self._process = None

    def end(self) -> None:
        """The same for good, with the daemon that a node starts to be found by others."""
        self.kill()
        deadline_s = time.monotonic() + 10
        while not self._epmd_is_gone():
            assert time.monotonic() < deadline_s, "epmd stays"
            time.sleep(0.2)

    def _start_epmd(self) -> None:
        """A node starts one too, and does not wait for it: on a busy machine it finds nobody."""
        self._asked_of_epmd("-daemon")
        deadline_s = time.monotonic() + 30
        while b"up and running" not in (said := self._asked_of_epmd("-names")):
            assert time.monotonic() < deadline_s, said
            time.sleep(0.1)

    def _epmd_is_gone(self) -> bool:
        """It goes when it has noticed that its nodes are gone."""
        said = self._asked_of_epmd("-kill")
        return b"Killed" in said or b"Cannot connect" in said

    def _asked_of_epmd(self, word: str) -> bytes:
        words = ["epmd", "-port", str(self._epmd_port), word]
        asked = subprocess.run(words, env=self._environment(), capture_output=True, check=False)
        return asked.stdout + asked.stderr

    def _lets_in(self) -> bool:
        with contextlib.suppress(BrokerError):
            connect(self.broker_for("desk", protocol="3.1.1")).close()
            return True
        return False

    def _environment(self) -> dict[str, str]:
        folder = self._folder
        return {
            "PATH": os.environ["PATH"] + ":/usr/sbin",
            "HOME": str(folder / "home"),  # of its cookie
            "ERL_CRASH_DUMP": str(folder / "erl_crash.dump"),
            "RABBITMQ_NODENAME": "edge-reid@localhost",
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_CONF_ENV_FILE": str(folder / "none"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "none.config"),
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "RABBITMQ_DIST_PORT": str(self._node_port),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": ("-kernel inet_dist_use_interface {127,0,0,1}"),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(self._epmd_port),
        }

    def _configuration(self) -> str:
        return f"""
listeners.tcp = none
mqtt.listeners.tcp = none
mqtt.listeners.ssl.default = 127.0.0.1:{self.port}
mqtt.allow_anonymous = false
mqtt.ssl_cert_login = true
ssl_cert_login_from = common_name
ssl_options.cacertfile = {self.pki}/ca.crt
ssl_options.certfile = {self.pki}/server.crt
ssl_options.keyfile = {self.pki}/server.key
ssl_options.verify = verify_peer
ssl_options.fail_if_no_peer_cert = true
load_definitions = {self._folder}/definitions.json
"""


@dataclass
class _Rights:
    """Topics of Mosquitto's access rules, as patterns."""

    reads: list[str] = field(default_factory=list)
    writes: list[str] = field(default_factory=list)
    denied: list[str] = field(default_factory=list)


def definitions_of(acl: str) -> dict[str, list[dict[str, str]]]:
    """Users and permissions as RabbitMQ imports them, from Mosquitto's access rules."""
    rights: dict[str, _Rights] = {}
    for words in map(str.split, acl.splitlines()):
        if words[:1] == ["user"]:
            own = rights.setdefault(words[1], _Rights())
        if words[:1] == ["topic"]:
            _, access, topic = words
            own.denied += [_written(topic)] * (access == "deny")
            own.reads += [_asked_for(topic)] * ("read" in access)
            own.writes += [_written(topic)] * ("write" in access)
    whose = [{"user": user, "vhost": "/"} for user in rights]
    uses = f"^({re.escape(EXCHANGE)}|{QUEUES})$"
    topics = [
        {
            "exchange": EXCHANGE,
            "read": f"^({'|'.join(own.reads)})$",
            "write": "".join(f"(?!^{topic}$)" for topic in own.denied)
            + f"^({'|'.join(own.writes)})$",
        }
        for own in rights.values()
    ]
    return {
        "vhosts": [{"name": "/"}],
        "users": [{"name": user, "password_hash": "", "tags": ""} for user in rights],
        "permissions": [
            own | {"configure": f"^{QUEUES}$", "write": uses, "read": uses} for own in whose
        ],
        "topic_permissions": [own | topic for own, topic in zip(whose, topics, strict=True)],
    }


def _written(topic: str) -> str:
    return _pattern(topic, r"[^.*#]+")


def _asked_for(topic: str) -> str:
    """Also a filter that has `+` where the rule has it: RabbitMQ refuses a wider one."""
    return _pattern(topic, r"([^.*#]+|\*)")


def _pattern(topic: str, any_level: str) -> str:
    levels = topic.split("/")
    return r"\.".join(any_level if level == "+" else re.escape(level) for level in levels)


@contextlib.contextmanager
def rabbitmq(folder: Path) -> Iterator[RabbitMq]:
    """A running one, ended in the end. Without the program the test is skipped; in CI it fails."""
    if not PROGRAM.exists() or not shutil.which("epmd"):
        absent("RabbitMQ (Debian: apt install rabbitmq-server)")
    broker = RabbitMq(folder)
    try:
        broker.start()
        yield broker
    finally:
        broker.end()
