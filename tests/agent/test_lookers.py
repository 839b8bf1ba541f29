"""Several threads look at many cameras: whole agents, whose models are real."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import campus, mjpeg_camera
from support.interrupted_agent import run_until
from support.mjpeg_camera import MjpegCamera

from edge_reid.agent import app, look_pace, lookers
from edge_reid.agent.agent_loop import CameraIsOver
from edge_reid.agent.app import Outputs, run_agent
from edge_reid.agent.camera_frames import CameraFrames
from edge_reid.agent.camera_policies import CameraPolicies
from edge_reid.agent.frame_jobs import FrameJobs
from edge_reid.agent.look_pace import CONCESSIONS, LookPace
from edge_reid.agent.lookers import CAMERAS_EACH, looker_count
from edge_reid.agent.pipeline import Ending, Pipeline, Step
from edge_reid.agent.recorded_feed import RecordedFeed
from edge_reid.agent.run_report import RunReport
from edge_reid.agent.watched_camera import Turn, WatchedCamera
from edge_reid.core.config.agent_settings import AgentSettings
from edge_reid.core.errors import EdgeReidError, ModelError
from edge_reid.core.types import Frame, Image, Template
from edge_reid.gallery.store import GalleryStore
from edge_reid.matching.index import Index

NAMES = tuple(f"camera-{number}" for number in range(CAMERAS_EACH + 2))
"""Enough for two lookers."""
PATIENCE_S = 90.0


def agent_of(gallery: Path, cameras: dict[str, str], **more: object) -> AgentSettings:
    tables = {name: {"source": {"uri": uri}} for name, uri in cameras.items()}
    table = {"site": "lab", "agent": "device", "gallery": gallery, "cameras": tables}
    return AgentSettings.model_validate(table | {"models": {"threads": 2}} | more)


@pytest.fixture
def many(
    gallery: Path, crowd: tuple[Image, ...], monkeypatch: pytest.MonkeyPatch
) -> Iterator[AgentSettings]:
    """An agent with cameras for two lookers."""
    monkeypatch.setattr(mjpeg_camera, "PERIOD_S", 0.1)
    with ExitStack() as stack:
        cameras = {name: stack.enter_context(MjpegCamera(crowd)).url for name in NAMES}
        yield agent_of(gallery, cameras)


class Looks:
    """What an agent does, as it does it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.lock = threading.Lock()
        self.in_hand: list[str] = []
        self.most_at_once = 0
        self.twice: list[str] = []
        """Cameras that two have looked at, at the same time."""
        self.times_utc_s: defaultdict[str, list[float]] = defaultdict(list)
        self.finished: Counter[str] = Counter()
        self.finishers: set[threading.Thread] = set()
        self.begin: Callable[[str], None] = lambda _: None
        """Called in a look, with the name of its camera."""
        look, finish = Pipeline.look, WatchedCamera.finish

        def looked(pipeline: Pipeline, frame: Frame, **limits: Any) -> Step:
            with self.looking(pipeline._camera, frame):
                self.begin(pipeline._camera)
                return look(pipeline, frame, **limits)

        def finished(camera: WatchedCamera, turn: Turn, step: Step) -> None:
            finish(camera, turn, step)
            self.finished[camera.name] += 1
            self.finishers.add(threading.current_thread())

        monkeypatch.setattr(Pipeline, "look", looked)
        monkeypatch.setattr(WatchedCamera, "finish", finished)

    @contextmanager
    def looking(self, camera: str, frame: Frame) -> Iterator[None]:
        with self.lock:
            if camera in self.in_hand:
                self.twice.append(camera)
            self.in_hand.append(camera)
            self.most_at_once = max(self.most_at_once, len(self.in_hand))
            self.times_utc_s[camera].append(frame.captured_utc_s)
        try:
            yield
        finally:
            with self.lock:
                self.in_hand.remove(camera)

    @property
    def begun(self) -> int:
        return sum(map(len, self.times_utc_s.values()))

    def have_been_everywhere(self, times: int) -> bool:
        return all(self.finished[name] >= times for name in NAMES)


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Looks:
    return Looks(monkeypatch)


