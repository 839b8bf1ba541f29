"""A real agent before a real camera, told what to do from behind the shipped access rules."""

from __future__ import annotations

import hashlib
import json
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import pytest
from support.consumer import Consumer, eventually
from support.mjpeg_camera import MjpegCamera
from support.secured_broker import SecuredMosquitto, secured_mosquitto

from edge_reid.consumers.command_client import ask, new_command
from edge_reid.core.errors import EdgeReidError
from edge_reid.mqtt.connection import connect
from edge_reid.mqtt.message import Message
from edge_reid.wire.commands import Command, CommandResult
from edge_reid.wire.events import rfc3339
from edge_reid.wire.topics import Address

pytestmark = [pytest.mark.e2e, pytest.mark.broker, pytest.mark.timeout(600)]

ADDRESS = Address("edge-reid", "lab", "gate-1")
PATIENCE_S = 60.0
SETTINGS = """
site = "lab"
camera = "gate"
agent = "gate-1"
gallery = "gallery.db"
[source]
uri = "{camera}"
[decide]
threshold = {threshold}
[mqtt]
url = "{url}"
ca_file = "{ca_file}"
cert_file = "{cert_file}"
key_file = "{key_file}"
[commands]
allow = ["snapshot", "reload", "set-threshold"]
threshold_min = 0.3
snapshot_dir = "pictures"
snapshot_max_files = 2
"""
"""`sync-now` is not enabled."""


@dataclass(frozen=True)
class Box:
    """A box with an agent on it, and who may talk to it."""

    folder: Path
    broker: SecuredMosquitto
    camera: MjpegCamera

    def configure(self, threshold: float, extra: str = "") -> None:
        login = self.broker.login("gate-1")
        content = SETTINGS.format(
            camera=self.camera.url, threshold=threshold, url=self.broker.url, **login
        )
        (self.folder / "agent.toml").write_text(content + extra)

    def tell(self, name: str, threshold: float | None = None) -> CommandResult:
        """As `edge-reid command` does, with the commander's certificate."""
        order = new_command(name, threshold)  # type: ignore[arg-type]
        return ask(self.broker.broker_for("ops"), ADDRESS, order, timeout_s=PATIENCE_S)

    def is_told(self, name: str) -> bool:
        try:
            return self.tell(name).outcome == "done"
        except EdgeReidError:
            return False

    def send(self, body: str | bytes, *, retain: bool = False) -> None:
        connection = connect(self.broker.broker_for("ops"))
        connection.publish(Message(ADDRESS.agent_command, body, retain=retain))
        while not connection.is_idle:
            connection.turn(0.1)
        connection.close()

    @property
    def pictures(self) -> list[Path]:
        return sorted((self.folder / "pictures").glob("*"))

    def watching(self) -> Consumer:
        """Everything that a reader of the site, or who commands there, may see."""
        topics = (ADDRESS.agent_status, ADDRESS.agent_result)
        return Consumer(self.broker.broker_for("ops"), *topics)


def commands_in(consumer: Consumer) -> dict[str, Any]:
    """How the agent's newest status says that it stands."""
    said: dict[str, Any] = consumer.wait_for("gate-1/status")[-1]["commands"]
    return said


@contextmanager
def running(config: Path) -> Iterator[None]:
    command = [sys.executable, "-m", "edge_reid", "run", "--config", str(config), "--quiet"]
    agent = subprocess.Popen(command)
    try:
        yield
        assert agent.poll() is None, "nothing that it was told has ended it"
    finally:
        agent.terminate()
        agent.wait(timeout=30)


