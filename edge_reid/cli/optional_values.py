"""Options whose value may be left out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from typer.core import TyperCommand

WITHOUT_VALUE = {"--web": "127.0.0.1:8480"}
"""What an option stands for that nothing follows."""


class OptionalValues(TyperCommand):
    """A verb that knows them; typer has no such options."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the words, with the values that were left out."""
        return super().parse_args(ctx, filled(args))


def filled(words: Sequence[str]) -> list[str]:
    """The words of a command line, with the values that were left out.

    >>> filled(["--web", "--quiet"])
    ['--web', '127.0.0.1:8480', '--quiet']
    >>> filled(["--web", "127.0.0.1:80"])
    ['--web', '127.0.0.1:80']
    """
    after = [*words, "--"][1:]
    whole: list[str] = []
    for word, following in zip(words, after, strict=True):
        whole.append(word)
        if word in WITHOUT_VALUE and following.startswith("-"):
            whole.append(WITHOUT_VALUE[word])
    return whole
