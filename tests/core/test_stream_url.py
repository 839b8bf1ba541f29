"""What of a camera's address may be said to anybody."""

from __future__ import annotations

import pytest

from edge_reid.core.stream_url import has_login, place

WITH_LOGIN = {
    "rtsp://me:s3cret@gate:554/stream": "rtsp://gate:554",
    "rtsp://me@gate/stream": "rtsp://gate",
    "rtsp://me:s3@cret@gate/stream": "rtsp://gate",
    "rtsp://me:s3cret@[fd00::7]:554/1": "rtsp://[fd00::7]:554",
    "http://gate/video?channel=1&password=s3cret": "http://gate",
    "http://gate/cgi-bin/mjpg?usr=me&pwd=s3cret": "http://gate",
    "http://gate/ISAPI/picture?auth=bWU6czNjcmV0": "http://gate",
    "rtsp://10.0.0.5:554/user=me&password=s3cret&channel=1.sdp": "rtsp://10.0.0.5:554",
    "rtsp://10.0.0.5:554/user=me&password=s3@cret&channel=1.sdp": "rtsp://…",
    "rtsp://me:s3/cret@10.0.0.5/1": "rtsp://…",
    "rtsp://me:53/cret@10.0.0.5/1": "rtsp://…",
    "rtsp://me:s3?cret@10.0.0.5/1": "rtsp://…",
    "rtsp://me:s3#cret@10.0.0.5/1": "rtsp://…",
    "rtspsrc location=rtsp://me:s3cret@gate ! decodebin": "rtsp://…",
}


@pytest.mark.parametrize("url", WITH_LOGIN)
def test_a_login_is_seen_wherever_it_stands(url: str) -> None:
    assert has_login(url)


@pytest.mark.parametrize(
    "url",
    [
        "0",
        "/dev/video0",
        "clips/me@home.mp4",
        "rtsp://gate/stream",
        "rtsp://gate:554/Streaming/Channels/101?profile=main",
        "http://gate/passage/video?compass=1",
    ],
)
def test_there_is_none(url: str) -> None:
    assert not has_login(url)


@pytest.mark.parametrize(("url", "said"), WITH_LOGIN.items())
def test_only_what_can_hold_no_login_is_said(url: str, said: str) -> None:
    assert place(url) == said
    assert "s3" not in said
    assert "cret" not in said


def test_a_camera_is_found_by_what_is_said() -> None:
    assert place("RTSP://Gate-1.lan:8554/stream?profile=main") == "RTSP://Gate-1.lan:8554"
