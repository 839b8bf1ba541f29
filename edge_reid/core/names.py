"""What sites, cameras and agents may be called. Nothing but the standard library is needed here."""

from __future__ import annotations

NAME_PATTERN = r"^[a-z0-9_-]{1,64}$"
"""What a site, a camera or an agent may be called: it becomes a topic level."""

RESERVED_LEVELS = frozenset({"agents", "gallery", "identities", "release"})
"""Topic levels that stand beside the cameras' in a site: no camera may be called so, or what is
said there would pass for a camera's."""
