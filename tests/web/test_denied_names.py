"""An operator says on the page of a real agent that a hit was somebody else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from support import campus, mjpeg_camera
from support.consumer import Consumer, eventually
from support.mjpeg_camera import MjpegCamera
from support.mosquitto import Mosquitto
from support.page_agent import PageClient, PageRun, visit, walkers

from edge_reid.cli.main import main
from edge_reid.consumers.command_client import ask, new_command
from edge_reid.core.config.agent_settings import AgentSettings
from edge_reid.gallery.store import GalleryStore
from edge_reid.wire.topics import Address

NAME = "<b>brown jacket</b>"
HTML_NAME = "&lt;b&gt;brown jacket&lt;/b&gt;"
PATIENCE_S = 60


@pytest.fixture
def gallery(tmp_path: Path) -> Path:
    """One person of the clip, under a name that is HTML."""
    path = tmp_path / "gallery.db"
    photos = campus.write_photos(campus.people("brown-jacket"), tmp_path, campus.ENROLLED_BEFORE)
    run("gallery", "init", path)
    run("gallery", "enroll", NAME, *photos["brown-jacket"], "--gallery", path)
    return path


def run(*words: object) -> None:
    with pytest.raises(SystemExit, match="0"):
        main([str(word) for word in words])


def known_hit(client: PageClient, seen: set[int]) -> dict[str, Any]:
    """One that was not there before."""
    for hits in client.events("hits"):
        for hit in hits:
            if hit["identity"] == NAME and hit["number"] not in seen:
                return hit
    raise AssertionError("the page closed")


def test_this_was_not_them(gallery: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mjpeg_camera, "PERIOD_S", 0.1)
    lines = tmp_path / "events.jsonl"

    def deny(run: PageRun) -> None:
        client = PageClient(run.page.url)
        hit = known_hit(client, set())
        path = f"/hits/{hit['number']}"
        opened = client.get(path).body
        assert f'This was not <span class="name">{HTML_NAME}' in opened
        assert NAME not in opened
        nonsense_does_nothing(client, path)
        assert client.post(f"{path}/not-this-person", identity=NAME).headers["location"] == path
        said = client.get(path).body
        assert f'was not <span class="name">{HTML_NAME}' in said
        assert "correction" in said
        assert "the doctor of the gallery knows that template" in said
        assert "Take the name back" not in said
        again = client.post(f"{path}/not-this-person", identity=NAME)
        assert again.status == 409
        assert "that was taken back; nothing was changed" in again.body
        with GalleryStore.open(gallery) as store:
            (complaint,) = store.complaints()
        assert complaint.similarity >= hit["threshold"] - 0.05
        assert "named somebody else" in client.get("/people").body
        known_hit(client, {hit["number"]})  # others are told as before

    with MjpegCamera(walkers()) as camera:
        visit(settings_of(gallery, camera), deny, events=lines)
    it_is_taken_back_and_not_told_again([json.loads(line) for line in lines.open()])


def nonsense_does_nothing(client: PageClient, path: str) -> None:
    """Another name, no such hit, a form of another site."""
    wrong = client.post(f"{path}/not-this-person", identity="<i>nobody</i>")
    assert wrong.status == 409
    assert "<i>nobody" not in wrong.body
    assert client.post("/hits/999/not-this-person", identity=NAME).status == 404
    evil = {"origin": "https://evil.example"}
    assert client.post(f"{path}/not-this-person", evil, identity=NAME).status == 403
    assert client.get(f"{path}/not-this-person").status == 405
    client.get(path)


def it_is_taken_back_and_not_told_again(events: list[dict[str, Any]]) -> None:
    (correction,) = (one for one in events if one.get("corrected_by") == "operator")
    taken = events[: events.index(correction)]
    (wrong,) = (one for one in taken if one["event_id"] == correction["corrects"])
    track = correction["track_id"]
    assert (wrong["identity"], wrong["track_id"]) == (NAME, track)
    later = [one for one in events[events.index(correction) + 1 :] if one["track_id"] == track]
    assert {one["identity"] for one in later} <= {None}


@pytest.mark.broker
def test_it_can_be_said_by_a_command_and_a_spoilt_gallery_costs_only_the_doctors_word(
    gallery: Path, broker: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mjpeg_camera, "PERIOD_S", 0.1)
    address = Address("edge-reid", "lab", "device")

    def deny(run: PageRun) -> None:
        with Consumer(broker.broker()) as consumer:
            hit = consumer.wait_for("gate/hit", timeout_s=PATIENCE_S)[0]
            gallery.write_bytes(b"no gallery any more")
            for event_id, outcome in (("made-up", "refused"), (hit["event_id"], "done")):
                order = new_command("not-this-person", event_id=event_id)
                result = ask(broker.broker(), address, order, timeout_s=PATIENCE_S)
                assert result.outcome == outcome, result
            assert f"track {hit['track_id']} was not {NAME}: 1 correction published" in result.note
            assert "the doctor of the gallery could not be told" in result.note
            eventually(lambda: corrections(consumer) == [hit["track_id"]], PATIENCE_S)
            eventually(lambda: has_shown_somebody(consumer), PATIENCE_S)
            eventually(lambda: is_grey_once_denied(consumer, broker, address), PATIENCE_S)

    with MjpegCamera(walkers()) as camera:
        more = {
            "mqtt": {"url": broker.url},
            "commands": {"allow": ["not-this-person"]},
            "home_assistant": {"enabled": True, "pictures": True},
        }
        visit(settings_of(gallery, camera, **more), deny)


def corrections(consumer: Consumer) -> list[int]:
    """Tracks of those that operators made."""
    hits = consumer.payloads("gate/hit")
    return [hit["track_id"] for hit in hits if hit.get("corrected_by") == "operator"]


def pictures(consumer: Consumer) -> list[np.ndarray]:
    bodies = [one.body for one in consumer.messages if one.topic.endswith("gate/picture")]
    return [cv2.imdecode(np.frombuffer(body, np.uint8), cv2.IMREAD_COLOR) for body in bodies]


def has_shown_somebody(consumer: Consumer) -> bool:
    return any(picture.std() > 1 for picture in pictures(consumer))


def is_grey_once_denied(consumer: Consumer, broker: Mosquitto, address: Address) -> bool:
    """Deny the newest, as others are named meanwhile; whether the newest picture is just grey."""
    hits = [hit for hit in consumer.payloads("gate/hit") if hit["type"] in {"new", "update"}]
    order = new_command("not-this-person", event_id=hits[-1]["event_id"])
    ask(broker.broker(), address, order, timeout_s=PATIENCE_S)
    return bool(pictures(consumer)[-1].std() < 1)


def settings_of(gallery: Path, camera: MjpegCamera, **more: object) -> AgentSettings:
    return AgentSettings.model_validate(
        {
            "site": "lab",
            "agent": "device",
            "gallery": gallery,
            "cameras": {"gate": {"source": {"uri": camera.url}, "detect": {"rate_hz": 3}}},
            "web": {"listen": "127.0.0.1:0"},
        }
        | more
    )
