"""A device with a gallery of its own: who is removed from it is also taken back at the broker."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from support.consumer import eventually
from support.decided_tracks import ADDRESS, a_hit
from support.gallery_publisher import DIMENSION, MODEL, portraits
from support.mosquitto import Mosquitto
from support.policies import CameralessParts, without_camera

from edge_reid.agent.gallery_watch import GalleryWatch
from edge_reid.core.config.agent_settings import AgentSettings
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
) -> Iterator[CameralessParts]:
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
    with ExitStack() as stack:
        yield without_camera(settings, Index(store.snapshot()), stack, watch=watch)


def put_in_force(agent: CameralessParts, index: Index) -> None:
    agent.policies.use_gallery(index)
    agent.between_frames.run(None, None)


def is_retained(broker: Mosquitto, name: str) -> bool:
    with Subscriber(broker.broker(), [ADDRESS.identity(name)]) as newcomer:
        return newcomer.receive(0.5) is not None


def test_who_was_removed_while_the_agent_was_off_is_taken_back_at_its_next_start(
    broker: Mosquitto, store: GalleryStore, tmp_path: Path
) -> None:
    with an_agent(store, tmp_path, broker.url) as agent:
        agent.output.write([a_hit(1)])
        assert agent.uplink.publisher.flush(10) == 0
    with an_agent(store, tmp_path, broker.url) as agent:
        eventually(lambda: agent.uplink.publisher.has_retracted)
    assert is_retained(broker, "ana"), "who is enrolled stays"
    store.remove("ana")
    with an_agent(store, tmp_path, broker.url) as agent:
        eventually(lambda: agent.uplink.publisher.has_retracted)
        assert not is_retained(broker, "ana")


def test_who_is_removed_is_taken_back_at_the_next_reload(
    broker: Mosquitto, store: GalleryStore, tmp_path: Path
) -> None:
    with an_agent(store, tmp_path, broker.url) as agent:
        agent.output.write([a_hit(1)])
        assert agent.uplink.publisher.flush(10) == 0
        store.remove("ana")
        put_in_force(agent, Index(store.snapshot()))
        eventually(lambda: agent.uplink.publisher.has_retracted)
        assert not is_retained(broker, "ana")
        store.add_all(portraits("ana"))
        put_in_force(agent, Index(store.snapshot()))
        agent.output.write([a_hit(2)])
        assert agent.uplink.publisher.flush(10) == 0
        assert is_retained(broker, "ana")
        assert agent.uplink.outbox.shown == {"ana"}


def test_who_is_removed_while_the_agent_runs_is_taken_back_without_a_command(
    broker: Mosquitto, store: GalleryStore, tmp_path: Path
) -> None:
    with (
        GalleryWatch(store.path, MODEL, look_s=0.05) as watch,
        an_agent(store, tmp_path, broker.url, watch) as agent,
    ):
        agent.output.write([a_hit(1)])
        assert agent.uplink.publisher.flush(10) == 0
        assert is_retained(broker, "ana")
        store.remove("ana")

        def is_in_force() -> bool:
            agent.between_frames.run(None, None)
            return "ana" not in agent.index

        eventually(is_in_force)
        eventually(lambda: agent.uplink.publisher.has_retracted)
        assert not is_retained(broker, "ana")
        assert agent.index.version == store.version
