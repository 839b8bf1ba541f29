"""A live agent on the campus clip, scraped over HTTP as Prometheus does."""

from __future__ import annotations

import json
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import cast

import cv2
import pytest
from prometheus_client import Metric
from pydantic import ValidationError
from support import campus, mjpeg_camera
from support.mjpeg_camera import STILL, MjpegCamera
from support.mosquitto import Mosquitto
from support.scraped_agent import ScrapedAgent, value

from edge_reid.agent.agent_parts import AgentParts
from edge_reid.agent.camera_policies import CameraPolicies
from edge_reid.agent.frame_jobs import FrameJobs
from edge_reid.agent.health import Health
from edge_reid.agent.metrics_server import MetricsServer
from edge_reid.agent.prometheus_collector import AgentCollector
from edge_reid.agent.wrong_names import WrongNames
from edge_reid.cli.main import main
from edge_reid.core.config.listener_settings import MetricsSettings
from edge_reid.core.errors import UsageError
from edge_reid.core.opencv import to_rgb
from edge_reid.core.types import Image
from edge_reid.delivery.publisher import AgentFacts


@pytest.fixture(autouse=True)
def as_the_clip_was_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mjpeg_camera, "PERIOD_S", 0.1)


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("enrolled")
    path = folder / "gallery.db"
    photos = campus.write_photos(campus.people("red-sleeves"), folder / "photos", 100)
    commands = (["init"], ["enroll", "red-sleeves", *photos["red-sleeves"], "--gallery"])
    for words in commands:
        with pytest.raises(SystemExit, match="0"):
            main(["gallery", *map(str, words), str(path)])
    return path


@pytest.fixture(scope="module")
def crowd() -> tuple[Image, ...]:
    """Six seconds in which people walk through the picture."""
    capture = cv2.VideoCapture(str(campus.CLIP))
    capture.set(cv2.CAP_PROP_POS_FRAMES, 80)
    pictures = tuple(to_rgb(capture.read()[1]) for _ in range(60))
    capture.release()
    return pictures


def source(camera: MjpegCamera) -> dict[str, object]:
    return {"source": {"uri": camera.url, "stall_timeout_s": 2.0}}


@pytest.mark.broker
def is_running(seen: dict[str, Metric], camera: str) -> bool:
    return value(seen, "edge_reid_camera_state", camera=camera, state="running") == 1


def test_what_is_scraped_is_what_the_agent_counts(
    gallery: Path, crowd: tuple[Image, ...], broker: Mosquitto, tmp_path: Path
) -> None:
    with MjpegCamera(crowd) as gate, MjpegCamera(STILL) as door:
        agent = ScrapedAgent(
            gallery=gallery,
            cameras={"gate": source(gate), "door": source(door)},
            mqtt={"url": broker.url},
        )

        def watch() -> None:
            scrapes = []

            def somebody_is_decided_while_it_runs() -> bool:
                seen = agent.scrape()
                scrapes.append(seen)
                decided = value(seen, "edge_reid_decisions_total", camera="gate", kind="unknown")
                # on a busy machine the picture may stand still for a moment
                return decided > 0 and is_running(seen, "gate")

            agent.wait_for(somebody_is_decided_while_it_runs)
            seen = scrapes[-1]
            assert value(seen, "edge_reid_frames_total", camera="door") > 0
            assert value(seen, "edge_reid_detections_total", camera="gate") > 0
            runs = value(seen, "edge_reid_detector_runs_total", camera="gate")
            timed = value(
                seen, "edge_reid_stage_duration_seconds_count", camera="gate", stage="detect"
            )
            assert abs(runs - timed) <= 1, "one may be in hand"
            assert (
                value(seen, "edge_reid_commit_latency_seconds_bucket", camera="gate", le="+Inf") > 0
            )
            unknown = value(seen, "edge_reid_decisions_total", camera="gate", kind="unknown")
            assert value(seen, "edge_reid_unknown_similarity_count", camera="gate") == unknown
            assert value(seen, "edge_reid_broker_connected") == 1
            assert value(seen, "edge_reid_gallery_identities") == 1
            assert value(seen, "edge_reid_events_committed_total") > 0
            assert value(seen, "edge_reid_outbox_oldest_event_age_seconds") >= 0
            assert value(seen, "process_resident_memory_bytes") > 50e6
            assert json.loads(agent.ask("/readyz")[1]) == {"ok": True, "reasons": []}
            assert "red-sleeves" not in agent.ask("/metrics")[1]

        agent.run_while(watch)
    with closing(sqlite3.connect(agent.settings.outbox_path)) as outbox:
        assert outbox.execute("SELECT last_seq FROM ledger").fetchone()[0] > 0


