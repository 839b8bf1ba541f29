"""Forms that browsers send to the page."""

from __future__ import annotations

import asyncio
from urllib.parse import parse_qs

from starlette.requests import ClientDisconnect, Request

MOST_BYTES = 4096
MOST_FIELDS = 24
WITHIN_S = 5.0


class BadFormError(Exception):
    """What came is no form, too long, or too slow."""


async def form_of(request: Request) -> dict[str, str]:
    """The fields of a form, the first value of each.

    Raises:
        BadFormError: there is none.
    """
    try:
        body = await asyncio.wait_for(_body(request), WITHIN_S)
        fields = parse_qs(body.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except (asyncio.TimeoutError, ClientDisconnect, ValueError) as error:
        raise BadFormError from error
    return {name: values[0] for name, values in fields.items()}


async def _body(request: Request) -> bytes:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MOST_BYTES:
            raise BadFormError
    return body
