"""What an installation can end with, in one line."""

from __future__ import annotations


class InstallError(Exception):
    """What was expected, what came, and what to do. The device is as it was, unless it says so."""
