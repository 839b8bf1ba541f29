"""Nothing says that a person is gone while a byte of their name is left in a file of the outbox:
on the disk as it is, not as SQLite shows it.
"""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from support.consumer import eventually
from support.decided_tracks import ADDRESS, ANA, an_event
from support.mosquitto import Mosquitto
from support.tcp_gate import Gate

from edge_reid.delivery.abandoned_outboxes import AbandonedOutboxes
from edge_reid.delivery.outbox import Outbox
from edge_reid.delivery.publisher import AgentFacts, Publisher
from edge_reid.mqtt.broker import Broker
from edge_reid.mqtt.connection import MqttTransport
from edge_reid.mqtt.subscriber import Subscriber
from edge_reid.wire.topics import Address

pytestmark = pytest.mark.broker

FACTS = AgentFacts(model_id="0123456789abcdef", gallery_version=3, started_utc_s=100.0)
ZOE = replace(ANA, identity="Zoë Quist")
BYTES = (b"Zo\xc3\xab Quist", b"Quist", b"zoe-quist")
"""Her name as it may be written."""
ENROLLED = frozenset({"ana"})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "state"
    folder.mkdir()
    return folder


@contextmanager
def an_agent(
    folder: Path, broker: Broker, address: Address = ADDRESS
) -> Iterator[tuple[Publisher, Outbox]]:
    with (
        Outbox(folder / "outbox.db") as outbox,
        Publisher(
            MqttTransport(broker),
            outbox,
            address,
            FACTS,
            retry_s=(0.02, 0.1),
            abandoned=AbandonedOutboxes(outbox.path, after_s=0),
        ) as publisher,
    ):
        yield publisher, outbox


def files_with_her(folder: Path) -> list[str]:
    return sorted(
        file.name for file in folder.iterdir() if any(name in file.read_bytes() for name in BYTES)
    )


def tell_of_both(publisher: Publisher, tracks: range) -> None:
    for track in tracks:
        publisher.publish(an_event(track, ZOE if track % 2 else ANA))
    assert publisher.flush(20) == 0


def test_no_byte_of_her_is_left_once_it_is_said(broker: Mosquitto, folder: Path) -> None:
    with an_agent(folder, broker.broker()) as (publisher, outbox):
        tell_of_both(publisher, range(1, 200))
        assert files_with_her(folder) != []
        publisher.retract(["Zoë Quist"], enrolled=ENROLLED)
        eventually(lambda: publisher.has_retracted)
        assert files_with_her(folder) == []
        assert outbox.shown == {"ana"}
        publisher.publish(an_event(300))
        assert publisher.flush(10) == 0


def test_nor_after_a_kill_and_a_restart(broker: Mosquitto, folder: Path, tmp_path: Path) -> None:
    """Her last event is delivered, and the agent killed before it is removed from its files."""
    with an_agent(folder, broker.broker()) as (publisher, _):
        tell_of_both(publisher, range(1, 60))
        shutil.copytree(folder, tmp_path / "killed")
    with an_agent(tmp_path / "killed", broker.broker()) as (publisher, _):
        assert files_with_her(tmp_path / "killed") != []
        publisher.retract((), enrolled=ENROLLED)
        eventually(lambda: publisher.has_retracted)
        assert files_with_her(tmp_path / "killed") == []


def test_while_her_events_wait_nothing_is_said(broker: Mosquitto, folder: Path) -> None:
    with Gate(broker.port) as gate:
        gate.is_open = False
        with an_agent(folder, Broker("127.0.0.1", gate.port)) as (publisher, _):
            publisher.publish(an_event(1, ZOE))
            publisher.retract(["Zoë Quist"], enrolled=ENROLLED)
            assert not publisher.has_retracted
            gate.is_open = True
            eventually(lambda: publisher.has_retracted)
            assert files_with_her(folder) == []


def test_a_damaged_outbox_that_was_quarantined_goes_before_it_is_said(
    broker: Mosquitto, folder: Path
) -> None:
    path = folder / "outbox.db"
    with Outbox(path) as outbox:
        for track in range(1, 40):
            outbox.put(an_event(track, ZOE))
    content = bytearray(path.read_bytes())
    content[:100] = bytes(100)
    path.write_bytes(content)
    with an_agent(folder, broker.broker()) as (publisher, outbox):
        assert outbox.quarantined is not None
        assert outbox.quarantined.name in files_with_her(folder)
        assert publisher.flush(20) == 0, "what was whole in it is delivered"
        publisher.retract((), enrolled=ENROLLED)
        eventually(lambda: publisher.has_retracted)
        assert files_with_her(folder) == []


