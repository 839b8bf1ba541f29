"""What a camera answers, byte by byte or all at once, and what of it is passed on."""

from __future__ import annotations

import pytest

from edge_reid.capture.camera_replies import Replies

RTSP_OK = b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nContent-Length: 5\r\n\r\nv=0\r\n"
MEDIA = b"$\x00\x00\x04abcd"
UNAUTHORISED = b"RTSP/1.0 401 Unauthorized\r\nWWW-Authenticate: Digest nonce=1\r\n\r\n"
MOVED = b"%s 302 Found\r\nLocation: rtsp://me:pw@10.0.0.9:554/x\r\n\r\n"
HTTP_OK = b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace\r\n\r\n"


def read(*pieces: bytes, has_login: bool = False, piece_bytes: int = 10_000) -> Replies:
    replies = Replies("stream rtsp://gate", has_login=has_login)
    for piece in pieces:
        for start in range(0, len(piece), piece_bytes):
            replies.feed(piece[start : start + piece_bytes])
    return replies


def kind(replies: Replies) -> str | None:
    return replies.fault.kind if replies.fault else None


@pytest.mark.parametrize("piece_bytes", [1, 7, 10_000])
def test_media_between_answers_is_told_from_them(piece_bytes: int) -> None:
    replies = read(RTSP_OK + RTSP_OK, piece_bytes=piece_bytes)
    assert not replies.is_playing
    replies = read(RTSP_OK + RTSP_OK + MEDIA + RTSP_OK + MEDIA, piece_bytes=piece_bytes)
    assert replies.is_playing
    assert kind(replies) is None


@pytest.mark.parametrize("before", [b"", RTSP_OK, RTSP_OK + MEDIA])
@pytest.mark.parametrize("piece_bytes", [1, 10_000])
def test_whoever_sends_us_elsewhere_is_not_followed(before: bytes, piece_bytes: int) -> None:
    replies = read(before + MOVED % b"RTSP/1.0", piece_bytes=piece_bytes)
    assert kind(replies) == "elsewhere"
    assert "rtsp://10.0.0.9:554" in str(replies.fault)
    assert "pw" not in str(replies.fault)


def test_nor_on_the_web() -> None:
    assert kind(read(MOVED % b"HTTP/1.1")) == "elsewhere"


@pytest.mark.parametrize(
    "body",
    [
        b"#EXTM3U\n#EXT-X-STREAM-INF\nhttp://10.0.0.9/x",
        b"<?xml version='1.0'?><MPD>......",
        b"ffconcat version 1.0\nfile x",
        b"v=0\r\no=- 0 0 IN IP4 10.0.0.9\r\n",
        b"[playlist]\nFile1=http://10.0.0.9",
    ],
)
def test_a_playlist_is_no_stream(body: bytes) -> None:
    assert kind(read(HTTP_OK + body)) == "declined"


@pytest.mark.parametrize(
    "body",
    [b"--next\r\nContent-Type: image/jpeg", b"\r\n--next\r\nContent-Type", b"FLV\x01" + bytes(20)],
)
def test_pictures_on_the_web_are(body: bytes) -> None:
    replies = read(HTTP_OK + body)
    assert (kind(replies), replies.is_playing) == (None, True)


def test_a_login_is_asked_for_first_and_refused_only_when_it_was_shown() -> None:
    assert kind(read(UNAUTHORISED, has_login=False)) == "login"
    replies = read(UNAUTHORISED, has_login=True)
    assert (kind(replies), replies.is_challenged) == (None, True)
    replies.asked(b"DESCRIBE x RTSP/1.0\r\nAuthorization: Digest x\r\n\r\n")
    replies.feed(UNAUTHORISED)
    assert kind(replies) == "login"


def test_a_nonce_that_is_stale_is_no_wrong_login() -> None:
    replies = read(has_login=True)
    replies.asked(b"DESCRIBE x RTSP/1.0\r\nAuthorization: Digest x\r\n\r\n")
    replies.feed(UNAUTHORISED.replace(b"nonce=1", b"nonce=2, stale=TRUE"))
    assert kind(replies) is None


def test_a_refusal_while_it_plays_matters_to_nobody() -> None:
    assert kind(read(RTSP_OK + MEDIA + b"RTSP/1.0 501 Not Implemented\r\n\r\n")) is None


@pytest.mark.parametrize("junk", [b"SSH-2.0-OpenSSH\r\n\r\n", bytes(100_000), b"x" * 100_000])
def test_what_cannot_be_understood_is_passed_on_to_nobody(junk: bytes) -> None:
    assert kind(read(junk)) == "declined"


def test_a_block_hidden_in_an_answer_is_no_answer() -> None:
    """FFmpeg takes a line that begins so for media: nothing is read in two ways."""
    assert kind(read(b"RTSP/1.0 200 OK\r\n$\x00\x00\x04\r\n\r\n")) == "declined"
