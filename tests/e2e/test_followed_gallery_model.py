"""A device without `models.embedding` runs the model of the gallery that it follows: an update that
brings another default changes nothing, and a gallery of another shipped model takes it along.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest
from support.consumer import Consumer, eventually
from support.following_device import Command, Desk, FollowingCamera, model_id
from support.mjpeg_camera import MjpegCamera
from support.mosquitto import Mosquitto

from edge_reid.core.bundled_models import EMBEDDING, MOBILENET_EMBEDDING

pytestmark = [pytest.mark.e2e, pytest.mark.broker, pytest.mark.timeout(600)]

OLD, NEW = MOBILENET_EMBEDDING, EMBEDDING
OLD_NAME, NEW_NAME = Path(OLD).stem, Path(NEW).stem


@pytest.fixture(scope="module")
def camera(short_clip: Path) -> Iterator[MjpegCamera]:
    """Shows the clip for ever."""
    capture = cv2.VideoCapture(str(short_clip))
    pictures = [image[..., ::-1] for _, image in iter(capture.read, (False, None))]
    with MjpegCamera(pictures) as camera:
        yield camera


@pytest.fixture(scope="module")
def enrolled(
    photos: dict[str, list[Path]], edge_reid: Command, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """Galleries of the same person, by model; the others of the clip are strangers."""
    desk = Desk(tmp_path_factory.mktemp("desk"), "mqtt://127.0.0.1:1", edge_reid)
    name, crops = next(iter(photos.items()))
    return {model: desk.enrol(model, {name: crops}) for model in (OLD, NEW)}


@pytest.fixture(scope="module")
def somebody(photos: dict[str, list[Path]]) -> str:
    """Who is enrolled."""
    return next(iter(photos))


@pytest.fixture
def desk(tmp_path: Path, broker: Mosquitto, edge_reid: Command) -> Desk:
    folder = tmp_path / "desk"
    folder.mkdir()
    return Desk(folder, broker.url, edge_reid)


@pytest.fixture
def device(
    tmp_path: Path, desk: Desk, broker: Mosquitto, camera: MjpegCamera
) -> Iterator[FollowingCamera]:
    with Consumer(broker.broker()) as consumer:
        yield FollowingCamera.set_up(tmp_path / "device", desk, camera.url, consumer)


def strangers(device: FollowingCamera, edge_reid: Command) -> str:
    return edge_reid("gallery", "strangers", "--strangers", device.folder / "strangers.db").out


def test_an_update_changes_nothing_until_a_gallery_of_the_new_default_is_published(
    device: FollowingCamera,
    desk: Desk,
    enrolled: dict[str, Path],
    somebody: str,
    edge_reid: Command,
) -> None:
    desk.publish(enrolled[OLD])
    with device.running("--model", OLD_NAME):  # the release before, which had it as its default
        device.await_hit(somebody, OLD)
        eventually(lambda: "anon-" in strangers(device, edge_reid), 60)
    assert OLD_NAME not in device.log, "somebody named it"
    before = strangers(device, edge_reid).split()

    with device.running() as agent:
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
        assert device.log.count(f"gallery version 2 is of embedding model {NEW_NAME} (") == 1
        assert not set(kept) & set(strangers(device, edge_reid).split())
    assert "Traceback" not in device.log
    assert device.log.count(OLD_NAME) == 1, "and no complaint of the version before"
