"""The same command once more, in the place of this process."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from edge_reid.cli.piped_config import PipedConfig
from edge_reid.core.errors import ModelChangeError


class FreshStart:
    """A way back to the beginning of what was typed; made before anything else is opened.

    Libraries open files so that they outlive the process, such as LiteRT those of models: a device
    whose gallery changes its model often would run out of descriptors. So only those go on that the
    process was given itself, such as that of `--events >(program)`.

    Args:
        config: comes through a pipe; None: it can be read again as it is.
    """

    def __init__(self, config: PipedConfig | None) -> None:
        self._config = config
        self._given = _inheritable()

    def begin(self) -> NoReturn:
        """Run what was typed from its beginning. Under systemd it is the same service with the same
        process id, so that an upgrade on trial is not taken for one that does not stay up.

        Raises:
            ModelChangeError: the interpreter is not there any more.
        """
        if self._config:
            self._config.refill()
        for descriptor in _inheritable() - self._given:
            with suppress(OSError):  # a thread that is not done yet has closed it
                os.set_inheritable(descriptor, False)
        sys.stdout.flush()
        sys.stderr.flush()
        try:
            os.execv(sys.executable, sys.orig_argv)  # noqa: S606 - our own words, and no shell
        except OSError as error:
            raise ModelChangeError(
                f"{sys.executable}: expected to begin anew with it, {error.strerror}; "
                "start edge-reid run again"
            ) from error


def _inheritable() -> frozenset[int]:
    """The open descriptors that a program in the place of this one would have, too."""
    opened = (int(file.name) for file in Path("/dev/fd").iterdir())
    return frozenset(filter(_is_inheritable, opened))


def _is_inheritable(descriptor: int) -> bool:
    with suppress(OSError):  # as that of the listing itself
        return os.get_inheritable(descriptor)
    return False
