"""What of a text from elsewhere may be shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_reid.core.redact import may_hold_secret, redact, redact_within

MISTYPED = [
    "rtsp://me:s3cret@gate/1",
    "rtsp:/me:s3cret@gate/1",
    "rtsp//me:s3cret@gate/1",
    "rtsp:me:s3cret@gate/1",
    "rtps://me:s3cret@gate/1",
    "me:s3cret@gate/1",
    "me:s3@cret@gate",
    "rtsp:/me:s3/cret@gate/1",
    "rtsp:///me:s3cret@gate",
    "//me:s3cret@gate/1",
    "postgres2://me:s3cret@db/hits",
    "gate/video?user=me&password=s3cret",
    "http:/gate/user=me&pwd=s3cret",
    " rtsp://me:s3cret@gate/1",
    "rtsp://me:s3cret",
    "rtsp:///me:s3cret@gate:///",
    "rtsp:/me:s3cret00://@gate/1",
    "me:s3cret://@gate",
    "me:s3cret:///@gate",
]


@pytest.mark.parametrize("text", MISTYPED)
def test_a_login_in_a_mistyped_address_is_not_shown(text: str) -> None:
    shown = redact(text)
    assert "s3" not in shown
    assert "cret" not in shown


@pytest.mark.parametrize("text", [text for text in MISTYPED if "://" in text])
def test_nor_is_it_where_an_address_stands_in_a_text(text: str) -> None:
    assert "cret" not in redact_within(f"no route to {text}, gave up")


@pytest.mark.parametrize(
    "text",
    [
        "clips/gate.mp4",
        "/var/lib/edge-reid/clip 1.mp4",
        "rtsp://gate:554/Streaming/Channels/101?profile=main",
        "sqlite:///hits.db",
        "hits.jsonl",
        "C3P0",
    ],
)
def test_what_holds_none_is_shown_whole(text: str) -> None:
    assert redact(text) == text


@given(
    password=st.text(min_size=5).map(lambda text: "s3cret" + text),
    scheme=st.sampled_from(["rtsp://", "rtsp:/", "rtsp//", "rtps://", "", "mqtt://", "x"]),
    path=st.sampled_from(["", "/1", "/a/b?c=d", "#x"]),
)
def test_no_password_is_shown_wherever_it_stands(password: str, scheme: str, path: str) -> None:
    assert "s3cret" not in redact(f"{scheme}me:{password}@gate{path}")


def test_what_is_shown_is_one_short_line() -> None:
    assert redact("a\nb\x1b[2Jc") == "a…b…[2Jc"
    assert len(redact("x" * 10_000)) == 200


@pytest.mark.parametrize("key", ["mqtt.password_file", "source.tls_key", "mqtt.username"])
def test_some_names_are_those_of_secrets(key: str) -> None:
    assert may_hold_secret(key)
    assert not may_hold_secret("detect.rate_hz")