def test_what_the_broker_refuses_of_her_is_dropped_and_counted(
    make_broker: Callable[..., Mosquitto], folder: Path
) -> None:
    """It would wait, and name her, for as long as the age cap lets it."""
    fenced = make_broker(
        acl=(f"topic write {ADDRESS.agent_status}", "topic write +/+/identities/#")
    )
    with an_agent(folder, fenced.broker()) as (publisher, outbox):
        for track in range(1, 7):
            publisher.publish(an_event(track, ZOE if track % 2 else ANA))
        assert publisher.flush(20) == 6
        publisher.retract((), enrolled=ENROLLED)
        eventually(lambda: publisher.has_retracted)
        assert files_with_her(folder) == []
        assert [row.seq for row in outbox.pending()] == [2, 4, 6]
        assert outbox.figures.dropped == 3


def waiting_in(outbox: Path, twin: Path) -> set[int]:
    """Numbers from 4 on that wait there: some had gone out before the copy was made. The file is
    left as it is.
    """
    twin.mkdir()
    for file in outbox.parent.glob(f"{outbox.name}*"):
        shutil.copy(file, twin)
    with Outbox(twin / outbox.name) as copied:
        return {row.seq for row in copied.pending() if row.seq >= 4}


def test_nor_in_the_outbox_of_an_agent_that_was_renamed(
    broker: Mosquitto, folder: Path, tmp_path: Path
) -> None:
    """Her state lies at the broker in its name; it was killed, and its events are nobody's."""
    former = tmp_path / "former"
    former.mkdir()
    with an_agent(former, broker.broker()) as (publisher, outbox):
        tell_of_both(publisher, range(1, 4))
        for track in range(4, 40):
            outbox.put(an_event(track, ZOE if track % 2 else ANA))
        for file in former.iterdir():
            shutil.copy(file, folder / file.name.replace("outbox", "outbox-gate-0"))
        publisher.flush(20)
    waiting = waiting_in(folder / "outbox-gate-0.db", tmp_path / "twin")
    shutil.copy(folder / "outbox-gate-0.db-wal", folder / "outbox-gate-0.db.damaged-20260301")
    shutil.copy(folder / "outbox-gate-0.db-wal", folder / "outbox-attic.db.damaged-20260301")
    assert len(files_with_her(folder)) >= 3
    with an_agent(folder, broker.broker()) as (publisher, outbox):
        publisher.retract((), enrolled=ENROLLED)
        eventually(lambda: publisher.has_retracted)
        assert files_with_her(folder) == []
        assert outbox.shown == frozenset()
    with Subscriber(broker.broker(), [ADDRESS.identity("Zoë Quist")]) as newcomer:
        assert newcomer.receive(0.5) is None, "nor does her state"
    with Outbox(folder / "outbox-gate-0.db") as left:
        others = {seq for seq in waiting if seq % 2 == 0}
        assert {row.seq for row in left.pending()} >= others, "others' events stay"
        assert left.figures.dropped >= len(waiting - others)


def test_a_process_killed_while_it_wipes_says_nothing_and_wipes_at_the_next_start(
    broker: Mosquitto, folder: Path
) -> None:
    path = folder / "outbox.db"
    for delay_s in (0.0, 0.002, 0.01, 0.03):
        with Outbox(path) as outbox:
            seqs = [outbox.put(an_event(track, ZOE)) for track in range(1, 30)]
        child = os.fork()
        if child == 0:
            try:
                outbox = Outbox(path)
                outbox.acknowledge(seq for seq in seqs if seq)
                outbox.forget_shown(frozenset({"Zoë Quist"}))
                signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
                signal.setitimer(signal.ITIMER_REAL, delay_s or 0.0001)
                outbox.wipe()
            finally:
                os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(child, 0)
        with an_agent(folder, broker.broker()) as (publisher, _):
            publisher.retract((), enrolled=ENROLLED)
            eventually(lambda: publisher.has_retracted)
            assert files_with_her(folder) == []
