"""The reference page of `site.toml`: `make reference` writes SITE.md with this module."""

from __future__ import annotations

import sys

from deploy.site.site import Site
from edge_reid.core.config_reference import settings_tables

_INTRO = """\
# A site

The TOML file of `edge-reid bundle`, `flash` and `release publish`: the devices of a site.
[deploy/README.md](../README.md#a-site) has an example. Unknown keys are errors, and all mistakes
are reported at once. Relative paths are relative to the file. `[agent]` and the table of a camera
take every section of [agent.toml](../../edge_reid/core/CONFIG.md).

Written from `site.py` by `make reference`: edit the strings there, not this page.
"""


def site_page() -> str:
    """The page of `site.toml`, in Markdown."""
    return _INTRO + settings_tables(Site)


if __name__ == "__main__":
    sys.stdout.write(site_page())
