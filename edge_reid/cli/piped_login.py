"""Files of a broker's login that come through pipes: `--password-file <(get-it)`.

A pipe gives its text once, and a run reads these files for each connection that it makes, and again
when it begins anew with another model. So what came is kept in memory, and takes the place of the
pipe; on no disk, as it is secret.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from edge_reid.cli.piped_config import MOST_BYTES, drained, is_named_pipe, read_once_descriptor
from edge_reid.core.config.broker_settings import MqttSettings
from edge_reid.core.errors import ConfigError

_FILES = ("password_file", "ca_file", "cert_file", "key_file")


def keep_piped_login(settings: MqttSettings) -> None:
    """Have every file of the login that comes through a pipe given as often as it is read, also to
    what this process becomes.

    Raises:
        ConfigError: one is a named pipe, cannot be read or is too large, or this system keeps
            nothing in memory that is read like a file; all mistakes at once.
    """
    mistakes = [
        f"{key}: {mistake}"
        for key in _FILES
        if (path := getattr(settings, key)) and (mistake := _keep(path))
    ]
    if mistakes:
        raise ConfigError("mqtt", mistakes)


def _keep(path: Path) -> str | None:
    """What is wrong with a file that comes through a pipe; None: it is kept now, or is no such."""
    if is_named_pipe(path):
        return f"expected a file, as it is read again, got a named pipe, {path}; write it into one"
    descriptor = read_once_descriptor(path)
    if descriptor is None:
        return None
    if sys.platform != "linux":
        return f"expected a file, as it is read again, got a pipe, {path}; write it into one"
    try:
        body = drained(descriptor)
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    if len(body) > MOST_BYTES:
        return f"expected at most {MOST_BYTES} bytes through a pipe, got more; write it into a file"
    kept = os.memfd_create("login")
    os.write(kept, body)
    os.dup2(kept, descriptor)
    os.close(kept)
    return None
