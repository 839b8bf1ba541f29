"""An agent at a live camera that goes wrong: what it says of it, and what becomes of the people."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from itertools import chain, cycle
from pathlib import Path
from typing import Any

import pytest
from support import mjpeg_camera
from support.consumer import Consumer, eventually
from support.decoders import decoders
from support.interrupted_agent import run_until
from support.mjpeg_camera import STILL, MjpegCamera
from support.mosquitto import Mosquitto
from support.rtsp_camera import FPS, RtspCamera, Unit, encode, noise
from support.systemd_listener import Listener

from edge_reid.agent import camera_status_report
from edge_reid.agent.app import Outputs, run_agent
from edge_reid.agent.between_frames import BetweenFrames
from edge_reid.agent.metrics import RunSummary
from edge_reid.agent.observers import Observer
from edge_reid.agent.pipeline import Ending, Pipeline, Step
from edge_reid.agent.run_report import RunReport
from edge_reid.cli.run_progress import RunScreen
from edge_reid.core.config.agent_settings import AgentSettings
from edge_reid.core.errors import ModelChangeError
from edge_reid.core.types import Frame, Image
from edge_reid.delivery.outbox import Outbox

Event = dict[str, Any]


@pytest.fixture(autouse=True)
def as_the_clip_was_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mjpeg_camera, "PERIOD_S", 0.1)


def settings(gallery: Path, uri: str, **more: object) -> AgentSettings:
    table = {"site": "lab", "camera": "gate", "agent": "box", "gallery": gallery}
    source = {"uri": uri, "stall_timeout_s": 2.0}
    return AgentSettings.model_validate(table | {"source": source} | more)


def lines(path: Path) -> list[Event]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_whoever_is_in_view_when_the_camera_goes_leaves_with_it(
    gallery: Path, tmp_path: Path, crowd: tuple[Image, ...]
) -> None:
    path = tmp_path / "events.jsonl"
    with MjpegCamera(crowd, hangs_after=60) as camera:
        agent = settings(gallery, camera.url)

        def are_gone() -> bool:
            events = lines(path)
            news = {event["track_id"] for event in events if event["type"] == "new"}
            ends = {event["track_id"] for event in events if event["type"] == "end"}
            camera.answers = not news  # whoever comes again gets no picture
            return bool(news) and news == ends

        run_until(are_gone, agent, Outputs(events=str(path)), observers=[RunScreen()])


def test_a_clock_set_back_puts_nobodys_end_before_their_beginning(
    gallery: Path, tmp_path: Path, crowd: tuple[Image, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, real, set_by_s = tmp_path / "events.jsonl", time.time, [0.0]
    monkeypatch.setattr(time, "time", lambda: real() + set_by_s[0])

    def has_gone_on() -> bool:
        events = lines(path)
        if any(event["type"] == "new" for event in events):
            set_by_s[0] = -30.0
        before = [event for event in events if event["type"] == "new"][:1]
        return any(event["first_seen"] < before[0]["first_seen"] for event in events)

    with MjpegCamera(crowd) as camera:
        run_until(
            has_gone_on,
            settings(gallery, camera.url),
            Outputs(events=str(path)),
            observers=[RunScreen()],
        )
    for event in lines(path):
        times = [event[key] for key in ("first_seen", "captured_at", "last_seen", "decided_at")]
        assert times == sorted(times), event


class Watcher(Observer):
    """Counts frames that went through."""

    steps = 0

    def stepped(self, _: Step, /) -> None:
        self.steps += 1


def test_ctrl_c_on_a_live_run_shows_what_it_brought(
    gallery: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with MjpegCamera(STILL) as camera:
        watcher = Watcher()
        run_until(
            lambda: watcher.steps > 2,
            settings(gallery, camera.url),
            Outputs(),
            observers=[RunScreen(), watcher],
        )
    shown = capfd.readouterr().out
    assert "hits by identity" in shown
    assert "real time" in shown


def test_who_interrupts_the_end_after_a_mistake_of_ours_still_hears_of_it(
    gallery: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def look(*_: Any, **__: Any) -> Step:
        raise ValueError("a mistake")

    monkeypatch.setattr(Pipeline, "look", look)
    monkeypatch.setattr(RunReport, "stopping", lambda *_, **__: signal.raise_signal(signal.SIGINT))
    with MjpegCamera(STILL) as camera, pytest.raises(KeyboardInterrupt):
        run_agent(settings(gallery, camera.url), outputs=Outputs())
    assert "unexpected ValueError: a mistake" in caplog.text


@pytest.mark.broker
@pytest.mark.parametrize("fails_again", [False, True])
def test_a_mistake_of_ours_ends_the_run_in_order_and_is_raised(
    gallery: Path,
    broker: Mosquitto,
    tmp_path: Path,
    crowd: tuple[Image, ...],
    monkeypatch: pytest.MonkeyPatch,
    *,
    fails_again: bool,
) -> None:
    path, look, finish = tmp_path / "events.jsonl", Pipeline.look, Pipeline.finish

    def look_until_somebody_came(pipeline: Pipeline, frame: Frame, **limits: Any) -> Step:
        if any(event["type"] == "new" for event in lines(path)):
            raise ValueError("a mistake at rtsp://me:s3cret@gate/1")
        return look(pipeline, frame, **limits)

    def end_badly(pipeline: Pipeline) -> Ending:
        ending = finish(pipeline)
        if fails_again:
            raise KeyError("another one")
        return ending

    monkeypatch.setattr(Pipeline, "look", look_until_somebody_came)
    monkeypatch.setattr(Pipeline, "finish", end_badly)
    with MjpegCamera(crowd) as camera, Consumer(broker.broker()) as consumer:
        eventually(lambda: consumer.is_subscribed)
        agent = settings(gallery, camera.url, mqtt={"url": broker.url})
        with pytest.raises(ValueError, match="a mistake"):
            run_agent(agent, outputs=Outputs(events=str(path)))
        assert decoders() == []
        eventually(lambda: consumer.payloads("/gate/status")[-1]["state"] == "failed")
        eventually(lambda: consumer.payloads("agents/box/status")[-1]["state"] == "offline")
        status = consumer.payloads("/gate/status")[-1]
    assert status["reason"] == "unexpected ValueError: a mistake at rtsp://gate"
    with Outbox(agent.outbox_path) as outbox:
        assert outbox.figures.depth == 0
    events = lines(path)
    news = {event["track_id"] for event in events if event["type"] == "new"}
    ends = {event["track_id"] for event in events if event["type"] == "end"}
    assert news
    assert ends == (set() if fails_again else news)


@pytest.mark.broker
@pytest.mark.parametrize("moment", ["in the frame", "while the tracks end", "while it delivers"])
@pytest.mark.parametrize("ends_with", [ModelChangeError("another model"), ValueError("a mistake")])
def test_who_stops_an_agent_that_ends_of_itself_has_the_last_events_delivered_all_the_same(
    gallery: Path,
    broker: Mosquitto,
    tmp_path: Path,
    crowd: tuple[Image, ...],
    monkeypatch: pytest.MonkeyPatch,
    moment: str,
    ends_with: Exception,
) -> None:
    """As with `systemctl stop` in the frame in which the gallery of another model comes."""
    path, manager = tmp_path / "events.jsonl", Listener(tmp_path / "notify")
    run, finish, deliver = BetweenFrames.run, Pipeline.finish, RunReport.deliver
    stopped: list[str] = []
    waiting: list[int] = []  # once it has delivered

    def stop(now: str) -> None:
        if now == moment and not stopped:
            stopped.append(now)
            signal.raise_signal(signal.SIGTERM)

    def run_until_somebody_came(jobs: BetweenFrames, *frame: Any) -> None:
        if any(event["type"] == "new" for event in lines(path)):
            stop("in the frame")
            raise ends_with
        run(jobs, *frame)

    def end_tracks(pipeline: Pipeline) -> Ending:
        stop("while the tracks end")
        return finish(pipeline)

    def deliver_last(report: RunReport, *patience_s: float) -> RunSummary:
        stop("while it delivers")
        summary = deliver(report, *patience_s)
        waiting.append(summary.waiting_events)
        return summary

    monkeypatch.setattr(BetweenFrames, "run", run_until_somebody_came)
    monkeypatch.setattr(Pipeline, "finish", end_tracks)
    monkeypatch.setattr(RunReport, "deliver", deliver_last)
    monkeypatch.setenv("NOTIFY_SOCKET", str(manager.path))
    with MjpegCamera(crowd) as camera, manager.overhearing() as heard:
        agent = settings(gallery, camera.url, mqtt={"url": broker.url})
        with pytest.raises(SystemExit, match="0"):
            run_agent(agent, outputs=Outputs(events=str(path)))
        eventually(lambda: any("STOPPING=1" in said for said in heard))
    assert waiting == [0]
    events = lines(path)
    news = {event["track_id"] for event in events if event["type"] == "new"}
    assert news
    assert {event["track_id"] for event in events if event["type"] == "end"} == news


@pytest.fixture
def told(broker: Mosquitto, monkeypatch: pytest.MonkeyPatch) -> Iterator[Consumer]:
    """Who follows the status of the camera."""
    monkeypatch.setattr(camera_status_report, "STATUS_INTERVAL_S", 1.5)
    with Consumer(broker.broker()) as consumer:
        eventually(lambda: consumer.is_subscribed)
        yield consumer


def states(consumer: Consumer) -> list[tuple[str, str | None]]:
    """(state, fault) of each status; with a reason wherever there is a fault."""
    statuses = consumer.payloads("/gate/status")
    for each in statuses:
        assert bool(each["reason"]) == (each["fault"] is not None)
    return [(each["state"], each["fault"]) for each in statuses]


@pytest.mark.broker
def test_a_picture_that_stands_still_is_no_camera_that_runs(
    gallery: Path, broker: Mosquitto, told: Consumer
) -> None:
    living, still = encode(noise(2 * FPS)), encode([next(noise(1))] * FPS)
    well_again = encode(noise(20 * FPS, seed=1))  # no loop: one that repeats itself stands still

    def has_been_noticed() -> bool:
        return ("stalled", "frozen") in states(told)

    def play(_: int) -> Iterator[Unit]:
        """A busy machine may come again before it has noticed."""
        return iter(well_again) if has_been_noticed() else chain(living, cycle(still))

    with RtspCamera(play) as camera:
        agent = settings(gallery, camera.url, mqtt={"url": broker.url})

        def is_well_again() -> bool:
            return has_been_noticed() and states(told)[-1] == ("running", None)

        run_until(is_well_again, agent, Outputs(), observers=[RunScreen()])


@pytest.mark.broker
def test_a_service_says_why_its_camera_lets_it_not_in(
    gallery: Path,
    broker: Mosquitto,
    told: Consumer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(Listener(tmp_path / "notify").path))
    living = encode(noise(2 * FPS))
    with RtspCamera(lambda _: cycle(living), login="guard:hunter2") as camera:
        wrong = camera.url.replace("hunter2", "hunter3")
        agent = settings(gallery, wrong, mqtt={"url": broker.url})
        run_until(
            lambda: ("starting", "login") in states(told), agent, Outputs(), observers=[RunScreen()]
        )
    reasons = [each["reason"] for each in told.payloads("/gate/status") if each["reason"]]
    assert any("does not take this login" in reason for reason in reasons)
    assert not any("hunter" in reason for reason in reasons)
