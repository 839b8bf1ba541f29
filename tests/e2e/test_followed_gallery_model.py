"""A device without `models.embedding` runs the model of the gallery that it follows: an update that
brings another default changes nothing, and a gallery of another shipped model takes it along.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.consumer import eventually
from support.following_device import NEW, OLD, Command, Desk, FollowingCamera, model_id
from support.systemd_listener import Listener

pytestmark = [pytest.mark.e2e, pytest.mark.broker, pytest.mark.timeout(600)]

OLD_NAME, NEW_NAME = Path(OLD).stem, Path(NEW).stem


def strangers(device: FollowingCamera, edge_reid: Command) -> str:
    return edge_reid("gallery", "strangers", "--strangers", device.folder / "strangers.db").out


def test_an_update_changes_nothing_until_a_gallery_of_the_new_default_is_published(
    device: FollowingCamera,
    desk: Desk,
    enrolled: dict[str, Path],
    somebody: str,
    edge_reid: Command,
    tmp_path: Path,
) -> None:
    desk.publish(enrolled[OLD])
    with device.running("--model", OLD_NAME):  # the release before, which had it as its default
        device.await_hit(somebody, OLD)
        eventually(lambda: "anon-" in strangers(device, edge_reid), 60)
    assert OLD_NAME not in device.log, "somebody named it"
    before = strangers(device, edge_reid).split()

    manager = Listener(tmp_path / "notify")
    with manager.overhearing() as heard, device.running(manager=manager.path) as agent:
        device.await_status(model_id=model_id(OLD), gallery_version=1, refused=None)
        device.await_hit(somebody, OLD)
        assert device.log.count(f"embedding model {OLD_NAME} is taken, that of the gallery") == 1
        kept = [word for word in before if word.startswith("anon-")]
        assert kept
        assert set(kept) <= set(strangers(device, edge_reid).split())

        desk.publish(enrolled[NEW])
        device.await_status(model_id=model_id(NEW), gallery_version=2, refused=None)
        device.await_hit(somebody, NEW)
        assert agent.poll() is None, "one process, whatever the service counts as a restart"
        opened = [str(file.readlink()) for file in Path(f"/proc/{agent.pid}/fd").iterdir()]
        assert any(NEW_NAME in file for file in opened)
        assert not any(OLD_NAME in file for file in opened), "of the model before"
        assert len([said for said in heard if "READY=1" in said]) == 2
        assert not [said for said in heard if "STOPPING=1" in said], "or it would be killed"
        assert len([said for said in heard if "STATUS=starting anew" in said]) == 1
        assert device.log.count(f"gallery version 2 is of embedding model {NEW_NAME} (") == 1
        assert not set(kept) & set(strangers(device, edge_reid).split())
    assert "Traceback" not in device.log
    named = [line for line in device.log.splitlines() if OLD_NAME in line]
    taken = [line for line in named if "unknown people" not in line]  # whom it forgets with OLD
    assert len(taken) == 1, "and no complaint of the version before"


def test_the_first_gallery_says_the_model_and_one_that_is_not_shipped_is_refused(
    device: FollowingCamera, desk: Desk, enrolled: dict[str, Path], somebody: str
) -> None:
    desk.publish(enrolled[OLD])
    with device.running():
        device.await_hit(somebody, OLD)
        desk.publish(desk.foreign_gallery())
        device.await_refusal("got model ffffffffffffffff")
        device.await_hit(somebody, OLD)
        assert (device.status["gallery_version"], device.status["model_id"]) == (1, model_id(OLD))
        assert len({status["session"] for status in device.statuses}) <= 2, (
            "it was not started anew"
        )


def test_a_model_that_is_named_stays(
    device: FollowingCamera, desk: Desk, enrolled: dict[str, Path], somebody: str
) -> None:
    """In the settings, or on the command line."""
    with device.config.open("a", encoding="utf-8") as settings:
        settings.write(f'[models]\nembedding = "{OLD_NAME}"\n')
    desk.publish(enrolled[NEW])
    with device.running("--model", NEW_NAME):
        device.await_hit(somebody, NEW)
    with device.running():
        device.await_refusal(f"expected embeddings of model {OLD_NAME} (")
        desk.publish(enrolled[OLD])
        device.await_hit(somebody, OLD)
        desk.publish(enrolled[NEW])
        device.await_refusal(f"expected embeddings of model {OLD_NAME} (")
        device.await_hit(somebody, OLD)
        assert {status["model_id"] for status in device.statuses[-2:]} == {model_id(OLD)}
    assert "names none" not in device.log


def test_a_recording_goes_on_to_its_end_with_the_model_it_began_with(
    device: FollowingCamera,
    desk: Desk,
    enrolled: dict[str, Path],
    edge_reid: Command,
    long_clip: Path,
    short_clip: Path,
) -> None:
    """Begun anew it would tell everything twice. The next run has the other model."""
    desk.publish(enrolled[OLD])
    with device.running():
        device.await_status(model_id=model_id(OLD), gallery_version=1)
    desk.publish(enrolled[NEW])
    for model, source in ((OLD, long_clip), (NEW, short_clip)):
        path = device.folder / f"{model}.jsonl"
        words = ("run", "--config", device.config, "--source", source, "--events", path, "--quiet")
        ran = edge_reid(*words, timeout_s=300)
        assert ran.code == 0, ran.err
        events = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        assert {event["model_id"] for event in events} == {model_id(model)}
        assert len({event["event_id"] for event in events}) == len(events)
        assert (f"gallery version 2 is of embedding model {NEW_NAME} (" in ran.err) == (
            model == OLD
        )
