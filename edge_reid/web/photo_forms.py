"""Forms that carry a photo: how large, how slow, how many at once. They touch no disk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import PurePosixPath, PureWindowsPath

from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from edge_reid.web.page_forms import BadFormError

MOST_PHOTO_BYTES = 10 << 20
MOST_PHOTO_PIXELS = 12_500_000
"""As many as a phone has, 4032 × 3024. Decoded, a JPEG takes 75 MB, the worst PNG 200."""
MOST_PHOTOS_AT_ONCE = 2
"""That are being received; a form beyond them is refused."""
WITHIN_S = 60.0
_MOST_FIELDS = 6
_FRAME_BYTES = 8 << 10
"""Of a form, besides its photo."""
_MOST_NAME = 80


class PhotoForms:
    """Reads forms with a photo; of the event loop."""

    def __init__(self) -> None:
        self._reading = 0

    async def read(self, request: Request) -> dict[str, str]:
        """The fields of a form; `request.state.photo` is the photo then, None if there is none, and
        the field `photo` what its file is called.

        Raises:
            BadFormError: there is none, it is too large or too slow, or too many come at once.
        """
        if self._reading >= MOST_PHOTOS_AT_ONCE:
            raise BadFormError
        self._reading += 1
        try:
            return await asyncio.wait_for(_fields(request), WITHIN_S)
        except (asyncio.TimeoutError, ClientDisconnect, MultiPartException, KeyError) as error:
            raise BadFormError from error
        finally:
            self._reading -= 1


class _MemoryParser(MultiPartParser):
    """Starlette's, which would put more than a megabyte into a file."""

    spool_max_size = MOST_PHOTO_BYTES + _FRAME_BYTES


async def _fields(request: Request) -> dict[str, str]:
    parser = _MemoryParser(
        request.headers, _bounded(request), max_files=1, max_fields=_MOST_FIELDS, max_part_size=4096
    )
    form = await parser.parse()
    fields, request.state.photo = {}, None
    for name, value in form.items():
        if isinstance(value, str):
            fields[name] = value
        elif name == "photo":
            request.state.photo = await value.read() or None
            fields[name] = _base_name(value.filename or "")
    await form.close()
    return fields


async def _bounded(request: Request) -> AsyncGenerator[bytes, None]:
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > MOST_PHOTO_BYTES + _FRAME_BYTES:
            raise BadFormError
        yield part


def _base_name(name: str) -> str:
    r"""The last part of a path, as a name to show.

    >>> _base_name(r"C:\photos\anna.jpg"), _base_name("../../etc/passwd")
    ('anna.jpg', 'passwd')
    """
    base = PureWindowsPath(PurePosixPath(name).name).name
    return "".join(letter for letter in base if letter.isprintable())[:_MOST_NAME] or "upload"
