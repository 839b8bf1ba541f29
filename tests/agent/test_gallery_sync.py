"""A gallery that follows its source, and an agent that says how it stands."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest
from support.consumer import Consumer, eventually
from support.decided_tracks import a_hit
from support.following_agent import MANIFEST, following, settings, taken
from support.gallery_publisher import (
    SITE,
    Workshop,
    assert_same_people,
    in_force,
    portraits,
)
from support.mosquitto import Mosquitto
from support.policies import CameralessParts, without_camera
from support.tcp_gate import Gate

from edge_reid.agent import gallery_sync
from edge_reid.agent.gallery_sync import GallerySync, OtherModels
from edge_reid.core.errors import EdgeReidError, ModelChangeError, ModelError, SnapshotError
from edge_reid.core.manifest import EmbeddingManifest
from edge_reid.core.types import Known
from edge_reid.gallery import replica_file
from edge_reid.gallery.replica import Replica
from edge_reid.mqtt.subscriber import Subscriber
from edge_reid.signing.keys import SigningKey
from edge_reid.transfer.folder import FolderSource, FolderTarget
from edge_reid.transfer.gallery_transfer import GALLERY, gallery_at_broker
from edge_reid.wire.topics import Address

ADDRESS = Address("edge-reid", SITE, "gate-1")


@pytest.fixture
def workshop(tmp_path: Path) -> Iterator[Workshop]:
    with Workshop(tmp_path, people=3) as workshop:
        workshop.publish()
        yield workshop


def test_a_device_without_a_gallery_begins_with_its_first(
    workshop: Workshop, tmp_path: Path
) -> None:
    with following(workshop, tmp_path) as sync:
        assert len(sync.first) == 0
        index = taken(sync)
    assert index.identities == ("person 0", "person 1", "person 2")
    assert index.version == workshop.store.version
    assert sync.state.refused is None


def test_a_device_without_a_network_goes_on_with_its_last(
    workshop: Workshop, tmp_path: Path
) -> None:
    with following(workshop, tmp_path) as sync:
        published_utc_s = sync.state.created_utc_s
    with following(workshop, tmp_path, source="/no/stick/here") as sync:
        assert sync.first.identities == ("person 0", "person 1", "person 2")
        assert sync.state.created_utc_s == published_utc_s is not None
        eventually(lambda: sync.state.refused is not None)
        assert "head cannot be read: No such file" in str(sync.state.refused)
        assert sync.take() is None


def lines_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [it.getMessage() for it in caplog.records if it.name == gallery_sync.__name__]


@pytest.fixture
def refusals(monkeypatch: pytest.MonkeyPatch) -> list[Exception]:
    """Every attempt that failed, logged or not."""
    seen: list[Exception] = []
    refuse = GallerySync._refuse

    def seen_too(sync: GallerySync, error: Exception) -> None:
        refuse(sync, error)
        seen.append(error)

    monkeypatch.setattr(GallerySync, "_refuse", seen_too)
    return seen


def test_a_source_that_stays_away_is_logged_once(
    workshop: Workshop,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    refusals: list[Exception],
) -> None:
    with following(workshop, tmp_path, source=str(tmp_path / "stick")) as sync:
        eventually(lambda: len(refusals) >= 5)
        assert [it for it in lines_of(caplog) if "head cannot be read" in it] == lines_of(caplog)
        assert len(lines_of(caplog)) == 1
        workshop.out.rename(tmp_path / "stick")
        taken(sync)
        eventually(lambda: sync.state.refused is None)
        (tmp_path / "stick").rename(workshop.out)
        eventually(lambda: sync.state.refused is not None)
    assert len([it for it in lines_of(caplog) if "head cannot be read" in it]) == 2


def test_a_gallery_that_cannot_be_opened_is_logged_once(
    workshop: Workshop,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    refusals: list[Exception],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gallery_sync, "TURN_S", 0.05)
    opened = GallerySync.open(settings(workshop, tmp_path), MANIFEST)
    assert opened is not None
    (tmp_path / "device.db").write_bytes(b"something else" * 100)
    with opened as sync:
        eventually(lambda: len(refusals) >= 3)
        assert "device.db" in str(sync.state.refused)
    assert len(lines_of(caplog)) == 1
    assert "Traceback" not in caplog.text


def test_a_new_version_is_made_ready_while_the_old_one_is_in_use(
    workshop: Workshop, tmp_path: Path
) -> None:
    with following(workshop, tmp_path) as sync:
        before = taken(sync)
        workshop.store.add_all(portraits("zoe"))
        workshop.publish()
        after = taken(sync)
    assert "zoe" in after
    assert "zoe" not in before
    assert after.version == before.version + 1


def test_what_is_refused_leaves_the_old_one_in_use(workshop: Workshop, tmp_path: Path) -> None:
    with following(workshop, tmp_path) as sync:
        taken(sync)
        ours, workshop.key = workshop.key, SigningKey.generate()
        workshop.store.add_all(portraits("mallory"))
        workshop.publish()
        eventually(lambda: "not of the pinned key" in str(sync.state.refused))
        assert sync.take() is None
        workshop.key = ours
        workshop.publish()
        assert "mallory" in taken(sync)
        eventually(lambda: sync.state.refused is None)


def test_a_rollback_on_the_device_comes_into_force_and_is_told(
    workshop: Workshop, tmp_path: Path
) -> None:
    with following(workshop, tmp_path, keep_previous_s=1000) as sync:
        first = taken(sync)
        workshop.store.add_all(portraits("zoe"))
        workshop.publish()
        taken(sync)
        with Replica.open(tmp_path / "device.db") as replica:
            replica.roll_back(time.time())
        again = taken(sync)
        assert again.version == first.version
        assert "zoe" not in again
        eventually(lambda: sync.state.refused == "version 2 was rolled back on this device")


def test_a_gallery_of_another_model_is_not_loaded_and_its_own_is_once_it_comes(
    workshop: Workshop, tmp_path: Path
) -> None:
    """A release has brought another model: its gallery is published after it, or before."""
    with following(workshop, tmp_path):
        pass
    other = MANIFEST.model_copy(update={"sha256": 64 * "f"})
    sync = GallerySync.open(settings(workshop, tmp_path), other)
    assert sync is not None
    assert len(sync.first) == 0
    assert f"expected embeddings of model {16 * 'f'}" in str(sync.state.refused)
    with sync, Workshop(tmp_path / "enrolled anew", people=2, model_id=16 * "f") as anew:
        anew.key = workshop.key
        anew.publish(FolderTarget(workshop.out, GALLERY), supersede=True)
        assert "person 1" in taken(sync)
        eventually(lambda: sync.state.refused is None)


OTHER = MANIFEST.model_copy(update={"sha256": 64 * "f"})


@contextmanager
def with_other_models(
    workshop: Workshop,
    tmp_path: Path,
    ours: EmbeddingManifest = MANIFEST,
    *,
    keep_previous_s: float = 1000,
    **others: OtherModels,
) -> Iterator[GallerySync]:
    """One that may go over to those."""
    given = settings(workshop, tmp_path, keep_previous_s=keep_previous_s)
    assert given.gallery_sync is not None
    source = FolderSource(workshop.out, GALLERY, poll_s=0.1)
    pinned = workshop.pinned(model_id=ours.model_id)
    sync = GallerySync(given.gallery, given.gallery_sync, pinned, source, **others)
    with sync:
        yield sync


def both(model_id: str) -> EmbeddingManifest | None:
    return {manifest.model_id: manifest for manifest in (MANIFEST, OTHER)}.get(model_id)


def publish_of_other_model(workshop: Workshop, tmp_path: Path) -> None:
    """Of two of the people, and one more, enrolled anew."""
    with Workshop(tmp_path / "enrolled anew", people=2, model_id=OTHER.model_id) as anew:
        anew.key = workshop.key
        anew.store.add_all(portraits("zoe", OTHER.model_id))
        anew.publish(FolderTarget(workshop.out, GALLERY), supersede=True)


def leave_other_model_in_force(workshop: Workshop, tmp_path: Path) -> None:
    """On the device's disk, with the version before it kept."""
    with with_other_models(workshop, tmp_path, other_models=both) as sync:
        assert sync.first.version or taken(sync)
        publish_of_other_model(workshop, tmp_path)
        eventually(lambda: sync.model_change is not None)