def test_who_is_not_compared_for_want_of_time_is_counted(
    gallery: Path, crowd: tuple[Image, ...]
) -> None:
    with MjpegCamera(crowd) as gate:
        agent = ScrapedAgent(
            gallery=gallery,
            cameras={"gate": source(gate)},
            latency={"captured_to_committed_p95_ms": 20.0},  # too little for the detector alone
        )

        def watch() -> None:
            name = "edge_reid_uncompared_crops_total"
            agent.wait_for(lambda: value(agent.scrape(), name, camera="gate") > 0)

        agent.run_while(watch)


def test_health_says_why_it_is_not_well(gallery: Path) -> None:
    with MjpegCamera(STILL) as gate, MjpegCamera(STILL) as door:
        gate.answers = door.answers = False
        agent = ScrapedAgent(
            gallery=gallery,
            cameras={"gate": source(gate), "door": source(door)},
            metrics={"alive_s": 2.0},
        )

        def watch() -> None:
            status, body = agent.ask("/readyz")
            assert (status, json.loads(body)["ok"]) == (503, False)
            for reason, name in zip(json.loads(body)["reasons"], ("gate", "door"), strict=True):
                assert reason.startswith(f"camera {name}: expected it to be running, got starting")
            assert agent.ask("/healthz") == (200, '{"ok": true, "reasons": []}\n')
            assert agent.ask("/")[0] == 404
            assert not agent.scrape()["edge_reid_outbox_events"].samples, "there is no broker"
            door.answers = True
            agent.wait_for(lambda: agent.ask("/readyz")[0] == 200)

        agent.run_while(watch)


def test_a_loop_that_stands_still_is_not_alive() -> None:
    clock = [100.0]
    health = Health(
        (),
        CameraPolicies({}),
        beaten_s=lambda: 100.0,
        alive_s=30.0,
        follows_gallery=False,
        clock=lambda: clock[0],
    )
    assert health.liveness.ok
    clock[0] = 131.0
    assert "expected a round of the loop every 30 s, got none for 31 s" in str(health.liveness)


