"""A device with a gallery of its own: who is removed from it is also taken back at the broker."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from support.consumer import eventually
from support.decided_tracks import ADDRESS, ORIGIN, a_hit
from support.gallery_publisher import DIMENSION, MODEL, portraits
from support.mosquitto import Mosquitto
from support.no_pipeline import NoPipeline

from edge_reid.agent.changeover import Changeover
from edge_reid.agent.event_output import EventOutput
from edge_reid.agent.gallery_watch import GalleryWatch
from edge_reid.agent.uplink import Uplink
from edge_reid.core.config import AgentSettings
from edge_reid.delivery.publisher import AgentFacts
from edge_reid.gallery.store import GalleryStore
from edge_reid.matching.index import Index
from edge_reid.mqtt.subscriber import Subscriber

pytestmark = pytest.mark.broker


@pytest.fixture
def store(tmp_path: Path) -> Iterator[GalleryStore]:
    with GalleryStore.create(tmp_path / "gallery.db", MODEL, DIMENSION) as opened:
        opened.add_all([*portraits("ana"), *portraits("zoe")])
        yield opened


@contextmanager
def an_agent(
    store: GalleryStore, folder: Path, url: str, watch: GalleryWatch | None = None
) -> Iterator[tuple[Changeover, Uplink, EventOutput]]:
    """All of an agent but its camera."""
    settings = AgentSettings.model_validate(
        {
            "site": "lab",
            "camera": "gate",
            "agent": "gate-1",
            "gallery": folder / "gallery.db",
            "source": {"uri": "0"},
            "mqtt": {"url": url},
        }
    )
    index = Index(store.snapshot())
    facts = AgentFacts(MODEL, index.version, started_utc_s=0.0)
    with ExitStack() as stack:
        uplink = Uplink.open(settings, ADDRESS, facts, stack)
        herald = stack.enter_context(
            EventOutput(ORIGIN, commit=uplink.publisher.publish, lines=None)
        )
        changeover = Changeover(
            None,
            index,
            pipeline=NoPipeline(),  # type: ignore[arg-type]
            herald=herald,
            uplink=uplink,
            facts=facts,
            threshold_of=lambda _: 0.6,
            watch=watch,
        )
        yield changeover, uplink, herald


def is_retained(broker: Mosquitto, name: str) -> bool:
    with Subscriber(broker.broker(), [ADDRESS.identity(name)]) as newcomer:
        return newcomer.receive(0.5) is not None


def test_who_was_removed_while_the_agent_was_off_is_taken_back_at_its_next_start(
    broker: Mosquitto, store: GalleryStore, tmp_path: Path
) -> None:
    with an_agent(store, tmp_path, broker.url) as (_, uplink, herald):
        herald.tell([a_hit(1)])
        assert uplink.publisher.flush(10) == 0
    with an_agent(store, tmp_path, broker.url) as (_, uplink, _):
        eventually(lambda: uplink.publisher.has_retracted)
    assert is_retained(broker, "ana"), "who is enrolled stays"
    store.remove("ana")
    with an_agent(store, tmp_path, broker.url) as (_, uplink, _):
        eventually(lambda: uplink.publisher.has_retracted)
        assert not is_retained(broker, "ana")


def test_who_is_removed_is_taken_back_at_the_next_reload(
    broker: Mosquitto, store: GalleryStore, tmp_path: Path
) -> None:
    with an_agent(store, tmp_path, broker.url) as (changeover, uplink, herald):
        herald.tell([a_hit(1)])
        assert uplink.publisher.flush(10) == 0
        store.remove("ana")
        changeover.put_in_force(Index(store.snapshot()))
        eventually(lambda: uplink.publisher.has_retracted)
        assert not is_retained(broker, "ana")
        store.add_all(portraits("ana"))
        changeover.put_in_force(Index(store.snapshot()))
        herald.tell([a_hit(2)])
        assert uplink.publisher.flush(10) == 0
        assert is_retained(broker, "ana")
        assert uplink.outbox.shown == {"ana"}


def test_who_is_removed_while_the_agent_runs_is_taken_back_without_a_command(
    broker: Mosquitto, store: GalleryStore, tmp_path: Path
) -> None:
    with (
        GalleryWatch(store.path, MODEL, look_s=0.05) as watch,
        an_agent(store, tmp_path, broker.url, watch) as (changeover, uplink, herald),
    ):
        herald.tell([a_hit(1)])
        assert uplink.publisher.flush(10) == 0
        assert is_retained(broker, "ana")
        store.remove("ana")

        def is_in_force() -> bool:
            changeover.between_frames()
            return "ana" not in changeover.index

        eventually(is_in_force)
        eventually(lambda: uplink.publisher.has_retracted)
        assert not is_retained(broker, "ana")
        assert herald.origin.gallery_version == store.version