@pytest.fixture(scope="module")
def box(people: Path, short_clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    folder = tmp_path_factory.mktemp("box")
    shutil.copy(people, folder / "gallery.db")
    capture = cv2.VideoCapture(str(short_clip))
    pictures = [image[..., ::-1] for _, image in iter(capture.read, (False, None))]
    secured = tmp_path_factory.mktemp("secured")
    with secured_mosquitto(secured) as broker, MjpegCamera(pictures) as camera:
        ours = Box(folder, broker, camera)
        ours.configure(threshold=0.5)
        with running(folder / "agent.toml"):
            with ours.watching() as consumer:
                eventually(lambda: consumer.payloads("status"), PATIENCE_S)
                eventually(lambda: commands_in(consumer) is not None, PATIENCE_S)
            yield ours


def test_a_snapshot_stays_on_the_box(box: Box) -> None:
    with box.watching() as consumer:
        result = box.tell("snapshot")
        eventually(lambda: consumer.payloads("result"))
        assert not any(b"\xff\xd8\xff" in it.body for it in consumer.messages)
    assert result.outcome == "done"
    assert result.picture is not None
    path = Path(result.picture.file)
    assert path.parent == box.folder / "pictures"
    body = path.read_bytes()
    assert result.picture.size_bytes == len(body)
    assert result.picture.sha256 == hashlib.sha256(body).hexdigest()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    picture = cv2.imread(str(path))
    assert picture.std() > 10, "it shows something"
    for _ in range(3):
        assert box.tell("snapshot").outcome == "done"
    assert len(box.pictures) == 2


def _from_first(threshold: float, events: Consumer) -> list[float]:
    """Thresholds of the visits that began since the first one by this.

    By number: what waited in the outbox of an earlier agent comes beside what is new. A visit that
    goes on under another track number keeps what it was decided by.
    """
    told = [json.loads(message.body) for message in events.messages]
    told.sort(key=lambda event: event["seq"])
    began = (event for event in told if event["type"] == "new" and event["continues"] is None)
    thresholds = [event["threshold"] for event in began]
    return thresholds[thresholds.index(threshold) :] if threshold in thresholds else []


def test_a_threshold_holds_from_the_next_frame_to_the_next_reload(box: Box) -> None:
    desk, gate = box.broker.broker_for("desk"), "edge-reid/lab/gate"
    events = Consumer(desk, f"{gate}/hit", f"{gate}/unknown")
    box.configure(threshold=0.5)
    with box.watching() as consumer, events:
        result = box.tell("set-threshold", 0.94)
        assert (result.outcome, result.threshold) == ("done", 0.94)
        eventually(lambda: commands_in(consumer)["threshold_set"] == 0.94)
        # what was decided before may still be on its way
        eventually(lambda: len(_from_first(0.94, events)) >= 3, PATIENCE_S)
        assert set(_from_first(0.94, events)) == {0.94}

        again = box.tell("reload")
        assert (again.outcome, again.threshold, again.restart_for) == ("done", 0.5, ())
        eventually(lambda: commands_in(consumer)["threshold_set"] is None)


@pytest.mark.parametrize("threshold", [0.29, 0.96, -1.0])
def test_a_threshold_out_of_bounds_is_refused(box: Box, threshold: float) -> None:
    result = box.tell("set-threshold", threshold)
    assert result.outcome == "refused"
    assert "expected 0.3 to 0.95 (commands.threshold_min and threshold_max" in str(result.reason)


def test_a_reload_takes_gallery_and_decisions_and_names_the_rest(box: Box, edge_reid: Any) -> None:
    gallery = box.folder / "gallery.db"
    before = box.tell("reload").gallery_version
    assert before is not None
    assert edge_reid("gallery", "remove", "brown-jacket", "--gallery", gallery).code == 0
    box.configure(threshold=0.61, extra="[detect]\nrate_hz = 4\n")
    with box.watching() as consumer:
        result = box.tell("reload")
        assert (result.outcome, result.threshold) == ("done", 0.61)
        assert result.gallery_version == before + 1
        assert result.restart_for == ("detect",)
        eventually(lambda: consumer.payloads("status")[-1]["gallery_version"] == before + 1)


def test_who_is_removed_is_named_no_more_without_any_command(box: Box, edge_reid: Any) -> None:
    """Nor is one needed for somebody to be known who is enrolled meanwhile."""
    gallery, spare = box.folder / "gallery.db", box.folder / "spare.db"
    shutil.copy(gallery, spare)
    box.configure(threshold=0.5)
    desk, gate = box.broker.broker_for("desk"), "edge-reid/lab/gate"
    with (
        box.watching() as status,
        Consumer(desk, f"{gate}/hit", f"{gate}/unknown") as events,
    ):

        def told(after: int = 0) -> list[str | None]:
            return [json.loads(it.body)["identity"] for it in events.messages[after:]]

        def decided_by(version: int) -> list[str | None]:
            """By the gallery of this version; what was said before it may still be on its way, and
            what takes a name back says it once more.
            """
            told = [json.loads(message.body) for message in events.messages]
            return [
                event["identity"]
                for event in told
                if event["gallery_version"] == version and event["type"] != "correction"
            ]

        def is_in_force(version: int) -> bool:
            return bool(status.payloads("status")[-1]["gallery_version"] == version)

        before = box.tell("reload").gallery_version
        assert before is not None
        eventually(lambda: "red-sleeves" in told(), PATIENCE_S)
        assert edge_reid("gallery", "remove", "red-sleeves", "--gallery", gallery).code == 0
        eventually(lambda: is_in_force(before + 1), 20)
        then = len(told())
        eventually(lambda: len(decided_by(before + 1)) > 5, PATIENCE_S)
        assert "red-sleeves" not in decided_by(before + 1)
        shutil.copy(spare, gallery)
        eventually(lambda: is_in_force(before), 20)
        eventually(lambda: "red-sleeves" in told(then), PATIENCE_S)


def test_a_broken_configuration_is_refused_with_all_its_mistakes(box: Box) -> None:
    box.configure(threshold=0.61)
    assert box.tell("reload").threshold == 0.61
    box.configure(threshold=7, extra="[detect]\nratehz = 4\n")
    result = box.tell("reload")
    assert result.outcome == "refused"
    assert len(result.mistakes) == 2
    assert "decide.threshold: expected a number less than 1, got 7" in str(result.mistakes)
    assert "detect.ratehz: unknown key" in str(result.mistakes)
    box.configure(threshold=0.5)
    (box.folder / "gallery.db").rename(box.folder / "elsewhere.db")
    result = box.tell("reload")
    assert result.outcome == "refused"
    assert "no such file" in str(result.reason)
    (box.folder / "elsewhere.db").rename(box.folder / "gallery.db")
    assert box.tell("set-threshold", 0.7).outcome == "done", "it is still there"
    assert box.tell("reload").threshold == 0.5


def test_what_is_not_enabled_is_refused(box: Box) -> None:
    assert "sync-now is not enabled here" in str(box.tell("sync-now").reason)


def test_anything_else_on_the_topic_is_ignored_and_counted(box: Box) -> None:
    with box.watching() as consumer:
        before = commands_in(consumer)
        for body in ("snapshot", "{}", b"\xff\xfe", new_command("reload").to_json()[:-1]):
            box.send(body)
        assert box.tell("reload").outcome == "done"  # which also has the status told
        eventually(lambda: commands_in(consumer)["done"] == before["done"] + 1)
        assert commands_in(consumer)["ignored"] == before["ignored"] + 4
        assert commands_in(consumer)["refused"] == before["refused"]


def test_a_retained_command_does_not_fire_at_a_connection(box: Box) -> None:
    order = new_command("snapshot")
    with box.watching() as consumer:
        before = commands_in(consumer)
        box.send(order.to_json(), retain=True)  # heard as it is sent: done, once
        eventually(lambda: consumer.payloads("result"), PATIENCE_S)
        assert consumer.payloads("result")[0]["id"] == order.id
    box.broker.stop()  # which saves what is retained
    box.broker.start()
    with box.watching() as consumer:
        eventually(lambda: box.is_told("reload"), PATIENCE_S)  # it is back
        eventually(lambda: commands_in(consumer)["done"] == before["done"] + 2)
        assert commands_in(consumer)["ignored"] == before["ignored"] + 1
        assert order.id not in {it["id"] for it in consumer.payloads("result")}
    box.send("", retain=True)


def test_a_command_that_comes_twice_is_done_once(box: Box) -> None:
    assert box.tell("snapshot").outcome == "done"
    order = new_command("snapshot").to_json()
    with box.watching() as consumer:
        box.send(order)
        consumer.wait_for("result")
        box.send(order)
        first, second = consumer.wait_for("result", count=2)
        assert first == second
        assert len({first["picture"]["file"], *map(str, box.pictures)}) == 2


def test_a_stale_command_is_refused(box: Box) -> None:
    order = Command(id="late", command="reload", issued_at=rfc3339(0))
    result = ask(box.broker.broker_for("ops"), ADDRESS, order, timeout_s=PATIENCE_S)
    assert result.outcome == "refused"
    assert "expected a command issued within 60 s" in str(result.reason)


def test_the_verb(box: Box, edge_reid: Any) -> None:
    own = box.broker.login("ops")
    login = (
        *("--site", "lab", "--broker", box.broker.url, "--ca-file", own["ca_file"]),
        *("--cert-file", own["cert_file"], "--key-file", own["key_file"]),
    )
    done = edge_reid("command", "gate-1", "set-threshold", "0.7", *login)
    assert done.code == 0, done.err
    assert done.out == "gate-1: done: threshold 0.7 until the next reload or start\n"
    told = edge_reid("command", "gate-1", "reload", "--json", *login)
    assert json.loads(told.out)["schema"] == "edge-reid.result/1"
    refused = edge_reid("command", "gate-1", "sync-now", *login)
    assert refused.code == 1
    assert refused.complaint.startswith("error: agent gate-1: refuses sync-now: ")
    nobody = edge_reid("command", "nobody", "reload", *login)
    assert nobody.code == 1
    assert "got none of this name" in nobody.complaint


def test_the_verb_with_a_readers_login_is_told_no(box: Box, edge_reid: Any) -> None:
    own = box.broker.login("desk")
    outcome = edge_reid(
        *("command", "gate-1", "reload", "--site", "lab", "--broker", box.broker.url),
        *("--ca-file", own["ca_file"], "--cert-file", own["cert_file"]),
        *("--key-file", own["key_file"]),
    )
    assert outcome.code == 1
    assert "does not" in outcome.complaint
