"""What devices tell each other of strangers, changed on its way: nothing of it is taken.

A file of strangers is read whatever another process does to it meanwhile.
"""

from __future__ import annotations

import multiprocessing
import time
from contextlib import suppress
from multiprocessing.synchronize import Event
from pathlib import Path

import numpy as np
import pytest
from support.fault_figures import Figure, record
from support.sharing_device import MANIFEST, look
from support.stranger_examples import opened, visit
from support.two_views import MemoryDevice, MemorySite

from edge_reid.agent import stranger_exchange
from edge_reid.core.errors import DamagedError, GalleryError
from edge_reid.mqtt.message import Message
from edge_reid.strangers.stranger_store import StrangerStore

FLIPS = 400
READING_S = 20.0


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


def files_made(folder: Path, done: Event) -> None:
    number = 0
    while not done.is_set():
        opened(folder / f"{number}.db").close()
        number += 1


def people_come_and_go(folder: Path, done: Event) -> None:
    while not done.is_set():
        with suppress(GalleryError), opened(folder / "0.db") as store:  # locked for too long
            for _ in range(100):
                now = time.time()
                store.forget(store.meet(visit(1, now), origin="lab", now_utc_s=now, max_people=100))


@pytest.mark.soak
@pytest.mark.parametrize("change", [files_made, people_come_and_go])
def test_a_file_is_read_whatever_an_agent_does_to_it(tmp_path, change):
    with opened(tmp_path / "0.db") as store:
        store.meet(visit(0), origin="lab", now_utc_s=time.time(), max_people=100)
    context = multiprocessing.get_context("spawn")
    done = context.Event()
    agent = context.Process(target=change, args=(tmp_path, done))
    agent.start()
    readings = damaged = 0
    ends_s = time.monotonic() + READING_S
    try:
        while time.monotonic() < ends_s:
            newest = max(tmp_path.glob("*.db"), key=lambda path: int(path.stem))
            readings += 1
            try:
                with StrangerStore.open(newest, forgets=False) as store:
                    store.strangers()
            except DamagedError:
                damaged += 1
    finally:
        done.set()
        agent.join()
    assert agent.exitcode == 0
    assert readings > 0
    assert damaged == 0
