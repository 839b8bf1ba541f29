"""One agent and several cameras: recordings by their times, live cameras by turns."""

from __future__ import annotations

import json
import subprocess
import weakref
from contextlib import ExitStack, suppress
from itertools import cycle
from pathlib import Path
from typing import Any

import cv2
import pytest
from support import campus, mjpeg_camera
from support.consumer import Consumer, eventually
from support.interrupted_agent import run_until
from support.mjpeg_camera import MjpegCamera
from support.mosquitto import Mosquitto
from support.rtsp_camera import FPS, RtspCamera, encode, noise

from edge_reid.agent import camera_status_report
from edge_reid.agent.app import Outputs, run_agent
from edge_reid.capture.live_source import LiveSource
from edge_reid.cli.main import main
from edge_reid.consumers.command_client import ask, new_command
from edge_reid.core.config.agent_settings import AgentSettings
from edge_reid.core.errors import UsageError
from edge_reid.core.types import Frame, Image
from edge_reid.wire.commands import CommandResult
from edge_reid.wire.topics import Address

ADDRESS = Address("edge-reid", "lab", "device")


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two pieces of the clip, of other lengths and frame rates."""
    folder = tmp_path_factory.mktemp("clips")
    pieces = {"gate": (8, 6, 10), "door": (40, 4, 7)}
    for name, (start_s, seconds, fps) in pieces.items():
        cut = ["-ss", str(start_s), "-t", str(seconds), "-i", str(campus.CLIP), "-r", str(fps)]
        out = ["-c:v", "libx264", "-preset", "ultrafast", str(folder / f"{name}.mp4")]
        subprocess.run(["ffmpeg", "-v", "error", *cut, *out], check=True)
    return {name: folder / f"{name}.mp4" for name in pieces}


def agent_of(gallery: Path, cameras: dict[str, str], **more: object) -> AgentSettings:
    tables = {name: {"source": {"uri": uri}} for name, uri in cameras.items()}
    table = {"site": "lab", "agent": "device", "gallery": gallery, "cameras": tables}
    return AgentSettings.model_validate(table | more)


def recorded(gallery: Path, cameras: dict[str, Path], where: Path) -> list[dict[str, Any]]:
    settings = agent_of(gallery, {name: str(clip) for name, clip in cameras.items()})
    run_agent(settings, outputs=Outputs(events=str(where)))
    return [json.loads(line) for line in where.read_text().splitlines()]


def of_camera(events: list[dict[str, Any]], camera: str) -> list[dict[str, Any]]:
    """What one camera told, apart from its number in the whole."""
    return [event | {"seq": 0} for event in events if event["camera"] == camera]


def test_each_recording_of_several_tells_what_it_tells_alone_and_always_in_the_same_order(
    gallery: Path, clips: dict[str, Path], tmp_path: Path
) -> None:
    both = recorded(gallery, clips, tmp_path / "both.jsonl")
    assert {event["camera"] for event in both} == {"gate", "door"}
    assert [event["seq"] for event in both] == list(range(1, len(both) + 1))
    decided = [event["decided_at"] for event in both]
    assert decided == sorted(decided), "by the time of the videos"
    for name, clip in clips.items():
        alone = recorded(gallery, {name: clip}, tmp_path / f"{name}.jsonl")
        assert of_camera(both, name) == of_camera(alone, name)
    recorded(gallery, clips, tmp_path / "again.jsonl")
    assert (tmp_path / "again.jsonl").read_bytes() == (tmp_path / "both.jsonl").read_bytes()


def test_a_recording_that_breaks_off_ends_after_the_others_have_gone_on(
    gallery: Path, clips: dict[str, Path], tmp_path: Path
) -> None:
    broken = tmp_path / "broken.avi"
    copy = ["-c:v", "mjpeg", "-q:v", "5", str(broken)]
    subprocess.run(["ffmpeg", "-v", "error", "-i", str(clips["gate"]), *copy], check=True)
    broken.write_bytes(broken.read_bytes()[: broken.stat().st_size // 3])
    events = tmp_path / "events.jsonl"
    settings = agent_of(gallery, {"yard": str(broken), "door": str(clips["door"])})
    with suppress(Exception):
        run_agent(settings, outputs=Outputs(events=str(events)))
    told = [json.loads(line) for line in events.read_text().splitlines()]
    alone = recorded(gallery, {"door": clips["door"]}, tmp_path / "door.jsonl")
    assert of_camera(told, "door") == of_camera(alone, "door")


def test_live_cameras_and_recordings_do_not_mix(gallery: Path, clips: dict[str, Path]) -> None:
    cameras = {"gate": str(clips["gate"]), "door": "rtsp://127.0.0.1:1/door"}
    with pytest.raises(UsageError, match="expected all live or all files, got live door and files"):
        run_agent(agent_of(gallery, cameras), outputs=Outputs())


def test_each_camera_has_a_film_of_its_own(
    gallery: Path, clips: dict[str, Path], tmp_path: Path
) -> None:
    settings = agent_of(gallery, {name: str(clip) for name, clip in clips.items()})
    with pytest.raises(UsageError, match=r"expected \{camera\} in its name.*film-\{camera\}.webm"):
        run_agent(settings, outputs=Outputs(annotate=tmp_path / "film.webm"))
    run_agent(settings, outputs=Outputs(annotate=tmp_path / "{camera}.webm"))
    for name, clip in clips.items():
        film, source = (cv2.VideoCapture(str(path)) for path in (tmp_path / f"{name}.webm", clip))
        assert film.get(cv2.CAP_PROP_FRAME_COUNT) == source.get(cv2.CAP_PROP_FRAME_COUNT)


def test_no_picture_is_kept_when_the_next_one_is_made(
    gallery: Path, crowd: tuple[Image, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is six megabytes at 1080p; one for every camera would be most of an agent's memory."""
    newest = LiveSource.newest
    made: list[weakref.ref[Image]] = []
    kept: list[int] = []

    def watched(source: LiveSource) -> Frame | None:
        kept.append(sum(image() is not None for image in made))
        frame = newest(source)
        if frame:
            made.append(weakref.ref(frame.image))
        return frame

    monkeypatch.setattr(LiveSource, "newest", watched)
    with MjpegCamera(crowd) as gate, MjpegCamera(crowd) as door:
        cameras = {"gate": gate.url, "door": door.url}
        run_until(lambda: len(made) > 20, agent_of(gallery, cameras))
    assert max(kept) == 0


