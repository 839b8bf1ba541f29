"""Text from outside, made safe to show.

Names of hosts and identities and reasons of errors come from anybody who may write to a topic or a
file. Control characters in them could move the cursor of a terminal, hide text, or fake lines in a
log. All text that is shown to people goes through here.
"""

from __future__ import annotations

import logging
import re

SHOWN_MAX = 500
"""Characters of one text in a table or a line."""
LOGGED_MAX = 4000
"""Characters of one line of a log."""
TYPED_MAX = 60
"""Characters of a word of a command line, in a message."""

_BENT_IN_JSON = re.compile("[\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]")


def shown(text: str, most: int = SHOWN_MAX) -> str:
    r"""Replace characters that do not print by their escapes, such as `\x1b` or `\n`.

    Letters of every script stay. A text of more than `most` characters is cut, and ends in `…`.
    """
    if len(text) > most:
        text = f"{text[: most - 1]}…"
    return text if text.isprintable() else "".join(map(_visible, text))


def shown_json(line: str) -> str:
    """A line of JSON with the same meaning that is safe to show.

    JSON itself escapes control characters below U+0020 only; this escapes the others, and those
    that change the direction of text.
    """
    return _BENT_IN_JSON.sub(lambda match: f"\\u{ord(match[0]):04x}", line)


class ShownFormatter(logging.Formatter):
    """Formats log records; no text in one can begin a new line."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's own name
        return shown(super().formatMessage(record), LOGGED_MAX)

    def formatException(self, ei: object) -> str:  # noqa: N802 - logging's own name
        lines = super().formatException(ei).splitlines()  # type: ignore[arg-type]
        return "\n".join(shown(line, LOGGED_MAX) for line in lines)


def _visible(character: str) -> str:
    if character.isprintable():
        return character
    return character.encode("unicode_escape").decode()