def test_a_gallery_of_another_model_is_stored_and_the_agent_told_to_start_anew(
    workshop: Workshop, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with with_other_models(workshop, tmp_path, other_models=both) as sync:
        assert sync.first.version or taken(sync)
        sync.check_model()
        publish_of_other_model(workshop, tmp_path)
        eventually(lambda: sync.model_change is not None)
        with pytest.raises(ModelChangeError, match="gallery version 2 is of embedding model ffff"):
            sync.check_model()
        assert sync.take() is None
        eventually(lambda: sync.state.checked_utc_s is not None and sync.state.refused is None)
        assert sync.state.version == 1
    with Replica.open(tmp_path / "device.db") as replica:
        assert replica.in_force is not None
        assert replica.in_force.version == 2
    assert len(lines_of(caplog)) == 1, "once, although it is looked at again and again"
    caplog.clear()
    with with_other_models(workshop, tmp_path, OTHER, other_models=both) as sync:
        assert sync.first.identities == ("person 0", "person 1", "zoe")
        assert sync.gone == {"person 2"}
        assert sync.state.refused is None
        assert lines_of(caplog) == [], "the version before is of another model, as it may be"
        with Replica.open(tmp_path / "device.db") as replica:
            replica.roll_back(time.time())
        eventually(lambda: "gallery version 1 is of" in str(sync.model_change))


def test_a_model_that_is_not_sound_is_refused_before_its_gallery_is_stored(
    workshop: Workshop, tmp_path: Path
) -> None:
    def spoilt(model_id: str) -> EmbeddingManifest | None:
        raise ModelError(f"model {model_id}.tflite: does not match its manifest")

    with with_other_models(workshop, tmp_path, other_models=spoilt) as sync:
        assert sync.first.version or taken(sync)
        publish_of_other_model(workshop, tmp_path)
        eventually(lambda: "does not match its manifest" in str(sync.state.refused))
        sync.check_model()
        with Replica.open(tmp_path / "device.db") as replica:
            assert replica.highest == 1


def test_a_release_without_the_model_goes_on_with_the_version_kept_from_before(
    workshop: Workshop, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As after a release was taken back, until a gallery of its model is published."""
    leave_other_model_in_force(workshop, tmp_path)
    caplog.clear()
    with with_other_models(workshop, tmp_path) as sync:
        assert sync.first.identities == ("person 0", "person 1", "person 2")
        assert f"got model {OTHER.model_id}" in str(sync.state.refused)
        (line,) = lines_of(caplog)
        assert line.endswith("(version 1, kept from before, is used)")
        workshop.store.remove("person 2")
        workshop.publish(supersede=True)
        assert taken(sync).identities == ("person 0", "person 1")
        eventually(lambda: sync.state.refused is None)


@pytest.mark.parametrize("keep_previous_s", [1000, 0])
def test_where_its_model_is_damaged_the_version_kept_from_before_is_used_until_it_is_mended(
    workshop: Workshop,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    keep_previous_s: float,
) -> None:
    """Or nobody is recognised: either is said once, in the log and in the status."""
    leave_other_model_in_force(workshop, tmp_path)
    if not keep_previous_s:
        with Replica.open(tmp_path / "device.db") as replica:
            replica.purge(keep_s=0, now_utc_s=time.time() + 1)
    is_mended = False

    def others(model_id: str) -> EmbeddingManifest | None:
        if not is_mended:
            raise ModelError(f"model {model_id}: does not match its manifest; restore it")
        return both(model_id)

    caplog.clear()
    with with_other_models(
        workshop, tmp_path, other_models=others, keep_previous_s=keep_previous_s
    ) as sync:
        assert len(sync.first.identities) == (3 if keep_previous_s else 0)
        instead = "version 1, kept from before, is used"
        (line,) = lines_of(caplog)
        assert line == (
            f"gallery version 2 on this disk: model {OTHER.model_id}: does not match its "
            f"manifest; restore it ({instead if keep_previous_s else 'nobody is recognised'})"
        )
        eventually(lambda: sync.state.refused is not None)
        time.sleep(2.5)  # it is looked at again
        assert "does not match its manifest" in str(sync.state.refused)
        assert len(lines_of(caplog)) == 1
        sync.check_model()
        is_mended = True
        eventually(lambda: sync.model_change is not None)


def test_what_is_kept_goes_in_time_also_where_the_version_in_force_cannot_be_used(
    workshop: Workshop, tmp_path: Path
) -> None:
    """Whoever was removed is on the disk no longer than was said."""
    leave_other_model_in_force(workshop, tmp_path)
    with with_other_models(workshop, tmp_path, keep_previous_s=0) as sync:
        assert sync.first.version == 1
        with Replica.open(tmp_path / "device.db") as replica:
            eventually(lambda: [held.version for held in replica.held] == [2])


def test_once_it_is_gone_nobody_is_recognised_by_it_any_more(
    workshop: Workshop, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Not from memory either, as an agent that starts then has none, until a gallery comes."""
    leave_other_model_in_force(workshop, tmp_path)
    caplog.clear()
    with with_other_models(workshop, tmp_path, keep_previous_s=0) as sync:
        assert taken(sync).identities == ()
        assert sync.state.version == 0
        assert f"got model {OTHER.model_id}" in str(sync.state.refused)
        assert len([line for line in lines_of(caplog) if "nobody is recognised" in line]) == 1
        workshop.publish(supersede=True)
        assert taken(sync).version == 3


def spoil_root(path: Path, version: int) -> None:
    """As a bad card does: the blob that a version begins with is not what it was."""
    with closing(sqlite3.connect(path, timeout=10)) as db, db:
        changed = db.execute(
            "UPDATE blobs SET body = zeroblob(length(body)) "
            "WHERE sha256 = (SELECT root_sha256 FROM heads WHERE version = ?)",
            (version,),
        )
        assert changed.rowcount == 1


def test_a_harmed_blob_stops_no_erasure(workshop: Workshop, tmp_path: Path) -> None:
    """It is found when the version after its own has come into force."""
    with following(workshop, tmp_path, keep_previous_s=1000, poll_s=1) as sync:
        taken(sync)
        eventually(lambda: sync.state.purged_through == 1)
        spoil_root(tmp_path / "device.db", version=1)
        for gone in ("person 0", "person 1"):
            workshop.store.remove(gone)
            workshop.publish()
            assert gone not in taken(sync)
            spoil_root(tmp_path / "device.db", version=workshop.store.version)
        eventually(lambda: sync.state.refused is None and sync.state.purged_through == 3)


def test_what_is_in_force_and_harmed_is_fetched_anew(workshop: Workshop, tmp_path: Path) -> None:
    with following(workshop, tmp_path, poll_s=1) as sync:
        taken(sync)
        eventually(lambda: sync.state.purged_through == 1)
        spoil_root(tmp_path / "device.db", version=1)
        with closing(sqlite3.connect(tmp_path / "device.db", timeout=10)) as db, db:
            db.execute("UPDATE ledger SET purged_through = 0")  # there is something to wipe
        with Replica.open(tmp_path / "device.db") as replica:
            eventually(lambda: replica.purged_through == 1)
            assert_same_people(in_force(workshop, replica), workshop.store.snapshot())
        eventually(lambda: sync.state.refused is None)


def test_a_replica_that_the_disk_has_spoilt_is_made_anew(
    workshop: Workshop, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody waits for the next publication: the same version comes again."""
    path = tmp_path / "device.db"
    with following(workshop, tmp_path) as sync:
        taken(sync)
        eventually(lambda: sync.state.purged_through == 1)
    whole = path.read_bytes()
    for place in range(0, len(whole), 997):
        changed = bytearray(whole)
        changed[place] ^= 0xFF
        path.write_bytes(changed)
        with following(workshop, tmp_path) as sync:
            index = taken(sync) if not sync.first.version else sync.first
            assert index.identities == ("person 0", "person 1", "person 2"), place
            eventually(lambda: sync.state.refused is None)
    assert "what is whole of it is kept" in caplog.text
    assert "restart" not in caplog.text, "it mends it by itself"
    assert {it.name for it in tmp_path.glob("device.db*")} == {"device.db"}


def test_an_empty_replica_is_filled(workshop: Workshop, tmp_path: Path) -> None:
    (tmp_path / "device.db").touch()
    with following(workshop, tmp_path) as sync:
        assert len(taken(sync).identities) == 3


def test_a_replica_that_is_spoilt_while_an_agent_runs_is_made_anew(
    workshop: Workshop, tmp_path: Path
) -> None:
    with following(workshop, tmp_path) as sync:
        taken(sync)
        eventually(lambda: sync.state.purged_through == 1)
        with closing(sqlite3.connect(tmp_path / "device.db", timeout=10)) as db, db:
            db.execute("DROP TABLE erased")
        workshop.store.remove("person 0")
        workshop.publish()
        assert "person 0" not in taken(sync)
        eventually(lambda: sync.state.refused is None and sync.state.purged_through == 2)


def test_an_erasure_in_a_folder_does_not_wait_for_the_next_poll(
    workshop: Workshop, tmp_path: Path
) -> None:
    with following(workshop, tmp_path, poll_s=3600) as sync:
        assert "person 0" in taken(sync)
        workshop.store.remove("person 0")
        workshop.publish()
        assert "person 0" not in taken(sync)


def test_a_disk_that_cannot_be_wiped_now_stops_no_erasure(
    workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody reads the file for hours, say a backup."""
    monkeypatch.setattr(replica_file, "BUSY_TIMEOUT_S", 0.1)
    with following(workshop, tmp_path, poll_s=1) as sync:
        taken(sync)
        eventually(lambda: sync.state.purged_through == 1)
        with closing(sqlite3.connect(tmp_path / "device.db")) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM blobs").fetchone()
            for gone in ("person 0", "person 1"):
                workshop.store.remove(gone)
                workshop.publish()
                assert gone not in taken(sync)
            assert sync.state.purged_through == 1
        eventually(lambda: sync.state.purged_through == 3)


@pytest.mark.parametrize("from_broker", [False, pytest.param(True, marks=pytest.mark.broker)])
def test_it_looks_when_it_is_told_to(
    workshop: Workshop, tmp_path: Path, request: pytest.FixtureRequest, from_broker: bool
) -> None:
    where: dict[str, object] = {"poll_s": 3600}
    place = None
    if from_broker:
        broker = request.getfixturevalue("broker")
        where |= {"source": "mqtt", "url": broker.url}
        place = gallery_at_broker(broker.broker(), "edge-reid", SITE)
    with ExitStack() as stack:
        if place:
            stack.enter_context(place)
            workshop.publish(place)
        sync = stack.enter_context(following(workshop, tmp_path, **where))
        taken(sync)
        workshop.store.add_all(portraits("zoe"))
        workshop.publish(place)
        assert sync.look_now(20).version == 2
        assert "zoe" in taken(sync)

        workshop.key = SigningKey.generate()
        workshop.store.add_all(portraits("mallory"))
        workshop.publish(place)
        with pytest.raises(SnapshotError, match="not of the pinned key"):
            sync.look_now(20)


def test_a_source_without_an_answer_is_said(
    workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gallery_sync, "FIRST_WAIT_S", 0.1)

    class Silent(FolderSource):
        def news(self, timeout_s: float) -> None:
            time.sleep(timeout_s)

    ours = settings(workshop, tmp_path, poll_s=3600).gallery_sync
    assert ours is not None
    silent = Silent(workshop.out, GALLERY, poll_s=3600)
    sync = GallerySync(tmp_path / "device.db", ours, workshop.pinned(), silent)
    with pytest.raises(SnapshotError, match="expected an answer within 0.2 s, got none"), sync:
        sync.look_now(0.2)


@contextmanager
def an_agent(
    workshop: Workshop, tmp_path: Path, url: str, source: str = "mqtt"
) -> Iterator[CameralessParts]:
    """All of an agent but its camera."""
    ours = settings(workshop, tmp_path, url=url, source=source)
    with ExitStack() as stack:
        sync = GallerySync.open(ours, MANIFEST)
        assert sync is not None
        stack.enter_context(sync)
        index = sync.first if sync.first.version else taken(sync)
        yield without_camera(ours, index, stack, sync=sync)


def frames_until(agent: CameralessParts, is_so: Callable[[], bool]) -> None:
    def after_a_frame() -> bool:
        agent.between_frames.run(None, None)
        return is_so()

    eventually(after_a_frame, 20)


def retained(broker: Mosquitto, topic: str) -> bytes:
    """What a newcomer gets; empty when nothing is retained."""
    with Subscriber(broker.broker(), [topic]) as newcomer:
        message = newcomer.receive(0.5)
    return message.body if message else b""


@pytest.mark.broker
def test_a_removed_person_is_forgotten_everywhere_and_that_is_confirmed(
    broker: Mosquitto, workshop: Workshop, tmp_path: Path
) -> None:
    person = "person 1"
    status = ADDRESS.agent_status
    with gallery_at_broker(broker.broker(), "edge-reid", SITE) as place:
        workshop.publish(place)
    with (
        Consumer(broker.broker(), status) as consumer,
        an_agent(workshop, tmp_path, broker.url) as agent,
    ):
        agent.output.write([a_hit(1, Known(person, 0.9, 0.6, None, 3))])
        assert agent.uplink.publisher.flush(10) == 0
        assert person.encode() in retained(broker, ADDRESS.identity(person))

        workshop.store.remove(person)
        with gallery_at_broker(broker.broker(), "edge-reid", SITE) as place:
            workshop.publish(place)
        erased = workshop.store.erasures()[0].version

        def confirmed() -> bool:
            told = [it["gallery"] for it in consumer.payloads("status") if it["gallery"]]
            return bool(told) and told[-1]["erased_through"] >= erased

        frames_until(agent, confirmed)
        assert retained(broker, ADDRESS.identity(person)) == b""
        newest = consumer.payloads("status")[-1]
        assert newest["gallery_version"] == newest["gallery"]["version"] == erased
        assert newest["gallery"]["refused"] is None
        assert newest["gallery"]["source"] == "mqtt"
        assert agent.index.version == erased
        agent.output.write([a_hit(2, Known("person 2", 0.9, 0.6, None, 3))])
        assert agent.uplink.publisher.flush(10) == 0
    with Replica.open(tmp_path / "device.db") as replica:
        assert replica.purged_through == erased


@pytest.mark.broker
def test_an_erasure_is_not_confirmed_before_the_broker_has_forgotten_the_person(
    broker: Mosquitto, workshop: Workshop, tmp_path: Path
) -> None:
    """The broker is away, the old gallery is overwritten, and then the agent is started anew."""
    person, source = "person 1", str(workshop.out)
    state = ADDRESS.identity(person)
    with Gate(broker.port) as gate:
        url = f"mqtt://127.0.0.1:{gate.port}"
        with an_agent(workshop, tmp_path, url, source) as agent:
            agent.output.write([a_hit(1, Known(person, 0.9, 0.6, None, 3))])
            assert agent.uplink.publisher.flush(10) == 0
            gate.is_open = False
            gate.hang_up()
            workshop.store.remove(person)
            erased = workshop.publish().head.version
            frames_until(agent, lambda: agent.index.version == erased)
        assert person.encode() in retained(broker, state)
        with Replica.open(tmp_path / "device.db") as replica:
            replica.purge(keep_s=0, now_utc_s=time.time())
            assert [held.version for held in replica.held] == [erased]
        gate.is_open = True
        with (
            Consumer(broker.broker(), state, ADDRESS.agent_status) as consumer,
            an_agent(workshop, tmp_path, url, source) as agent,
        ):
            frames_until(agent, lambda: erased in erasures_told(consumer))
            cleared = [it.topic for it in consumer.messages if not it.body]
    assert cleared == [state], "and that came before"
    assert retained(broker, state) == b""


def erasures_told(consumer: Consumer) -> list[int]:
    told = [json.loads(it.body) for it in consumer.messages if it.topic == ADDRESS.agent_status]
    return [it["gallery"]["erased_through"] for it in told if it["gallery"]]


@pytest.mark.broker
def test_a_forged_head_is_told_in_the_status(
    broker: Mosquitto, workshop: Workshop, tmp_path: Path
) -> None:
    with gallery_at_broker(broker.broker(), "edge-reid", SITE) as place:
        workshop.publish(place)
    with (
        Consumer(broker.broker(), ADDRESS.agent_status) as consumer,
        an_agent(workshop, tmp_path, broker.url) as agent,
    ):
        with gallery_at_broker(broker.broker(), "edge-reid", SITE) as place:
            place.head()
            sealed = (workshop.out / "head").read_bytes()
            place.put_head(sealed.replace(b'"version":1', b'"version":9'))

        def refused() -> bool:
            told = [it["gallery"] for it in consumer.payloads("status") if it["gallery"]]
            return bool(told) and "not of the pinned key" in str(told[-1]["refused"])

        frames_until(agent, refused)
        assert agent.index.version == 1


@pytest.mark.parametrize(
    ("key", "value"),
    [("source", "http://plain.example/gallery"), ("source", "relative"), ("poll_s", 0)],
)
def test_a_source_that_cannot_be(
    workshop: Workshop, tmp_path: Path, key: str, value: object
) -> None:
    with pytest.raises((EdgeReidError, ValueError), match=f"gallery_sync.{key}"):
        settings(workshop, tmp_path, **{key: value})


def test_the_broker_as_source_needs_a_broker(workshop: Workshop, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="gallery_sync.source: expected mqtt.url"):
        settings(workshop, tmp_path, source="mqtt")
