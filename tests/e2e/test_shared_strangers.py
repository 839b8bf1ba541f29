"""Two agents, each a process with a live camera, behind the shipped rules of a real broker: whoever
walked past the gate has the same name at the yard. The yard's camera shows the gate's pictures,
half a minute later.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import pytest
from support import campus, mjpeg_camera
from support.consumer import Consumer, eventually
from support.mjpeg_camera import MjpegCamera
from support.outcome import Outcome
from support.secured_broker import SecuredMosquitto, secured_mosquitto
from support.verb_process import VerbProcess

from edge_reid.core.opencv import to_rgb
from edge_reid.core.types import Image

pytestmark = [pytest.mark.e2e, pytest.mark.broker, pytest.mark.soak]

LAB = "edge-reid/lab"
CONFIG = """
site = "lab"
camera = "{camera}"
agent = "{agent}"
gallery = "gallery.db"
[source]
uri = "{uri}"
[strangers]
share = true
[mqtt]
url = "{url}"
ca_file = "{ca_file}"
cert_file = "{cert_file}"
key_file = "{key_file}"
"""


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[SecuredMosquitto]:
    with secured_mosquitto(tmp_path) as broker:
        yield broker


@pytest.fixture(scope="module")
def passers_by() -> tuple[Image, ...]:
    """Twelve seconds in which people walk through the picture, and none in which nobody does."""
    capture = cv2.VideoCapture(str(campus.CLIP))
    capture.set(cv2.CAP_PROP_POS_FRAMES, 80)
    pictures = tuple(to_rgb(capture.read()[1]) for _ in range(120))
    capture.release()
    return (*pictures, *(40 * (pictures[0] * 0,)))


@pytest.fixture
def agent(
    broker: SecuredMosquitto, tmp_path: Path, edge_reid: Callable[..., Outcome]
) -> Callable[[str, str], VerbProcess]:
    """Starts `edge-reid run` with a certificate of the cast, nobody enrolled."""

    def started(name: str, uri: str) -> VerbProcess:
        folder = tmp_path / name
        folder.mkdir()
        assert edge_reid("gallery", "init", folder / "gallery.db").code == 0
        camera = name.partition("-")[0]
        config = folder / "agent.toml"
        config.write_text(
            CONFIG.format(camera=camera, agent=name, uri=uri, url=broker.url, **broker.login(name))
        )
        return VerbProcess("run", "--config", config, "--quiet")

    return started


def test_who_walked_past_the_gate_has_that_name_at_the_yard(
    broker, tmp_path, passers_by, agent, edge_reid, monkeypatch
):
    monkeypatch.setattr(mjpeg_camera, "PERIOD_S", 0.1)
    with (
        Consumer(broker.broker_for("desk"), f"{LAB}/+/unknown", f"{LAB}/agents/+/status") as desk,
        MjpegCamera(passers_by) as camera,
    ):

        def named_at(place: str) -> set[str]:
            ends = (it for it in desk.payloads(f"{place}/unknown") if it["type"] == "end")
            return {it["stranger"] for it in ends if it["stranger"]}

        def sharing_of(name: str) -> dict[str, int]:
            statuses = desk.payloads(f"{name}/status")
            return statuses[-1]["strangers"] if statuses else {}

        with agent("gate-1", camera.url):
            eventually(lambda: len(named_at("gate")) >= 2, 120)
            with agent("yard-1", camera.url):
                eventually(lambda: sharing_of("yard-1").get("heard", 0) >= 2, 60)
                assert sharing_of("gate-1")["shared"] >= 2
                eventually(lambda: len(named_at("yard") & named_at("gate")) >= 2, 120)
                login = [
                    f"--{key.replace('_', '-')}={path}" for key, path in broker.login("ops").items()
                ]
                words = ("gallery", "strangers", "--site", "lab", "--broker", broker.url, *login)
                erased = edge_reid(*words, "--forget-all")
                assert "everybody: done by 2 of 2" in erased.out, erased
    print(time.ctime(), sorted(named_at("gate")), sorted(named_at("yard")), erased.out)
