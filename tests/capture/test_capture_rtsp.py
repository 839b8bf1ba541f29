"""RTSP cameras, against a real one on loopback: what is wrong with each is one line, and a kind."""

from __future__ import annotations

import hashlib
import ipaddress
import itertools
import os
import re
import signal
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from itertools import islice
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from support.decoders import decoders
from support.rtsp_camera import FPS, RtspCamera, Unit, encode, is_key, noise

from edge_reid.capture import reopening
from edge_reid.capture.live_source import LiveSource
from edge_reid.capture.open_source import open_source
from edge_reid.core.config.source_settings import SourceSettings
from edge_reid.core.errors import SourceError
from edge_reid.core.types import Frame

LOOPBACK = ipaddress.ip_address("127.0.0.1")

Play = Callable[[int], Iterator[Unit]]


@pytest.fixture(scope="session")
def units() -> tuple[Unit, ...]:
    """Four seconds of a scene, a key picture each second."""
    return encode(noise(4 * FPS))


@pytest.fixture(scope="session")
def parameters(units: tuple[Unit, ...]) -> Unit:
    """What a decoder needs beforehand, as a camera's description has it."""
    return tuple(nal for nal in units[0] if nal[0] & 31 in (7, 8))


@pytest.fixture
def play(units: tuple[Unit, ...]) -> Play:
    """The scene again and again."""
    return lambda _: itertools.cycle(units)


def settings(camera: RtspCamera, **more: object) -> SourceSettings:
    return SourceSettings(**{"uri": camera.url, "stall_timeout_s": 3.0} | more)


def refusal(source: SourceSettings) -> str:
    """What is said about a camera that gives no picture."""
    with pytest.raises(SourceError) as caught:
        open_source(source)
    return str(caught.value)


def faults_until(
    source: LiveSource, is_enough: Callable[[list[str | None]], bool], within_s: float = 30.0
) -> list[str | None]:
    """The kinds of fault that a source tells one after the other, None for all well."""
    kinds: list[str | None] = []
    deadline_s = time.monotonic() + within_s

    def look() -> None:
        kind = source.fault.kind if source.fault else None
        if kinds[-1:] != [kind]:
            kinds.append(kind)
        if is_enough(kinds) or time.monotonic() > deadline_s:
            source.close()

    for _ in source.frames(look):
        look()
    return kinds


def test_pictures_come_over_tcp_whatever_opencv_asks_for_on_its_own(play: Play) -> None:
    with RtspCamera(play, takes_udp=False) as camera, open_source(settings(camera)) as source:
        frames: list[Frame] = list(islice(source, 10))
        assert source.fault is None
    assert source.size_px == (160, 120)
    assert {transport[:11] for transport in camera.transports} == {"RTP/AVP/TCP"}
    assert [frame.index for frame in frames] == sorted({frame.index for frame in frames})


def test_a_camera_that_has_udp_only_is_asked_for_it_by_a_setting(play: Play) -> None:
    with RtspCamera(play, takes_tcp=False) as camera:
        with open_source(settings(camera, rtsp_transport="udp")) as source:
            frames = list(islice(source, 10))
        assert refusal(settings(camera)).endswith("try the other source.rtsp_transport")
    assert (len(frames), source.size_px) == (10, (160, 120))


def test_the_right_login_opens_and_a_wrong_one_is_told_from_none(play: Play) -> None:
    with RtspCamera(play, login="guard:hunter2") as camera:
        with open_source(settings(camera)) as source:
            assert next(iter(source)).size_px == (160, 120)
        wrong = camera.url.replace("hunter2", "hunter3")
        assert "does not take this login" in (said := refusal(SourceSettings(uri=wrong)))
        assert "%23" in said, "how a password is to be written"
        assert "hunter" not in said
        bare = camera.url.replace("guard:hunter2@", "")
        assert "asks for a login" in refusal(SourceSettings(uri=bare))


