"""An agent's outbox and publisher, without the rest of the agent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from support.decided_tracks import ADDRESS, MODEL_ID

from edge_reid.delivery.outbox import Outbox
from edge_reid.delivery.publisher import AgentFacts, Publisher
from edge_reid.mqtt.broker import Broker
from edge_reid.mqtt.connection import MqttTransport

FACTS = AgentFacts(MODEL_ID, gallery_version=3, started_utc_s=0.0, cameras=("gate",))
RETRY_S = (0.02, 0.1)
"""So that a test does not wait for a broker that is back."""


@contextmanager
def publishing(folder: Path, broker: Broker, **options: Any) -> Iterator[tuple[Publisher, Outbox]]:
    """One whose outbox is `outbox.db` in a folder; options are those of `Publisher`."""
    options = {"retry_s": RETRY_S, **options}
    with (
        Outbox(folder / "outbox.db") as outbox,
        Publisher(MqttTransport(broker), outbox, ADDRESS, FACTS, **options) as publisher,
    ):
        yield publisher, outbox
