"""Where the installer puts things on a device, for all programs of ours that read them there.

Paths are below the `/` of the device. The installer stands alone and cannot import this: its own
`deploy/install/device_paths.py` and `journal.py` say the same, and a test holds them together.
"""

from __future__ import annotations

HOME = "opt/edge-reid"
CURRENT = f"{HOME}/current"
"""A link to the release that runs."""
CONFIG = "etc/edge-reid"
"""One TOML file a camera."""
SECRETS = f"{CONFIG}/secrets"
NAME_FILE = f"{CONFIG}/box"
"""What the site calls the device. Devices in the field have it under this name."""
STATE = "var/lib/edge-reid"
DOWNLOADS = "var/lib/edge-reid-update"
"""What a device has fetched of a release."""
REFUSED_FILE = f"{HOME}/refused.json"
"""Releases that were taken back: `{version: {"reason": …, "cuts": …}}`."""
MOST_CUTS = 2
"""A version that was cut off so often, while it was installed, is not tried again."""
