"""Where everything is published: the topics of the wire contract, version 1."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from dataclasses import dataclass

from edge_reid.core.config import NAME_PATTERN

EVENT_LEVELS = ("hit", "unknown")
"""Last levels of what cameras tell of people."""
CAMERA_LEVELS = (*EVENT_LEVELS, "status")
"""Last levels of all that cameras tell, one below the site: `+/hit` is of every camera."""

_SLUG_LENGTH = 48
_HASH_LENGTH = 8


@dataclass(frozen=True, slots=True)
class Address:
    """An agent's place in the topic tree."""

    root: str
    site: str
    agent: str

    def hits(self, camera: str) -> str:
        return f"{self.root}/{self.site}/{camera}/hit"

    def unknowns(self, camera: str) -> str:
        return f"{self.root}/{self.site}/{camera}/unknown"

    def camera_status(self, camera: str) -> str:
        return f"{self.root}/{self.site}/{camera}/status"

    def identity(self, identity: str) -> str:
        return f"{self.root}/{self.site}/identities/{topic_level(identity)}"

    @property
    def agent_status(self) -> str:
        return f"{self.root}/{self.site}/agents/{self.agent}/status"

    @property
    def agent_duplicate(self) -> str:
        """Where one that stands aside for another agent of this name says so."""
        return f"{self.root}/{self.site}/agents/{self.agent}/duplicate"

    @property
    def agent_stored(self) -> str:
        """Where sinks name the events of this agent that they have committed."""
        return f"{self.root}/{self.site}/agents/{self.agent}/stored"

    @property
    def agent_command(self) -> str:
        """Where this agent is told what to do, if it lets itself be told."""
        return f"{self.root}/{self.site}/agents/{self.agent}/command"

    @property
    def agent_result(self) -> str:
        """Where it answers."""
        return f"{self.root}/{self.site}/agents/{self.agent}/result"

    @property
    def agent_update(self) -> str:
        """Where the device of this agent tells what it runs, and how an update goes."""
        return f"{self.root}/{self.site}/agents/{self.agent}/update"

    @property
    def client_id(self) -> str:
        """MQTT client id. No name holds a slash, so no two agents share one."""
        return f"{self.root}/{self.site}/{self.agent}"


def gallery_topic(root: str, site: str) -> str:
    """Under it lie the head of a site's gallery and its blobs."""
    return f"{root}/{site}/gallery"


def release_topic(root: str, site: str) -> str:
    """Where the head of the release lies that a site's devices are to run."""
    return f"{root}/{site}/release/head"


def topic_level(identity: str) -> str:
    """An identity's name in the letters of a topic, so that no two names meet.

    A name of `a-z 0-9 _ -` stays as it is, but for those that end a camera's topics: `hit` under
    `identities` would be heard by all who follow `+/hit`. Any other loses its accents, becomes
    lower case, has `-` for what else there is, and gets the first 8 hex digits of the SHA-256 of
    the name in UTF-8: `Ana María` → `ana-maria-8358ed27`. The payload holds the name itself.
    """
    if re.fullmatch(NAME_PATTERN.strip("^$"), identity) and identity not in CAMERA_LEVELS:
        return identity
    plain = unicodedata.normalize("NFKD", identity).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9_-]+", "-", plain)[:_SLUG_LENGTH].strip("-")
    digest = hashlib.sha256(identity.encode()).hexdigest()[:_HASH_LENGTH]
    return f"{slug}-{digest}" if slug else digest
