"""Text files that people write with editors of any system."""

from __future__ import annotations

import codecs
from pathlib import Path

_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_text_file(path: Path) -> str:
    """The text of a file in UTF-8, or in UTF-16 if it begins with a byte order mark.

    Raises:
        OSError: the file cannot be read.
        UnicodeDecodeError: the file is no text.
    """
    body = path.read_bytes()
    return body.decode("utf-16" if body.startswith(_UTF_16) else "utf-8-sig")
