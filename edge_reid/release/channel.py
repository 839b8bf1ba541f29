"""What is said about releases at the broker: their head, and how every device stands with it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from edge_reid.mqtt.broker import Broker
from edge_reid.mqtt.message import Received
from edge_reid.release.release_transfer import RELEASE
from edge_reid.release.rollout import Reports
from edge_reid.transfer.mqtt import MqttTarget
from edge_reid.wire.payloads import DeviceUpdate
from edge_reid.wire.topics import AGENT_UPDATE, RELEASE_HEAD, Address

GRACE_S = 2.0
"""When nothing retained has come for so long, all has."""


@dataclass(frozen=True, slots=True)
class ChannelState:
    """All that is retained."""

    head: bytes | None
    """Sealed; None: no release is published."""
    reports: Reports


class ReleaseChannel:
    """A connection to the broker. `with` connects and leaves.

    Raises:
        BrokerError: on entering, when the broker is not there or refuses us; in every method, when
            the connection is lost.
    """

    def __init__(self, broker: Broker, root: str, site: str) -> None:
        self._root = root
        self._site = site
        self._head_topic = RELEASE_HEAD.name(root, site)
        self._target = MqttTarget(broker, self._head_topic, RELEASE)

    def __enter__(self) -> ReleaseChannel:
        self._target.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._target.__exit__()

    def read(self) -> ChannelState:
        """The head and the reports that lie there."""
        filters = [self._head_topic, AGENT_UPDATE.filter(self._root, self._site)]
        retained = self._target.read(filters, quiet_s=GRACE_S)
        return ChannelState(retained.body(self._head_topic), self._reports(retained.messages))

    def report(self, update: DeviceUpdate) -> None:
        """Leave a report of our device."""
        topic = Address(self._root, self._site, update.agent).agent_update
        self._target.leave(topic, update.to_json())

    def put_head(self, signed_head: bytes) -> None:
        """Replace the published head; an empty one clears it.

        Raises:
            BundleError: somebody else did so at the same moment.
        """
        self._target.put_head(signed_head)

    def _reports(self, messages: Iterable[Received]) -> Reports:
        """By the agent whose topic it is; who claims to be another is not heard."""
        reports: dict[str, DeviceUpdate] = {}
        for message in messages:
            names = AGENT_UPDATE.names_in(message.topic, self._root)
            try:
                report = DeviceUpdate.model_validate_json(message.body)
            except ValueError:
                continue
            if names and report.agent == names["agent"]:
                reports[report.agent] = report
        return reports
