"""Text that others wrote, made safe to show.

A host's name, a reason, an identity come from whoever may write on a topic, a label or a file. On a
terminal they could move the cursor, recolour or hide what stands there, or turn lines into others;
in a log they could feign lines. Everything that is shown to people goes through here.
"""

from __future__ import annotations

import logging
import re

SHOWN_MAX = 500
"""Characters of one text in a table or a line."""
LOGGED_MAX = 4000
"""Characters of one line of a log."""

_BENT_IN_JSON = re.compile("[\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]")


def shown(text: str, most: int = SHOWN_MAX) -> str:
    r"""A text with nothing in it but what can be seen: `\x1b` is four letters, as is `\n`.

    Letters of every script stay as they are; what is longer than `most` ends in `…`.
    """
    if len(text) > most:
        text = f"{text[: most - 1]}…"
    return text if text.isprintable() else "".join(map(_visible, text))


def shown_json(line: str) -> str:
    """A line of JSON that means the same and is safe to show: JSON itself escapes the oldest
    control characters only.
    """
    return _BENT_IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", line)


class ShownFormatter(logging.Formatter):
    """Log lines of which only we make the ends."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's own name
        return shown(super().formatMessage(record), LOGGED_MAX)

    def formatException(self, ei: object) -> str:  # noqa: N802 - logging's own name
        lines = super().formatException(ei).splitlines()  # type: ignore[arg-type]
        return "\n".join(shown(line, LOGGED_MAX) for line in lines)


def _visible(character: str) -> str:
    if character.isprintable():
        return character
    return character.encode("unicode_escape").decode()