@pytest.fixture
def told(broker: Mosquitto, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Who hears all that the agent says."""
    monkeypatch.setattr(camera_status_report, "STATUS_INTERVAL_S", 1.5)
    monkeypatch.setattr(mjpeg_camera, "PERIOD_S", 0.1)
    with Consumer(broker.broker()) as consumer:
        eventually(lambda: consumer.is_subscribed)
        yield consumer


@pytest.mark.broker
def test_one_camera_hangs_and_the_other_goes_on_at_its_rate(
    gallery: Path, broker: Mosquitto, told: Consumer, crowd: tuple[Image, ...]
) -> None:
    with MjpegCamera(crowd, hangs_after=40) as gate, MjpegCamera(crowd) as door:
        agent = agent_of(
            gallery,
            {"gate": gate.url, "door": door.url},
            mqtt={"url": broker.url},
            detect={"rate_hz": 2},
        )

        def has_hung_and_gone_on() -> bool:
            states = [
                {brief["camera"]: brief["state"] for brief in status["camera_states"] or ()}
                for status in told.payloads("/agents/device/status")
            ]
            hung = {"gate": "stalled", "door": "running"}
            if {"gate": "running", "door": "running"} in states:
                gate.answers = False
            doors = told.payloads("/door/status")
            return hung in states and len(doors) > 6 and doors[-1]["looks"]["present_hz"] > 1

        run_until(has_hung_and_gone_on, agent)
        eventually(lambda: told.payloads("/gate/status")[-1]["state"] == "ended")
        eventually(lambda: told.payloads("/door/status")[-1]["state"] == "ended")
        (last,) = told.payloads("/agents/device/status")[-1:]
    assert last["cameras"] == ["door", "gate"]
    assert last["camera_states"] is None, "it is offline"
    cameras = {event["camera"] for event in told.payloads("/unknown")}
    assert cameras == {"gate", "door"}


@pytest.mark.broker
def test_who_is_in_view_of_two_cameras_has_two_hits_and_one_state(
    gallery: Path, broker: Mosquitto, told: Consumer, tmp_path: Path
) -> None:
    (person,) = campus.people("bomber-jacket")
    photos = campus.write_photos([person], tmp_path / "photos")[person.identity]
    with pytest.raises(SystemExit, match="0"):
        main(["gallery", "enroll", person.identity, *map(str, photos), "--gallery", str(gallery)])
    views = {name: tmp_path / f"{name}.mp4" for name in ("gate", "door")}
    start_s = person.visits[0].first_frame / campus.FPS
    for path in views.values():
        cut = ["-ss", str(start_s), "-t", "6", "-i", str(campus.CLIP), "-c:v", "libx264"]
        subprocess.run(["ffmpeg", "-v", "error", *cut, str(path)], check=True)
    settings = agent_of(
        gallery, {name: str(path) for name, path in views.items()}, mqtt={"url": broker.url}
    )
    run_agent(settings, outputs=Outputs())
    eventually(lambda: told.payloads(f"/identities/{person.identity}")[-1]["views"] == [])
    states = told.payloads(f"/identities/{person.identity}")
    assert ["door", "gate"] in [[view["camera"] for view in state["views"]] for state in states]
    assert states[-1]["in_view"] is False
    new = [event["camera"] for event in told.payloads("/hit") if event["type"] == "new"]
    assert sorted(new) == ["door", "gate"]


@pytest.mark.broker
def test_one_of_four_dies_and_the_others_are_looked_at_as_often_as_before(
    gallery: Path, broker: Mosquitto, told: Consumer
) -> None:
    living = encode(noise(40 * FPS))  # a shorter loop would be a picture that stands still
    names = ("gate", "door", "yard", "pond")
    with ExitStack() as stack:
        served = {name: stack.enter_context(RtspCamera(lambda _: cycle(living))) for name in names}
        agent = agent_of(
            gallery,
            {name: camera.url for name, camera in served.items()},
            mqtt={"url": broker.url},
            detect={"rate_hz": 1},
        )
        killed: list[str] = []

        def have_three_gone_on() -> bool:
            states = [
                {brief["camera"]: brief["state"] for brief in status["camera_states"] or ()}
                for status in told.payloads("/agents/device/status")
            ]
            if not killed and dict.fromkeys(names, "running") in states:
                served["pond"].__exit__()
                killed.append("pond")
            died = dict.fromkeys(names, "running") | {"pond": "stalled"}
            others = [told.payloads(f"/{name}/status") for name in names[:3]]
            return died in states and all(
                len(statuses) > 8 and statuses[-1]["looks"]["present_hz"] > 0.5
                for statuses in others
            )

        run_until(have_three_gone_on, agent)
    (last,) = told.payloads("/pond/status")[-1:]
    assert last["state"] == "ended"
    faults = {status["fault"] for status in told.payloads("/pond/status")}
    assert len(faults - {None}) > 0, "it says what is wrong"


@pytest.mark.broker
def test_commands_name_the_camera_that_they_are_for(
    gallery: Path, broker: Mosquitto, told: Consumer, crowd: tuple[Image, ...], tmp_path: Path
) -> None:
    results: list[CommandResult] = []
    commands = (
        new_command("snapshot", camera="door"),
        new_command("snapshot"),
        new_command("set-threshold", 0.9, camera="door"),
        new_command("set-threshold", 0.9, camera="yard"),
    )

    def have_been_asked() -> bool:
        if not told.payloads("/door/status"):
            return False
        results.extend(ask(broker.broker(), ADDRESS, asked, timeout_s=30) for asked in commands)
        return True

    with MjpegCamera(crowd) as gate, MjpegCamera(crowd) as door:
        agent = agent_of(
            gallery,
            {"gate": gate.url, "door": door.url},
            mqtt={"url": broker.url},
            detect={"rate_hz": 2},
            commands={
                "allow": ["snapshot", "set-threshold"],
                "snapshot_dir": tmp_path / "pictures",
            },
        )
        run_until(have_been_asked, agent)
    picture, unnamed, threshold, other = results
    assert picture.picture is not None
    assert "door" in Path(picture.picture.file).name
    assert "expected a camera, as this agent has several; name gate or door" in str(unnamed.reason)
    assert threshold.outcome == "done"
    assert "expected camera gate or door, those of this agent, got yard" in str(other.reason)