def test_a_login_from_a_file_is_read_anew_after_it_was_refused(
    play: Play, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reopening, "LOGIN_S", 0.5)
    login = tmp_path / "gate.login"
    login.write_text("guard:as it was\n")
    with RtspCamera(play, login="guard:p@ss/#%") as camera:
        bare = f"rtsp://127.0.0.1:{camera.port}/stream"
        source = open_source(SourceSettings(uri=bare, login_file=login), is_patient=True)
        kinds: set[str | None] = set()

        def look() -> None:
            kinds.add(source.fault.kind if source.fault else None)
            if "login" in kinds:
                login.write_text("guard:p@ss/#%\n")

        with source:
            assert next(source.frames(look)).size_px == (160, 120)
    assert "login" in kinds


@pytest.mark.parametrize("text", ["", "guard", ":hunter2"])
def test_a_file_without_a_login(text: str, tmp_path: Path) -> None:
    path = tmp_path / "gate.login"
    path.write_text(text)
    said = refusal(SourceSettings(uri="rtsp://127.0.0.1:9/stream", login_file=path))
    assert "expected USER:PASSWORD in its first line" in said
    assert "hunter" not in said


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("404 Not Found", "has no such stream; check what follows the host"),
        ("453 Not Enough Bandwidth", "declined with 453"),
        ("503 Service Unavailable", "declined with 503"),
    ],
)
def test_a_camera_that_declines(play: Play, answer: str, said: str) -> None:
    with RtspCamera(play, answer=answer) as camera:
        started_s = time.monotonic()
        assert said in refusal(settings(camera))
        assert time.monotonic() - started_s < 3


def test_a_host_that_is_not_known() -> None:
    said = refusal(SourceSettings(uri="rtsp://guard:hunter2@gate.invalid/stream"))
    assert said.startswith("stream rtsp://gate.invalid: no such host is known")


def test_a_camera_cannot_send_us_to_another_host(play: Play) -> None:
    with (
        RtspCamera(play) as other,
        RtspCamera(play, answer="302 Found", location=other.url) as camera,
    ):
        assert f"sends us on to rtsp://127.0.0.1:{other.port}" in refusal(settings(camera))
        assert (camera.connections, other.connections) == (1, 0)


def test_a_camera_may_send_us_on_where_that_is_allowed(play: Play) -> None:
    with (
        RtspCamera(play) as other,
        RtspCamera(play, answer="302 Found", location=other.url) as camera,
        open_source(settings(camera, allow_redirects=True)) as source,
    ):
        assert next(iter(source)).size_px == (160, 120)
        assert (camera.connections, other.connections) == (1, 1)


def test_a_camera_whose_key_frames_are_far_apart_is_waited_for(
    units: tuple[Unit, ...], parameters: Unit
) -> None:
    begin = threading.Event()
    late = [unit for unit in units if not is_key(unit)]

    def play(_: int) -> Iterator[Unit]:
        yield from itertools.takewhile(lambda _: not begin.is_set(), itertools.cycle(late))
        yield from itertools.cycle(units)

    with RtspCamera(play, parameters=parameters) as camera:
        source = open_source(settings(camera, stall_timeout_s=1.0), is_patient=True)
        assert isinstance(source, LiveSource)
        kinds: list[str] = []

        def look() -> None:
            if source.fault:
                kinds.append(source.fault.kind)
            if kinds[-3:] == ["no-key-frame"] * 3:
                begin.set()

        with source:
            assert next(source.frames(look)).size_px == (160, 120)
        assert source.reopened == 0, "who hangs up begins to wait anew"
    assert "no-key-frame" in kinds


def test_a_camera_that_answers_and_sends_nothing(parameters: Unit) -> None:
    with RtspCamera(lambda _: iter(()), parameters=parameters) as camera:
        assert "answers, but gives no picture" in refusal(settings(camera, stall_timeout_s=1.0))


def test_a_picture_that_stands_still_is_no_living_camera(units: tuple[Unit, ...]) -> None:
    still = encode([next(noise(1))] * FPS)

    def play(connection: int) -> Iterator[Unit]:
        if connection == 1:
            return itertools.chain(units, itertools.cycle(still))
        return itertools.cycle(units)

    with RtspCamera(play) as camera:
        source = open_source(settings(camera, stall_timeout_s=1.0))
        kinds = faults_until(source, lambda seen: seen[-2:] == ["frozen", None])
    assert "frozen" in kinds
    assert kinds[-1] is None, "it was opened again, and lives"


