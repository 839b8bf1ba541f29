"""An agent at a camera with two streams: what it looks at, what it embeds, what it says of them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from support import campus
from support.consumer import Consumer, eventually
from support.interrupted_agent import run_until
from support.mosquitto import Mosquitto
from support.rtsp_camera import Unit, ffmpeg_path, units_of
from support.twin_streams import TwinStreams

from edge_reid.agent import camera_status_report
from edge_reid.agent.observers import Observer
from edge_reid.agent.pipeline import Step
from edge_reid.cli.main import main
from edge_reid.core.config.agent_settings import AgentSettings

FPS = 10


def stream(size: str, folder: Path) -> tuple[Unit, ...]:
    """Eight seconds in which people walk through the picture."""
    path = folder / f"{size}.h264"
    command = [ffmpeg_path(), "-loglevel", "error", "-ss", "8", "-t", "8", "-i", str(campus.CLIP)]
    command += ["-vf", f"fps={FPS},scale={size}", "-c:v", "libx264", "-preset", "ultrafast"]
    command += ["-bf", "0", "-g", "10", "-x264-params"]
    command += ["aud=1:repeat-headers=1:scenecut=0:slices=1", str(path)]
    subprocess.run(command, check=True)
    return units_of(path.read_bytes())


class Sizes(Observer):
    """Notes of what was looked at, and what was embedded of it."""

    def __init__(self) -> None:
        self.frames: set[tuple[int, int]] = set()
        self.scales: list[tuple[bool, float]] = []
        """Of each crop: whether it is enlarged, and its height over that of its box."""

    def stepped(self, step: Step, /) -> None:
        self.frames.add(step.frame.size_px)
        self.scales += [
            (crop.is_enlarged, crop.image.shape[0] / crop.box.height) for crop in step.crops
        ]


@pytest.mark.broker
def test_people_are_found_in_the_small_stream_and_embedded_from_the_large_one(
    broker: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(camera_status_report, "STATUS_INTERVAL_S", 1.5)
    with pytest.raises(SystemExit, match="0"):
        main(["gallery", "init", str(tmp_path / "gallery.db")])
    seen = Sizes()
    large, small = (stream(size, tmp_path) for size in ("1536x864", "640x360"))
    with (
        TwinStreams(large, small, fps=FPS) as camera,
        Consumer(broker.broker()) as told,
    ):
        eventually(lambda: told.is_subscribed)
        settings = AgentSettings.model_validate(
            {
                "site": "lab",
                "camera": "gate",
                "agent": "box",
                "gallery": tmp_path / "gallery.db",
                "source": camera.settings().model_dump(exclude_unset=True),
                "mqtt": {"url": broker.url},
            }
        )

        def has_enough() -> bool:
            statuses = told.payloads("/gate/status")
            streams = [each["streams"] for each in statuses if each["streams"]]
            return any(
                each["crops_large"] >= 5 and each["detect_fault"] is each["crop_fault"] is None
                for each in streams  # on a busy machine a stream may be late for a while
            ) and bool(told.payloads("/unknown"))

        run_until(has_enough, settings, observers=[seen])
        statuses = told.payloads("/gate/status")
        events = told.payloads("/unknown")
    assert seen.frames == {(640, 360)}
    assert {event["frame_size"][0] for event in events} == {640}, "boxes are of the small pictures"
    for is_enlarged, scale in seen.scales:
        assert scale == pytest.approx(2.4 if is_enlarged else 1.0, rel=0.15)
    last = statuses[-1]["streams"]
    assert last["looked_at"] == "detect"
    assert last["crops_large"] >= sum(is_enlarged for is_enlarged, _ in seen.scales) > 0
