"""What a network camera answers, told from the bytes as they come: RTSP, and HTTP."""

from __future__ import annotations

import re

from edge_reid.core.camera_fault import CameraFault, FaultKind
from edge_reid.core.stream_url import HOW_TO_QUOTE, place

_HEAD_BYTES = 1 << 16
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_STATUS = re.compile(rb"(?:RTSP|HTTP)/\d\.\d +(\d{3})(?: [^\n]*)?")
_REQUEST = re.compile(rb"[A-Z_]+ [^\n]* RTSP/\d\.\d")
_BLOCK = b"$"
"""Begins a block of media between the answers of RTSP (RFC 2326, 10.12)."""
_BLOCK_HEAD_BYTES = 4
_VIDEO = re.compile(
    rb"\s*--|\xff\xd8|G|FLV|.{4}(?:ftyp|styp|moov)|\x1aE\xdf\xa3|\0\0\0?\x01|0&\xb2u", re.DOTALL
)
"""How pictures begin on the web: multipart, JPEG, MPEG-TS, FLV, MP4, Matroska, H.264, ASF. A
playlist begins otherwise, and would lead to other hosts."""
_SNIFF_BYTES = 16
_CHUNK = re.compile(rb"[0-9A-Fa-f]{1,16}[^\n]*\n")
_OK = range(200, 300)
_ELSEWHERE = range(300, 400)
_LOGIN, _NOT_FOUND, _NO_TRANSPORT = 401, 404, 461


class Replies:
    """Reads along with what a camera sends on one connection.

    Args:
        camera: what to call it, without a login.
        has_login: whether we were given a login for it.
    """

    def __init__(self, camera: str, *, has_login: bool) -> None:
        self.fault: CameraFault | None = None
        """Set by `feed`: what it got last must not be passed on."""
        self.is_playing = False
        """Whether media has come."""
        self.is_challenged = False
        """Whether it wants the login now, which the decoder is about to send."""
        self._camera = camera
        self._has_login = has_login
        self._showed_login = False
        self._waiting = b""
        self._is_chunked = False
        self._is_body = False
        self._pass_over_bytes = 0

    def asked(self, request: bytes) -> None:
        """What the decoder has sent to the camera."""
        self._showed_login |= b"\nAuthorization:" in request

    def feed(self, piece: bytes) -> None:
        """What the camera has sent."""
        self._waiting += piece
        while self._waiting and self.fault is None and self._read_one():
            pass

    def _read_one(self) -> bool:
        """Take one thing off what waits; False when more of it has to come first."""
        if self._is_body:
            return self._read_body()
        if self._pass_over_bytes:
            passed = min(self._pass_over_bytes, len(self._waiting))
            self._waiting = self._waiting[passed:]
            self._pass_over_bytes -= passed
            return True
        if self._waiting.startswith(_BLOCK):
            return self._read_block()
        return self._read_head()

    def _read_block(self) -> bool:
        if len(self._waiting) < _BLOCK_HEAD_BYTES:
            return False
        self.is_playing = True
        self._pass_over_bytes = _BLOCK_HEAD_BYTES + int.from_bytes(self._waiting[2:4], "big")
        return True

    def _read_head(self) -> bool:
        end = _HEAD_END.search(self._waiting)
        if end is None:
            if len(self._waiting) > _HEAD_BYTES:
                self._complain("declined", "gave no answer that could be understood")
            return False
        head, self._waiting = self._waiting[: end.start()], self._waiting[end.end() :]
        status = _STATUS.match(head)
        if not (status or _REQUEST.match(head)) or b"\n$" in head:
            self._complain("declined", "gave no answer that could be understood")
            return False
        lengths = re.findall(rb"\ncontent-length: *(\d{1,18})", head, re.IGNORECASE)
        self._pass_over_bytes = int(lengths[-1]) if lengths else 0
        if status:
            self._judge(int(status[1]), head)
        if head.startswith(b"HTTP/") and self.fault is None and status and int(status[1]) in _OK:
            self._is_body = True
            self._is_chunked = b"\ntransfer-encoding: chunked" in head.lower()
        return True

    def _read_body(self) -> bool:
        if not self.is_playing:
            if len(self._waiting) < _SNIFF_BYTES:
                return False
            start = _CHUNK.match(self._waiting) if self._is_chunked else None
            if not _VIDEO.match(self._waiting[start.end() if start else 0 :]):
                self._complain(
                    "declined",
                    "expected video, this is something else, such as a playlist; give the address"
                    " of the stream itself, or set source.allow_redirects",
                )
                return False
            self.is_playing = True
        self._waiting = b""
        return False

    def _judge(self, status: int, head: bytes) -> None:
        if status in _ELSEWHERE:
            found = re.search(rb"\nlocation: *([^\r\n]*)", head, re.IGNORECASE)
            target = place(found[1].decode(errors="replace")) if found else "another address"
            self._complain(
                "elsewhere",
                f"sends us on to {target}, where we do not follow; give the address that is meant,"
                " or set source.allow_redirects",
            )
        elif self.is_playing or status in _OK:
            return  # many a camera refuses what only keeps the connection open
        elif status == _LOGIN:
            self._judge_login(head)
        elif status == _NOT_FOUND:
            self._complain("not-found", "has no such stream; check what follows the host")
        elif status == _NO_TRANSPORT:
            self._complain(
                "declined", "does not send that way; try the other source.rtsp_transport"
            )
        elif status >= 400:  # noqa: PLR2004 - HTTP's and RTSP's first error
            self._complain("declined", f"declined with {status}; is it busy, or for others only?")

    def _judge_login(self, head: bytes) -> None:
        self.is_challenged = True
        if not self._has_login:
            self._complain("login", "asks for a login; put it in front of the host: USER:PASSWORD@")
        elif self._showed_login and not re.search(rb"stale *= *\"?true", head, re.IGNORECASE):
            self._complain(
                "login",
                f"does not take this login; check user and password ({HOW_TO_QUOTE})",
            )

    def _complain(self, kind: FaultKind, what: str) -> None:
        self.fault = CameraFault(kind, f"{self._camera}: {what}")
