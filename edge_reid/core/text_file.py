"""Text that a person wrote, in an editor of whatever system."""

from __future__ import annotations

import codecs
from pathlib import Path

_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_text_file(path: Path) -> str:
    """A file's text: UTF-8, or what the byte order mark says that editors on Windows put before it.

    Raises:
        OSError: it cannot be read.
        UnicodeDecodeError: it is no text.
    """
    body = path.read_bytes()
    return body.decode("utf-16" if body.startswith(_UTF_16) else "utf-8-sig")
