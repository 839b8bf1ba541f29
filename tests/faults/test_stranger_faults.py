"""What devices tell each other of strangers, changed on its way: nothing of it is taken."""

from __future__ import annotations

import numpy as np
import pytest
from support.fault_figures import Figure, record
from support.sharing_device import MANIFEST, look
from support.two_views import MemoryDevice, MemorySite

from edge_reid.agent import stranger_exchange
from edge_reid.mqtt.message import Message

FLIPS = 400


@pytest.fixture(autouse=True)
def _no_waits(monkeypatch):
    monkeypatch.setattr(stranger_exchange, "SETTLE_S", 0.0)
    monkeypatch.setattr(stranger_exchange, "TURN_S", 0.0)


def test_a_bit_flipped_in_a_message_of_a_stranger(tmp_path):
    site = MemorySite(tmp_path)
    with (
        MemoryDevice(site, "gate-1", MANIFEST) as gate,
        MemoryDevice(site, "yard-1", MANIFEST) as yard,
    ):
        name = gate.sees(look(1))
        gate.turn(2)
        (message,) = (it for it in site.transport.published if it.topic.endswith(f"/{name}"))
        yard.turn()
        (taken,) = yard.heard.people()
        bits = np.random.default_rng(0).choice(8 * len(message.text), FLIPS, replace=False)
        lost = 0
        for number, bit in enumerate(bits, start=1):
            body = bytearray(message.text)
            body[bit // 8] ^= 1 << bit % 8
            site.transport.publish(Message(message.topic, bytes(body), retain=True))
            yard.turn()
            (known,) = yard.heard.people()
            lost += known.edition != taken.edition or not np.array_equal(known.vector, taken.vector)
            assert yard.exchange.state.refused == number
        record(Figure("a bit flipped in a message of a stranger", FLIPS, lost=lost))
        assert lost == 0