def test_whoever_has_no_token_learns_nothing(gallery: Path, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cret\nnot this\n")
    with MjpegCamera(STILL) as camera:
        agent = ScrapedAgent(
            gallery=gallery,
            cameras={"gate": source(camera)},
            metrics={"token_file": tmp_path / "token"},
        )

        def watch() -> None:
            for wrong in ({}, {"Authorization": "Bearer s3cre"}, {"Authorization": "s3cret"}):
                for path in ("/metrics", "/healthz", "/readyz", "/nowhere"):
                    assert agent.ask(path, **wrong) == (401, "")
            status, text = agent.ask("/metrics", Authorization="Bearer s3cret")
            assert status == 200
            assert "s3cret" not in text

        agent.run_while(watch)


def test_200_who_hold_the_line_and_one_who_asks_without_end_get_a_small_part_of_a_core(
    gallery: Path, crowd: tuple[Image, ...]
) -> None:
    with MjpegCamera(crowd) as camera:
        agent = ScrapedAgent(gallery=gallery, cameras={"gate": source(camera)})

        def watch() -> None:
            agent.wait_for(lambda: value(agent.scrape(), "edge_reid_frames_total") > 0)
            threads, began_s = threading.active_count(), time.monotonic()
            spent_s = -time.clock_gettime(_cpu_clock("metrics"))
            frames = -value(agent.scrape(), "edge_reid_frames_total")
            with ExitStack() as stack:
                for _ in range(200):
                    line = stack.enter_context(closing(socket.socket()))
                    line.setblocking(False)
                    line.connect_ex(("127.0.0.1", agent.port))
                    with suppress(OSError):
                        line.send(b"GET /metrics HTTP/1.1\r\nX-Slow: ")
                deadline_s = time.monotonic() + 5.0
                while time.monotonic() < deadline_s:
                    assert agent.ask("/metrics")[0] == 200
                assert threading.active_count() <= threads
                assert len(list(Path("/proc/self/fd").iterdir())) < 64 + 200 + 100
            frames += value(agent.scrape(), "edge_reid_frames_total")
            spent_s += time.clock_gettime(_cpu_clock("metrics"))
            assert spent_s < 0.1 * (time.monotonic() - began_s)
            assert frames > 5

        agent.run_while(watch)


def _cpu_clock(thread: str) -> int:
    (ours,) = (it for it in threading.enumerate() if it.name == thread)
    assert ours.ident
    return time.pthread_getcpuclockid(ours.ident)


@pytest.mark.parametrize(
    "request_",
    [
        b"GARBAGE\r\n\r\n",
        b"GET /metrics\r\n\r\n",
        b"POST /metrics HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello",
        b"GET /../../etc/passwd HTTP/1.1\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\n" + b"X: y\r\n" * 1000 + b"\r\n",
        b"GET /metrics HTTP/1.1\r\n" + b"X" * 100_000,
        bytes(range(256)) * 20 + b"\r\n\r\n",
        b"GET \xff\xfe HTTP/1.1\r\nAuthorization: \xff\xfe\r\nno colon\r\n\r\n",
    ],
)
def test_nonsense_is_refused(listening: MetricsServer, request_: bytes) -> None:
    with closing(socket.create_connection(("127.0.0.1", listening.port), timeout=10)) as line:
        with suppress(OSError):
            line.sendall(request_)
            line.shutdown(socket.SHUT_WR)
        answer = b""
        with suppress(OSError):
            while piece := line.recv(4096):
                answer += piece
    assert not answer or answer.split()[1] in {b"400", b"401", b"404", b"405"}


@pytest.fixture(scope="module")
def listening(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MetricsServer]:
    token = tmp_path_factory.mktemp("token") / "token"
    token.write_text("s3cret")
    policies = CameraPolicies({})
    parts = AgentParts(
        "lab",
        "device",
        (),
        policies,
        None,
        None,
        AgentFacts("0" * 16, 1, 0.0),
        WrongNames((), FrameJobs(), policies, None),
    )
    health = Health((), policies, beaten_s=time.monotonic, alive_s=30, follows_gallery=False)
    settings = MetricsSettings(listen="127.0.0.1:0", token_file=token)
    with MetricsServer(settings, AgentCollector(parts), health) as server:
        yield server


def test_an_address_that_is_taken_is_said_at_the_start(listening: MetricsServer) -> None:
    settings = MetricsSettings(listen=f"127.0.0.1:{listening.port}")
    with pytest.raises(UsageError, match=r"metrics.listen: expected a free port .* in use"):
        MetricsServer(settings, cast("AgentCollector", None), cast("Health", None))


@pytest.mark.parametrize("listen", ["0.0.0.0:9100", "[::]:9100", "gate.local:9100", "10.0.0.1:1"])
def test_other_hosts_are_answered_only_with_a_token(listen: str, tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="token_file: is missing"):
        MetricsSettings(listen=listen)
    assert not MetricsSettings(listen=listen, token_file=tmp_path / "token").is_loopback


@pytest.mark.parametrize("listen", ["9100", ":9100", "127.0.0.1", "127.0.0.1:99999", "::1:9100"])
def test_an_address_is_host_and_port(listen: str) -> None:
    with pytest.raises(ValidationError, match="should"):
        MetricsSettings(listen=listen)


def test_a_loopback_address_needs_no_token() -> None:
    for listen in ("127.0.0.1:9100", "[::1]:9100", "localhost:9100"):
        assert MetricsSettings(listen=listen).is_loopback
    assert (MetricsSettings(listen="[::1]:80").host, MetricsSettings().port) == ("::1", 9100)
