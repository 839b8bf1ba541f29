"""The same command once more, in the place of this process."""

from __future__ import annotations

import os
import sys
from typing import NoReturn


def start_anew() -> NoReturn:
    """Run what was typed from its beginning. Under systemd it is the same service with the same
    process id, so that an upgrade on trial is not taken for one that does not stay up.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, sys.orig_argv)  # noqa: S606 - our own words, and no shell