def test_a_stream_that_changes_its_size_goes_on_in_the_new_one(units: tuple[Unit, ...]) -> None:
    larger = encode(noise(2 * FPS, size_px=(320, 240)))

    def play(connection: int) -> Iterator[Unit]:
        before = units if connection == 1 else ()
        return itertools.chain(before, itertools.cycle(larger))

    with (
        RtspCamera(play) as camera,
        open_source(settings(camera, stall_timeout_s=1.0)) as source,
    ):
        sizes = {frame.size_px for frame in itertools.takewhile(_is_small, source)}
        assert sizes == {(160, 120)}
        assert next(iter(source)).size_px == (320, 240)


def _is_small(frame: Frame) -> bool:
    return frame.size_px == (160, 120)


@pytest.mark.skipif(sys.platform != "linux", reason="decoders are heard with OpenCV's own wheels")
def test_damaged_pictures_are_left_out_and_told(units: tuple[Unit, ...]) -> None:
    pictures = encode(noise(4 * FPS, size_px=(640, 480)))

    def play(_: int) -> Iterator[Unit]:
        return itertools.cycle(pictures)

    with RtspCamera(play) as camera, open_source(settings(camera)) as source:
        frames = iter(source)
        next(frames)
        camera.loses = 0.02
        assert isinstance(source, LiveSource)
        kinds = faults_until(source, lambda seen: "damaged" in seen)
    assert kinds[-1] == "damaged"
    assert "came damaged and were left out" in str(source.fault)


def test_what_waited_for_a_busy_device_is_skipped_to_the_newest_key_picture() -> None:
    """And what is decoded keeps the time at which it was taken."""
    scene = encode(noise(6 * FPS, size_px=(640, 480)))
    kinds, ages_s = set[str | None](), list[float]()
    with (
        RtspCamera(lambda _: itertools.cycle(scene)) as camera,
        open_source(settings(camera, stall_timeout_s=20.0)) as source,
    ):
        (decoder,) = decoders()
        os.kill(decoder, signal.SIGSTOP)
        threading.Timer(3.0, os.kill, (decoder, signal.SIGCONT)).start()
        threading.Timer(6.0, source.close).start()
        for frame in source:
            kinds.add(source.fault.kind if source.fault else None)
            ages_s.append(time.time() - frame.captured_utc_s)
        assert source.dropped > FPS
    assert "late" in kinds
    assert max(ages_s[1:]) < 2.5, "what is too old is not handed on"
    assert min(ages_s) < 0.2


def certificate(folder: Path, name: str = "gate.local") -> tuple[Path, Path]:
    """One that a camera signed itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(timezone.utc)
    signed = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(LOOPBACK)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    paths = folder / "camera.crt", folder / "camera.key"
    paths[0].write_bytes(signed.public_bytes(pem))
    paths[1].write_bytes(secret)
    return paths


def test_an_encrypted_camera_is_one_whose_certificate_is_known(play: Play, tmp_path: Path) -> None:
    paths = certificate(tmp_path)
    der = ssl.PEM_cert_to_DER_cert(paths[0].read_text())
    fingerprint = hashlib.sha256(der).hexdigest()
    with RtspCamera(play, certificate=paths, login="guard:hunter2") as camera:
        said = refusal(settings(camera))
        assert "its certificate is not to be trusted" in said
        assert f'source.tls_fingerprint = "{fingerprint}"' in said
        assert not camera.requests, "it has not heard of our login"
        colons = ":".join(re.findall("..", fingerprint.upper()))
        for trust in ({"tls_fingerprint": colons}, {"ca_file": paths[0]}):
            with open_source(settings(camera, **trust)) as source:
                assert next(iter(source)).size_px == (160, 120)
        other = refusal(settings(camera, tls_fingerprint="ab" * 32))
        assert "not the one of source.tls_fingerprint" in other
        nothing = refusal(settings(camera, ca_file=tmp_path / "ca.crt"))
        assert f"source.ca_file {tmp_path}/ca.crt: no such file; give the CA" in nothing


def test_a_camera_that_does_not_speak_tls(play: Play) -> None:
    with RtspCamera(play) as camera:
        said = refusal(SourceSettings(uri=camera.url.replace("rtsp:", "rtsps:")))
    assert "does it speak TLS on this port?" in said