@pytest.mark.parametrize(
    ("threads", "cameras", "count"),
    [(2, 0, 1), (2, 1, 1), (2, 4, 1), (2, 5, 2), (2, 40, 2), (1, 40, 1), (4, 8, 2), (4, 13, 4)],
)
def test_there_are_no_more_lookers_than_cameras_need_or_threads_can_serve(
    threads: int, cameras: int, count: int
) -> None:
    assert looker_count(threads, cameras=cameras) == count


def test_two_look_at_a_time_at_other_cameras_each_in_order_and_one_thread_commits(
    many: AgentSettings, looks: Looks
) -> None:
    run_until(lambda: looks.have_been_everywhere(12), many)
    assert looks.most_at_once == 2
    assert looks.twice == []
    for times_utc_s in looks.times_utc_s.values():
        assert times_utc_s == sorted(set(times_utc_s))
    assert looks.finishers == {threading.main_thread()}
    assert looks.finished.total() == looks.begun, "those in hand at the end, too"
    counts = looks.finished.values()
    assert max(counts) - min(counts) <= 4, "all are looked at as often"


def test_what_is_done_between_two_frames_finds_nobody_in_the_midst_of_a_look(
    many: AgentSettings, looks: Looks, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs: list[FrameJobs] = []
    in_the_midst: list[int] = []

    class Noted(FrameJobs):
        def __init__(self) -> None:
            super().__init__()
            jobs.append(self)

    monkeypatch.setattr(app, "FrameJobs", Noted)
    looks.begin = lambda _: time.sleep(0.02)

    def ask() -> None:
        while not jobs or not looks.have_been_everywhere(2):
            time.sleep(0.05)
        with suppress(Exception):  # the agent stops
            while True:
                jobs[0].do(lambda: in_the_midst.append(len(looks.in_hand)))
                time.sleep(0.05)

    threading.Thread(target=ask).start()
    run_until(lambda: len(in_the_midst) >= 20, many)
    assert looks.most_at_once == 2
    assert set(in_the_midst) == {0}


def test_another_gallery_comes_into_force_while_nobody_looks(
    many: AgentSettings, looks: Looks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look that had begun before would name somebody who has just been removed."""
    in_the_midst: list[int] = []
    use_gallery = CameraPolicies.use_gallery

    def used(policies: CameraPolicies, index: Index) -> None:
        in_the_midst.append(looks.begun - looks.finished.total())
        use_gallery(policies, index)

    def enrol() -> None:
        while not looks.have_been_everywhere(1):
            time.sleep(0.05)
        with GalleryStore.open(many.gallery) as store:
            vectors = np.eye(3, store.dimension, dtype=np.float32)
            for number, vector in enumerate(vectors):
                sha256 = f"{number:064x}"
                store.add(Template(f"person-{number}", vector, store.model_id, 0.7, sha256, 0.0))
                while len(in_the_midst) <= number and threading.main_thread().is_alive():
                    time.sleep(0.05)

    monkeypatch.setattr(CameraPolicies, "use_gallery", used)
    looks.begin = lambda _: time.sleep(0.1)
    threading.Thread(target=enrol, daemon=True).start()
    run_until(lambda: len(in_the_midst) >= 3, many)
    assert looks.most_at_once == 2
    assert set(in_the_midst) == {0}


def test_looks_that_come_too_late_are_given_up_though_several_look(
    many: AgentSettings, looks: Looks, monkeypatch: pytest.MonkeyPatch
) -> None:
    paces: list[LookPace] = []

    def noted(promise_ms: float) -> LookPace:
        paces.append(LookPace(promise_ms))
        return paces[0]

    monkeypatch.setattr(app, "LookPace", noted)
    monkeypatch.setattr(look_pace, "_LEAST_LOOKS", 4)  # of a busy machine that is soon enough
    looks.begin = lambda _: time.sleep(0.1)
    late = many.latency.model_copy(update={"captured_to_committed_p95_ms": 90.0})
    run_until(
        lambda: bool(paces) and paces[0].concession != CONCESSIONS[0],
        many.model_copy(update={"latency": late}),
    )


@pytest.mark.parametrize("error", [ModelError("it gives no numbers"), ValueError("a mistake")])
def test_what_a_looker_raises_ends_the_agent(
    error: Exception, many: AgentSettings, looks: Looks
) -> None:
    def fail_late(camera: str) -> None:
        if camera == NAMES[3] and looks.have_been_everywhere(2):
            raise error

    looks.begin = fail_late
    with pytest.raises(type(error), match=str(error)):
        run_agent(many, outputs=Outputs())
    assert looks.in_hand == []
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("looker")]


def test_a_look_that_fails_at_the_end_does_not_take_the_other_with_it(
    many: AgentSettings, looks: Looks, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_ending = threading.Event()
    held: list[str] = []
    stopping = RunReport.stopping

    def stop(report: RunReport, *, is_over: bool) -> None:
        stopping(report, is_over=is_over)
        is_ending.set()

    def fail_at_the_end(camera: str) -> None:
        if looks.have_been_everywhere(1):
            held.append(camera)
            is_ending.wait(PATIENCE_S)
            if held[0] == camera:
                raise ModelError("it gives no numbers")

    def press() -> None:
        while len(held) < 2:
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(RunReport, "stopping", stop)
    looks.begin = fail_at_the_end
    threading.Thread(target=press).start()
    with pytest.raises(ModelError, match="it gives no numbers"):
        run_agent(many, outputs=Outputs())
    assert looks.finished.total() == looks.begun - 1


def test_who_ends_an_agent_waits_for_the_looks_in_hand_and_no_longer(
    many: AgentSettings, looks: Looks
) -> None:
    looks.begin = lambda _: time.sleep(0.5)
    took_s = run_until(lambda: looks.begun > 5 and len(looks.in_hand) == 2, many)
    assert looks.finished.total() == looks.begun
    assert took_s < 5.0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("cameras", [1, len(NAMES)])
def test_who_ends_an_agent_twice_waits_for_no_look_that_hangs(
    many: AgentSettings, tmp_path: Path, cameras: int, number: signal.Signals
) -> None:
    config = tmp_path / "agent.toml"
    tables = [
        f'site = "lab"\nagent = "device"\ngallery = "{many.gallery}"',
        "[models]\nthreads = 2",
    ]
    for name, camera in list(many.cameras.items())[:cameras]:
        tables.append(f'[cameras.{name}.source]\nuri = "{camera.source.uri}"')
    config.write_text("\n".join(tables))
    program = [sys.executable, "-m", "support.hung_look", "run", "--quiet", "--config", str(config)]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(program, stderr=subprocess.PIPE, text=True, env=env) as agent:
        try:
            assert agent.stderr
            said = [agent.stderr.readline()]
            while said[-1] not in {"hangs\n", ""}:
                said.append(agent.stderr.readline())
            agent.send_signal(number)
            with pytest.raises(subprocess.TimeoutExpired):
                agent.wait(2.0)  # the look may still end
            agent.send_signal(number)
            assert agent.wait(10.0) == {signal.SIGINT: 130, signal.SIGTERM: 0}[number]
            assert "Traceback" not in "".join([*said, agent.stderr.read()])
        finally:
            agent.kill()


def test_no_track_is_ended_in_the_midst_of_a_look_though_its_camera_counts_as_away(
    many: AgentSettings, looks: Looks, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_the_midst: list[bool] = []
    finish = Pipeline.finish

    def finished(pipeline: Pipeline) -> Ending:
        in_the_midst.append(pipeline._camera in looks.in_hand)
        return finish(pipeline)

    monkeypatch.setattr(Pipeline, "finish", finished)
    monkeypatch.setattr(CameraFrames, "take_loss", lambda _: True)
    looks.begin = lambda _: time.sleep(0.1)
    run_until(lambda: len(in_the_midst) > 4 * len(NAMES), many)
    assert looks.most_at_once == 2
    assert set(in_the_midst) == {False}


def test_a_look_that_never_ends_holds_up_the_loop(
    many: AgentSettings, looks: Looks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By which systemd and /healthz notice it, though another looker could go on."""
    monkeypatch.setattr(lookers, "_LONG_S", 0.5)
    is_let_go = threading.Event()
    hung: list[str] = []

    def hang(camera: str) -> None:
        if looks.have_been_everywhere(1) and not hung:
            hung.append(camera)
            is_let_go.wait(PATIENCE_S)

    looks.begin = hang
    stood_still: list[bool] = []

    def watch() -> None:
        while not hung:
            time.sleep(0.05)
        time.sleep(4.0)
        before = looks.finished.total()
        time.sleep(2.0)
        stood_still.append(looks.finished.total() == before)
        is_let_go.set()

    threading.Thread(target=watch).start()
    run_until(lambda: bool(stood_still) and looks.finished[hung[0]] > 3, many)
    assert stood_still == [True]


class _InStep(RecordedFeed):
    """Frames of recordings, for two lookers: each camera's as soon as it is not in hand."""

    most_at_once = 0

    def __init__(self, cameras: list[WatchedCamera]) -> None:
        super().__init__(cameras)
        self._in_hand: set[WatchedCamera] = set()

    def turns(self, idle: Callable[[], None], over: CameraIsOver) -> Iterator[Turn | None]:
        ends: list[tuple[WatchedCamera, EdgeReidError | None]] = []
        for turn in super().turns(idle, lambda *end: ends.append(end)):
            assert turn is not None
            while turn.camera in self._in_hand or len(self._in_hand) == 2:
                time.sleep(0.001)
                yield None
            self._in_hand.add(turn.camera)
            _InStep.most_at_once = max(_InStep.most_at_once, len(self._in_hand))
            yield turn
        while self._in_hand:
            yield None
        for end in ends:
            over(*end)

    def done(self, turn: Turn) -> None:
        self._in_hand.remove(turn.camera)


def test_two_lookers_tell_what_one_tells(
    gallery: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    views = {name: tmp_path / f"{name}.mp4" for name in ("gate", "door", "yard")}
    for start_s, path in zip((8, 20, 40), views.values(), strict=True):
        cut = ["-ss", str(start_s), "-t", "6", "-i", str(campus.CLIP), "-c:v", "libx264"]
        subprocess.run(["ffmpeg", "-v", "error", *cut, str(path)], check=True)
    settings = agent_of(gallery, {name: str(path) for name, path in views.items()})
    told = {}
    for count in (1, 2):
        if count == 2:
            monkeypatch.setattr(app, "looker_count", lambda *_, **__: 2)
            monkeypatch.setattr(app, "RecordedFeed", _InStep)
        where = tmp_path / f"{count}.jsonl"
        run_agent(settings, outputs=Outputs(events=str(where)))
        told[count] = [json.loads(line) for line in where.read_text().splitlines()]
    assert _InStep.most_at_once == 2
    assert {event["camera"] for event in told[1]} == set(views)
    assert len(told[1]) > 20
    for name in views:
        assert of_camera(told[2], name) == of_camera(told[1], name)


def of_camera(events: list[dict[str, Any]], camera: str) -> list[dict[str, Any]]:
    """What one camera told, apart from its number in the whole."""
    return [event | {"seq": 0} for event in events if event["camera"] == camera]
