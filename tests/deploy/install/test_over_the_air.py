"""Releases over the air: real bundles, a real broker, and the installer that a person runs."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from support.consumer import Consumer, eventually
from support.decided_tracks import ADDRESS, an_event
from support.fleets import Fleet, FollowingAgent, FollowingDevice
from support.in_process import edge_reid  # noqa: F401 - a fixture
from support.mosquitto import Mosquitto
from support.outcome import Outcome

from edge_reid.core.errors import BundleError
from edge_reid.delivery.inherited_events import InheritedEvents
from edge_reid.delivery.outbox import Outbox
from edge_reid.delivery.publisher import AgentFacts, Publisher
from edge_reid.mqtt.connection import MqttTransport
from edge_reid.release.release_head import seal
from edge_reid.signing.keys import SigningKey
from edge_reid.wire.payloads import DeviceUpdate

pytestmark = pytest.mark.broker
CANARY = {"canary": ("gate-1",)}
PER_CAMERA = {
    "north": FollowingAgent("yard-1-north", ("north",)),
    "south": FollowingAgent("yard-1-south", ("south",)),
}
ONE = {"yard-1": FollowingAgent("yard-1", ("north", "south"))}


@pytest.fixture(autouse=True)
def broker_nearby(monkeypatch: pytest.MonkeyPatch) -> None:
    """On loopback what is retained comes at once; to wait for more would be half of every test."""
    monkeypatch.setattr("edge_reid.release.channel.GRACE_S", 0.3)


@pytest.fixture
def fleet(
    tmp_path: Path,
    pip_wheel: Path,
    broker: Mosquitto,
    edge_reid: Callable[..., Outcome],  # noqa: F811
) -> Fleet:
    """Nobody in it yet."""
    return Fleet(tmp_path, pip_wheel, broker.url, edge_reid)


def report(fleet: Fleet, name: str) -> DeviceUpdate:
    """What a device has left at the broker."""
    with fleet.channel() as channel:
        return channel.read().reports[name]


def an_hour_passes(device: FollowingDevice) -> None:
    """Since the last attempt."""
    file = device.home / "update.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"at_utc_s": 0}))


def test_a_device_takes_what_is_published_and_says_so(fleet: Fleet) -> None:
    gate = fleet.add("gate-1")
    assert "no release is published: current" in gate.fetch().out
    head = fleet.publish(fleet.bundle("1.1")).head
    assert "runs 1.0, wanted is 1.1: installing" in gate.fetch().out
    assert gate.version == "1.0", "whoever fetches can install nothing"
    assert "release 1.1: is installed" in gate.take().out
    assert gate.version == "1.1"
    assert "# for 1.1\n" in gate.config.read_text()
    assert (gate.root / "etc/edge-reid/secrets/agent.key").read_bytes() == b"secret"
    assert "runs 1.1, wanted is 1.1: current" in gate.fetch().out
    said = report(fleet, "gate-1")
    assert (said.release, said.state, said.reason) == ("1.1", "current", None)
    assert said.serial == head.serial
    assert said.since <= said.at


def test_canaries_go_first_and_the_others_wait_until_they_have_run_it_for_a_while(
    fleet: Fleet,
) -> None:
    gate, yard = fleet.add("gate-1"), fleet.add("yard-1")
    bundle = fleet.bundle("1.1")
    fleet.publish(bundle, groups=CANARY, soak_s=3600)
    waits = "waiting: waits for gate-1 of group canary, which has not said anything about it"
    assert waits in yard.fetch().out
    gate.fetch()
    assert "which is installing" in yard.fetch().out
    gate.take()
    gate.fetch()
    assert "which has run it for 0 of 60 min" in yard.fetch().out
    fleet.publish(bundle, groups=CANARY, soak_s=0)
    gate.fetch()
    assert "installing" in yard.fetch().out
    yard.take()
    assert (gate.version, yard.version) == ("1.1", "1.1")


def outbox_of(device: FollowingDevice, unit: str) -> Outbox:
    return Outbox(device.root / f"var/lib/edge-reid/outbox-{unit}.db")


def commit(device: FollowingDevice, unit: str, agent: FollowingAgent, track: int) -> None:
    """An event of each camera, which no broker has been told."""
    with outbox_of(device, unit) as outbox:
        for camera in agent.cameras:
            event, address = an_event(track), replace(ADDRESS, agent=agent.name)
            origin = replace(event.origin, address=address, camera=camera)
            outbox.put(replace(event, origin=origin))


def deliver(device: FollowingDevice, unit: str, broker: Mosquitto, *, last_seq: int) -> None:
    """What the agent of a unit does ten minutes after it has come up, up to an event."""
    agent = device.agents[unit]
    address = replace(ADDRESS, agent=agent.name)
    facts = AgentFacts("0123456789abcdef", 1, 100.0, cameras=agent.cameras)
    with outbox_of(device, unit) as outbox:
        inherited = InheritedEvents(outbox, address, agent.cameras, after_s=0)
        transport = MqttTransport(broker.broker())
        with Publisher(transport, outbox, address, facts, inherited=inherited) as publisher:
            eventually(lambda: outbox.figures.last_seq == last_seq)
            assert publisher.flush(5) == 0


def configured(device: FollowingDevice) -> list[str]:
    return sorted(file.stem for file in device.config.parent.glob("*.toml"))


def test_agents_of_cameras_become_one_over_the_air_and_nothing_committed_is_lost(
    fleet: Fleet, broker: Mosquitto
) -> None:
    yard = fleet.add("yard-1", PER_CAMERA)
    for unit, agent in PER_CAMERA.items():
        commit(yard, unit, agent, track=1)

    yard.agents = ONE
    fleet.publish(fleet.bundle("1.1", "sick"))
    yard.fetch()
    assert "edge-reid@yard-1: doctor says no" in yard.take().out
    assert (yard.version, configured(yard)) == ("1.0", ["north", "south"])
    assert "taken-back" in yard.fetch().out
    assert report(fleet, "yard-1-north").state == "taken-back"

    fleet.publish(fleet.bundle("1.2"))
    yard.fetch()
    assert "release 1.2: is installed" in yard.take().out
    assert (yard.version, configured(yard)) == ("1.2", ["yard-1"])
    assert "current" in yard.fetch().out
    assert report(fleet, "yard-1").state == "current"
    commit(yard, "yard-1", ONE["yard-1"], track=2)
    with Consumer(broker.broker()) as consumer:
        deliver(yard, "yard-1", broker, last_seq=4)
        first = {
            "north": consumer.wait_for("north/hit", 2),
            "south": consumer.wait_for("south/hit", 2),
        }
    for camera, hits in first.items():
        assert {hit["track_id"] for hit in hits} == {1, 2}, camera
        assert {hit["agent"] for hit in hits} == {"yard-1"}
    assert sorted(hit["seq"] for hits in first.values() for hit in hits) == [1, 2, 3, 4]

    commit(yard, "yard-1", ONE["yard-1"], track=3)
    yard.agents = PER_CAMERA
    fleet.publish(fleet.bundle("1.3"))
    yard.fetch()
    yard.take()
    assert (yard.version, configured(yard)) == ("1.3", ["north", "south"])
    with Consumer(broker.broker()) as consumer:
        for unit in PER_CAMERA:
            deliver(yard, unit, broker, last_seq=2)
        (north,), (south,) = consumer.wait_for("north/hit"), consumer.wait_for("south/hit")
    assert (north["agent"], south["agent"]) == ("yard-1-north", "yard-1-south")
    assert (north["track_id"], south["track_id"]) == (3, 3)


def test_a_canary_that_takes_a_release_back_stops_the_roll_out(fleet: Fleet) -> None:
    gate, yard = fleet.add("gate-1"), fleet.add("yard-1")
    fleet.publish(fleet.bundle("1.1", "sick"), groups=CANARY)
    gate.fetch()
    taken = gate.take()
    assert taken.code == 1
    assert "doctor says no" in taken.out
    assert gate.version == "1.0"
    assert "taken-back: edge-reid@gate: doctor says no" in gate.fetch().out
    assert "the roll-out has stopped: gate-1 took 1.1 back" in yard.fetch().out
    assert report(fleet, "yard-1").state == "waiting"

    fleet.publish(fleet.bundle("1.2"), groups=CANARY)
    for device in (gate, yard):
        device.fetch()
        device.take()
        device.fetch()
        assert device.version == "1.2", "the next release goes on where that one stopped"


def test_an_older_release_published_anew_takes_all_devices_back(fleet: Fleet) -> None:
    gate = fleet.add("gate-1")
    old = fleet.bundle("1.0")
    for bundle in (fleet.bundle("1.1"), old):
        head = fleet.publish(bundle).head
        gate.fetch()
        gate.take()
    assert gate.version == "1.0"
    assert report(fleet, "gate-1").serial == head.serial


def test_only_what_differs_travels(fleet: Fleet) -> None:
    gate = fleet.add("gate-1")
    first = fleet.publish(fleet.bundle("1.1"))
    gate.fetch()
    gate.take()
    second = fleet.publish(fleet.bundle("1.2"))
    assert (second.new, second.new_bytes * 10 < first.new_bytes) == (3, True)
    pip = max((fleet.depot / "files").iterdir(), key=lambda it: it.stat().st_size)
    pip.unlink()
    assert "installing" in gate.fetch().out, "it needs no file that it has"
    kept = {it.name for it in (gate.downloads / "files").iterdir()}
    assert kept <= {pip.name, *(it.name for it in (fleet.depot / "files").iterdir())}
    assert len(kept) < len(list((fleet.depot / "files").iterdir())), "nor keeps what it had"


def test_what_is_changed_on_the_device_is_not_installed_but_fetched_again(
    fleet: Fleet, tmp_path: Path
) -> None:
    """The user of the agents owns the stock, and parses what cameras send."""
    gate = fleet.add("gate-1")
    fleet.publish(fleet.bundle("1.1"))
    gate.fetch()
    for path in (gate.downloads / "files").iterdir():
        if path.stat().st_size < 100_000 and b"def main" in path.read_bytes():
            path.write_bytes(path.read_bytes().replace(b"def main", b"def evil"))
    assert "is not what the release says" in gate.take().out
    assert gate.version == "1.0"
    assert not (gate.downloads / "ready").exists()
    assert json.loads((gate.home / "update.json").read_text())["at_utc_s"] <= time.time()
    assert "failed" in gate.fetch().out, "not at once"
    an_hour_passes(gate)
    assert "installing" in gate.fetch().out
    victim = next((gate.downloads / "files").iterdir())
    victim.rename(tmp_path / "elsewhere")
    victim.symlink_to(tmp_path / "elsewhere")
    assert "cannot be read: Too many levels of symbolic links" in gate.take().out
    assert gate.version == "1.0"
    an_hour_passes(gate)
    victim.unlink()
    gate.fetch()
    gate.take()
    assert gate.version == "1.1"


def test_a_head_that_another_key_has_signed_is_refused_by_both(fleet: Fleet) -> None:
    gate = fleet.add("gate-1")
    head = fleet.publish(fleet.bundle("1.1")).head
    forged = seal(head, SigningKey.generate())
    with fleet.channel() as channel:
        channel.put_head(forged)
    fetched = gate.fetch()
    assert (fetched.code, "the signature is not of the pinned key" in fetched.out) == (1, True)
    (gate.downloads / "ready").write_bytes(forged)
    taken = gate.take()
    assert (taken.code, "the signature is not of the pinned key" in taken.err) == (1, True)
    assert not (gate.downloads / "ready").exists()
    (gate.downloads / "ready/folder").mkdir(parents=True)
    assert "ready: cannot be read: Is a directory" in gate.take().err
    assert not (gate.downloads / "ready").exists(), "nor is that looked at again and again"
    assert gate.version == "1.0"


def test_a_head_that_was_published_before_is_not_taken_again(fleet: Fleet) -> None:
    """Whoever can write at the broker, or on the device, has all heads that there ever were."""
    gate = fleet.add("gate-1")
    first = fleet.publish(fleet.bundle("1.1")).head
    with fleet.channel() as channel:
        old = channel.read().head
    assert old is not None
    second = fleet.publish(fleet.bundle("1.2")).head
    gate.fetch()
    gate.take()
    with fleet.channel() as channel:
        channel.put_head(old)
    replay = f"serial {first.serial} was published before serial {second.serial}"
    assert replay in gate.fetch().out
    (gate.downloads / "ready").write_bytes(old)
    assert replay in gate.take().err
    assert gate.version == "1.2"


def test_a_device_that_was_set_up_anew_takes_no_release_from_before(fleet: Fleet) -> None:
    """It remembers nothing; the least serial is in the configuration that its bundle brings."""
    first = fleet.publish(fleet.bundle("1.1")).head
    fleet.least_serial = first.serial + 1
    gate = fleet.add("gate-1")
    old = f"serial {first.serial} was published before serial {fleet.least_serial}"
    assert old in gate.fetch().out
    with fleet.channel() as channel:
        sealed = channel.read().head
    assert sealed is not None
    gate.downloads.mkdir(parents=True, exist_ok=True)
    (gate.downloads / "ready").write_bytes(sealed)
    assert old in gate.take().err
    assert gate.version == "1.0"


def test_a_release_published_after_a_stop_is_taken(fleet: Fleet, broker: Mosquitto) -> None:
    """Nothing at the broker tells any more what the serial before was; the devices know theirs."""
    gate = fleet.add("gate-1")
    for version in ("1.1", "1.2"):
        fleet.publish(fleet.bundle(version))
        gate.fetch()
        gate.take()
    before = report(fleet, "gate-1").serial
    fleet.run("release", "stop", "--site", "lab", "--broker", broker.url)
    assert fleet.publish(fleet.bundle("1.3")).head.serial > before
    gate.fetch()
    gate.take()
    assert gate.version == "1.3"


def test_what_is_not_for_this_device_is_said_and_left(fleet: Fleet, broker: Mosquitto) -> None:
    gate = fleet.add("gate-1")
    fleet.publish(fleet.bundle("1.1", target="pi-trixie"))
    assert "waiting: 1.1 is not for debian-x86" in gate.fetch().out
    del fleet.devices["gate-1"]
    fleet.publish(fleet.bundle("1.2"))
    assert "failed: release 1.2: has no configuration for device gate-1" in gate.fetch().out
    said = fleet.run("release", "stop", "--site", "lab", "--broker", broker.url).out
    assert "no release is published any more" in said
    assert "no release is published: current" in gate.fetch().out


def test_what_must_not_be_published(fleet: Fleet, tmp_path: Path) -> None:
    fleet.add("gate-1")
    well = fleet.bundle("1.1")
    another = Fleet(tmp_path / "other", fleet.pip, "mqtt://127.0.0.1:1", fleet.run)
    with pytest.raises(BundleError, match="the signature is not of the pinned key"):
        fleet.publish(another.bundle("1.1"))
    with pytest.raises(BundleError, match="for all devices of lab, got one for device any of farm"):
        fleet.publish(fleet.bundle("1.3", site="farm"))
    with pytest.raises(BundleError, match="one release, one for each target, got 1.1 .*1.2"):
        fleet.publish(well, fleet.bundle("1.2", target="pi-trixie"))
    with pytest.raises(BundleError, match="one for each target"):
        fleet.publish(well, well)
