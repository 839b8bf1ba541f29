"""Where frames come from."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from edge_reid.core.config.section import Seconds, Section
from edge_reid.core.stream_url import has_login

_MOST_DIGITS = 9
"""Of the index of a camera; one that is no `int` of C makes the decoder crash."""


def _fingerprint(text: str) -> str:
    """64 lower-case digits, from those or from what `openssl x509 -fingerprint -sha256` prints."""
    digits = text.lower().removeprefix("sha256:").replace(":", "")
    if not re.fullmatch(r"[0-9a-f]{64}", digits):
        raise ValueError("should be the 64 hexadecimal digits of a SHA-256")
    return digits


def _camera_or_path(uri: str) -> str:
    """Any text, and of the numbers those that a camera can have."""
    if uri.isdecimal() and len(uri) > _MOST_DIGITS:
        raise ValueError("should be the index of a camera, such as 0, or a file or a URL")
    return uri


def _is_stream(uri: str) -> bool:
    """Whether it is the address of a stream on the network."""
    return uri.lower().startswith(("rtsp://", "rtsps://", "http://", "https://"))


class SourceSettings(Section):
    """The camera, stream or file that frames come from."""

    uri: Annotated[str, Field(min_length=1), AfterValidator(_camera_or_path)]
    """A video file, a folder of images, a camera index such as `0`, a URL such as
    `rtsp://camera.local/stream`, `picamera://0` for a Raspberry Pi's own camera, or a GStreamer
    pipeline that ends in `appsink`, where this OpenCV has GStreamer. In a password write `#` as
    `%23`, `/` as `%2F`, `?` as `%3F`, `@` as `%40`, `:` as `%3A` and `%` as `%25`."""
    detect_uri: Annotated[str, Field(min_length=1)] | None = None
    """A smaller stream of the same camera, its substream. If set, people are detected in it, and
    the large stream of `uri` is read only while somebody is in view: their crops are cut from it.
    Login, transport and certificates are those of `uri`."""
    crop_linger_s: Seconds = 10.0
    """With `detect_uri`: the large stream is closed when nobody has been in view for this long."""
    start_time: datetime | None = None
    """Wall-clock time of the first frame of a file, UTC if it names no zone. Default: 1970-01-01,
    so that two runs give the same events."""
    image_rate_hz: Annotated[float, Field(gt=0, le=120)] = 5.0
    """Images a second of a folder of images: they hold no times."""
    stall_timeout_s: Seconds = 10.0
    """A live source without a new picture for this long is closed and opened again."""
    login_file: Path | None = None
    """File whose first line is `USER:PASSWORD` of the camera, unquoted. It is read at every
    opening, so that a new password needs no restart. Default: the login in `uri`, if it has one."""
    rtsp_transport: Literal["tcp", "udp"] = "tcp"
    """`udp` only for cameras that cannot send over TCP: packets get lost, and firewalls drop
    them."""
    ca_file: Path | None = None
    """Certificate authority of an `rtsps://` or `https://` camera. Default: the system's."""
    tls_fingerprint: Annotated[str, AfterValidator(_fingerprint)] | None = None
    """SHA-256 of the camera's certificate. If set, the certificate must have it, and no authority
    is asked."""
    allow_redirects: bool = False
    """Follow redirects to other hosts, and playlists. The camera's certificate is then not
    verified."""

    def _mistakes(self) -> Iterator[str]:
        uris = [self.uri, *([self.detect_uri] if self.detect_uri else [])]
        if self.detect_uri and not all(map(_is_stream, uris)):
            yield "detect_uri: should be set only as a URL, where uri is a URL too"
        elif self.detect_uri == self.uri:
            yield "detect_uri: should be another stream than uri"
        is_tls = all(uri.lower().startswith(("rtsps://", "https://")) for uri in uris)
        if (self.ca_file or self.tls_fingerprint) and not is_tls:
            yield "ca_file, tls_fingerprint: should be set only with rtsps:// or https://"
        if (self.ca_file or self.tls_fingerprint) and self.allow_redirects:
            yield "allow_redirects: should not be set with ca_file or tls_fingerprint"
        if self.login_file and ("://" not in self.uri or any(map(has_login, uris))):
            yield "login_file: should be set only with a URL that holds no login"

    @property
    def detect_stream(self) -> SourceSettings:
        """The small stream as a source of its own; the only one, where there is one."""
        only = {"uri": self.detect_uri or self.uri, "detect_uri": None}
        return self.model_copy(update=only)

    @property
    def crop_stream(self) -> SourceSettings:
        """The large stream as a source of its own."""
        return self.model_copy(update={"detect_uri": None})

    @property
    def start_utc_s(self) -> float:
        """`start_time` in Unix seconds; a time without a zone is UTC."""
        if self.start_time is None:
            return 0.0
        has_zone = self.start_time.tzinfo is not None
        return (
            self.start_time if has_zone else self.start_time.replace(tzinfo=timezone.utc)
        ).timestamp()
