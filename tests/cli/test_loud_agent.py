"""The verbs that show a site come to an end, however much is said there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.decided_tracks import ADDRESS
from support.mosquitto import Mosquitto
from support.noisy_client import somebody_speaks

from edge_reid.mqtt.message import Message

pytestmark = pytest.mark.broker


@pytest.mark.parametrize("verb", ["fleet", "gallery status"])
def test_it_ends_beside_a_loud_agent(
    broker: Mosquitto, edge_reid: Any, tmp_path: Path, verb: str
) -> None:
    key: tuple[object, ...] = ()
    if verb != "fleet":
        assert edge_reid("keys", "new", "--out", tmp_path).code == 0
        key = ("--public-key", tmp_path / "gallery-signing.pub")
    with somebody_speaks(broker, Message(ADDRESS.agent_status, "x" * 100)):
        done = edge_reid(*verb.split(), "--broker", broker.url, "--site", "lab", *key)
    assert done.code == 0
