"""Answers that go on until somebody leaves, of which few may be open."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.types import Receive, Scope, Send

from edge_reid.web.connection_limits import MOST_STREAMS


@dataclass(slots=True)
class OpenStreams:
    """How many are open; of the event loop."""

    count: int = 0


class StreamAnswer(StreamingResponse):
    """A stream, or a refusal while too many are open.

    Args:
        parts: what is sent, as it comes.
        media_type: of all parts.
        streams: those that are open.
    """

    def __init__(self, parts: AsyncIterator[bytes], media_type: str, streams: OpenStreams) -> None:
        super().__init__(parts, media_type=media_type)
        self._streams = streams

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._streams.count >= MOST_STREAMS:
            words = "too many look at once; close a page, or try again later"
            refusal = PlainTextResponse(words, 503, {"retry-after": "5"})
            await refusal(scope, receive, send)
            return
        self._streams.count += 1
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._streams.count -= 1
