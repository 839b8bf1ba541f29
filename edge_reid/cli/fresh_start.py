"""The same command once more, in the place of this process."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from edge_reid.cli.piped_config import PipedConfig
from edge_reid.core.errors import ModelChangeError


def start_anew(config: PipedConfig | None) -> NoReturn:
    """Run what was typed from its beginning. Under systemd it is the same service with the same
    process id, so that an upgrade on trial is not taken for one that does not stay up.

    Args:
        config: comes through a pipe; None: it can be read again as it is.

    Raises:
        ModelChangeError: the interpreter is not there any more.
    """
    if config:
        config.refill()
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        os.execv(sys.executable, sys.orig_argv)  # noqa: S606 - our own words, and no shell
    except OSError as error:
        raise ModelChangeError(
            f"{sys.executable}: expected to begin anew with it, {error.strerror}; "
            "start edge-reid run again"
        ) from error
