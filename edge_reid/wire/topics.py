"""The topics of the wire contract, version 1: one table, and all that is made from it.

From `TOPICS` come the names under which messages are published (`Address`), the filters that
consumers subscribe to (`Topic.filter`) and the broker's access rules (`access_rules`). No topic is
written anywhere else. Only the standard library is imported, for `deploy/broker/certs.py`.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from edge_reid.core.names import NAME_PATTERN, RESERVED_LEVELS

ANY = "+"
"""MQTT's wildcard of one level."""

_SLUG_LENGTH = 48
_HASH_LENGTH = 8
_OWN_LEVELS = ("agent", "camera")
"""Levels that bear a name of the client whose topic it is."""


@dataclass(frozen=True, slots=True)
class Party:
    """Who may read or write a topic."""

    role: str
    """Of the client's certificate."""
    is_owner: bool = False
    """Only where the topic bears the client's own name, or that of one of its cameras."""


AGENT = Party("agent", is_owner=True)
ANY_AGENT = Party("agent")
READER = Party("reader")
SINK = Party("sink")
PUBLISHER = Party("publisher")
RELEASER = Party("releaser")
COMMANDER = Party("commander")
BRIDGE = Party("bridge")
"""The broker of a site, at the hub of several: it passes on what the devices of its site say, and
what is said to them."""

ROLES = tuple(party.role for party in (AGENT, READER, SINK, PUBLISHER, RELEASER, COMMANDER, BRIDGE))
"""Of clients; every certificate has one."""


@dataclass(frozen=True, slots=True)
class Topic:
    """One kind of topic, below `<root>/<site>/`."""

    pattern: str
    """Levels; one in braces is a name: `agents/{agent}/status`."""
    writers: tuple[Party, ...]
    readers: tuple[Party, ...]
    is_retained: bool = False
    qos: int = 1
    expiry_s: int | None = None
    """After so many seconds the broker forgets it (MQTT 5); None: never."""

    def name(self, root: str, site: str, **names: str) -> str:
        """One topic of this kind, with the names of its levels."""
        return f"{root}/{site}/{self.pattern.format(**names)}"

    def filter(self, root: str, site: str | None = None, **names: str | None) -> str:
        """What to subscribe to; a name that is not given, or None, stands for any."""
        given = {level: name for level, name in names.items() if name is not None}
        levels = self.pattern.format_map(defaultdict(lambda: ANY, given))
        return f"{root}/{site or ANY}/{levels}"

    @property
    def is_of_devices(self) -> bool:
        """Whether devices say it; else it is said to them."""
        return _is_of_devices(self.writers)

    def names_in(self, topic: str, root: str) -> dict[str, str] | None:
        """The names that a topic of this kind bears, by level, `site` among them; None if it is of
        another kind.
        """
        levels = topic.split("/")
        wanted = [*root.split("/"), "{site}", *self.pattern.split("/")]
        if len(levels) != len(wanted):
            return None
        pairs = list(zip(wanted, levels, strict=True))
        if any(want != level for want, level in pairs if not _is_name(want)):
            return None
        names = {want.strip("{}"): level for want, level in pairs if _is_name(want)}
        return None if names.get("camera") in RESERVED_LEVELS else names


HIT = Topic("{camera}/hit", writers=(AGENT,), readers=(READER, SINK))
UNKNOWN = Topic("{camera}/unknown", writers=(AGENT,), readers=(READER, SINK))
ZONE = Topic("{camera}/zone", writers=(AGENT,), readers=(READER, SINK))
CAMERA_STATUS = Topic(
    "{camera}/status",
    writers=(AGENT, COMMANDER),  # a commander clears what a retired agent has left
    readers=(AGENT, READER, COMMANDER),  # an agent sees whether another one writes it too
    is_retained=True,
)
PICTURE = Topic("{camera}/picture", writers=(AGENT,), readers=(READER,))
"""Of the last hit, as JPEG: only where an agent's configuration lets pictures leave the device."""
AGENT_STATUS = Topic(
    "agents/{agent}/status",
    writers=(AGENT, COMMANDER),
    # the agent: whether its name is taken; sinks: for which cameras it speaks
    readers=(AGENT, READER, SINK, PUBLISHER, RELEASER, COMMANDER),
    is_retained=True,
)
AGENT_DUPLICATE = Topic(
    "agents/{agent}/duplicate",
    writers=(AGENT, COMMANDER),
    readers=(READER, COMMANDER),
    is_retained=True,
    expiry_s=180,
)
AGENT_COMMAND = Topic("agents/{agent}/command", writers=(COMMANDER,), readers=(AGENT,))
AGENT_RESULT = Topic("agents/{agent}/result", writers=(AGENT,), readers=(COMMANDER,))
AGENT_STORED = Topic("agents/{agent}/stored", writers=(SINK,), readers=(AGENT,))
AGENT_UPDATE = Topic(
    "agents/{agent}/update",
    writers=(AGENT, COMMANDER),
    # every agent: whether those that go first run a release well
    readers=(ANY_AGENT, READER, RELEASER, COMMANDER),
    is_retained=True,
)
STRANGER = Topic(  # an embedding: no reader sees it
    "agents/{agent}/strangers/{stranger}",
    # a commander has everybody forgotten, and clears what a retired agent has left
    writers=(AGENT, COMMANDER),
    readers=(ANY_AGENT, COMMANDER),
    is_retained=True,
)
"""An unknown person whom a device remembers, for the others of its site that share strangers."""
NOBODYS_NAME = "nobody"
"""In the place of a stranger: what somebody leaves there for a moment, to see whether the broker
shows what lies there. It is about nobody, and nobody takes it."""
STRANGER_ERASURES = Topic(
    "agents/erasures",
    writers=(COMMANDER,),
    readers=(ANY_AGENT, COMMANDER),
    is_retained=True,
)
"""Strangers whom all devices of a site are to forget, also those that are away now."""
IDENTITY = Topic(
    "identities/{identity}",
    writers=(ANY_AGENT, PUBLISHER),  # a publisher clears the states of people who were removed
    readers=(READER, PUBLISHER),
    is_retained=True,
)
GALLERY_HEAD = Topic(  # a gallery holds people's templates: nobody else sees it
    "gallery/head", writers=(PUBLISHER,), readers=(AGENT, PUBLISHER), is_retained=True
)
GALLERY_BLOB = Topic(
    "gallery/blob/{sha256}/{n}",
    writers=(PUBLISHER,),
    readers=(AGENT, PUBLISHER),
    is_retained=True,
)
RELEASE_HEAD = Topic(
    "release/head",
    writers=(RELEASER,),
    readers=(AGENT, READER, RELEASER),  # a reader: which agents are a group
    is_retained=True,
)

TOPICS = (
    HIT,
    UNKNOWN,
    ZONE,
    CAMERA_STATUS,
    PICTURE,
    AGENT_STATUS,
    AGENT_DUPLICATE,
    AGENT_COMMAND,
    AGENT_RESULT,
    AGENT_STORED,
    AGENT_UPDATE,
    STRANGER,
    STRANGER_ERASURES,
    IDENTITY,
    GALLERY_HEAD,
    GALLERY_BLOB,
    RELEASE_HEAD,
)
"""All there are."""

BRIDGED = tuple(topic for topic in TOPICS if topic not in {PICTURE, STRANGER, STRANGER_ERASURES})
"""What a site passes on to a hub, or gets from it. Who lets pictures or strangers leave a device
has not let them leave the site."""

DISCOVERY_PREFIX = "homeassistant"
"""First level of Home Assistant's own topics, where nobody has set another."""


@dataclass(frozen=True, slots=True)
class DiscoveryTopic:
    """One kind of topic below Home Assistant's discovery prefix. A site stands within a level."""

    pattern: str
    writers: tuple[Party, ...]
    readers: tuple[Party, ...]

    @property
    def is_of_devices(self) -> bool:
        """As `Topic.is_of_devices`."""
        return _is_of_devices(self.writers)

    def name(self, prefix: str, **names: str) -> str:
        """One topic of this kind."""
        return f"{prefix}/{self.pattern.format(**names)}"

    def rule(self, site: str | None, *, is_owner: bool) -> str:
        """What a client of a site may use; `{agent}` stands for its own name."""
        names = {"agent": "{agent}"} if is_owner else {}
        levels = [
            level.format_map({"site": site, **names})
            if (site is not None or "{site}" not in level) and not _has_other_name(level, names)
            else ANY
            for level in self.pattern.split("/")
        ]
        return "/".join([DISCOVERY_PREFIX, *levels])


# Capital letters are in no name of ours: so no site's agents are another's people.
HA_AGENT = DiscoveryTopic(
    "device/edge-reid-{site}/{agent}/config", writers=(AGENT,), readers=(READER,)
)
HA_PERSON = DiscoveryTopic(
    "device/edge-reid-{site}-PEOPLE/{identity}/config",
    writers=(ANY_AGENT,),  # as `identities/{identity}`, which it shows
    readers=(READER,),
)
HA_STATUS = DiscoveryTopic("status", writers=(READER,), readers=(ANY_AGENT,))
"""Home Assistant is a reader, and says there that it has started."""

DISCOVERY = (HA_AGENT, HA_PERSON, HA_STATUS)

TRACK_EVENTS = (HIT, UNKNOWN)
"""What cameras publish of who somebody is."""
EVENTS = (*TRACK_EVENTS, ZONE)
"""What cameras publish of people, through the outbox."""

CAMERA_LEVELS = tuple(
    topic.pattern.removeprefix("{camera}/")
    for topic in TOPICS
    if topic.pattern.startswith("{camera}/")
)
"""Last levels of all that cameras publish, one below the site: `+/hit` is of every camera."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where an agent publishes and listens."""

    root: str
    site: str
    agent: str

    def hits(self, camera: str) -> str:
        return HIT.name(self.root, self.site, camera=camera)

    def unknowns(self, camera: str) -> str:
        return UNKNOWN.name(self.root, self.site, camera=camera)

    def zones(self, camera: str) -> str:
        return ZONE.name(self.root, self.site, camera=camera)

    def camera_status(self, camera: str) -> str:
        return CAMERA_STATUS.name(self.root, self.site, camera=camera)

    def picture(self, camera: str) -> str:
        return PICTURE.name(self.root, self.site, camera=camera)

    def identity(self, identity: str) -> str:
        return IDENTITY.name(self.root, self.site, identity=topic_level(identity))

    @property
    def agent_status(self) -> str:
        return self._own(AGENT_STATUS)

    @property
    def agent_duplicate(self) -> str:
        """Where one that stands aside for another agent of this name says so."""
        return self._own(AGENT_DUPLICATE)

    @property
    def agent_stored(self) -> str:
        """Where sinks name the events of this agent that they have committed."""
        return self._own(AGENT_STORED)

    @property
    def agent_command(self) -> str:
        """Where this agent takes commands, if it is configured to."""
        return self._own(AGENT_COMMAND)

    @property
    def agent_result(self) -> str:
        """Where it answers."""
        return self._own(AGENT_RESULT)

    @property
    def agent_update(self) -> str:
        """Where the device of this agent reports what it runs, and how an update goes."""
        return self._own(AGENT_UPDATE)

    @property
    def client_id(self) -> str:
        """MQTT client id. No name holds a slash, so no two agents share one."""
        return f"{self.root}/{self.site}/{self.agent}"

    def _own(self, topic: Topic) -> str:
        return topic.name(self.root, self.site, agent=self.agent)


def shared(group: str, topic_filter: str) -> str:
    """A filter whose messages the subscribers of one group get once among them (MQTT 5)."""
    return f"$share/{group}/{topic_filter}"


def event_camera(topic: str) -> str | None:
    """The camera of an event's topic, under whatever root and site; None: it is no event's."""
    *_, camera, last = ("", *topic.split("/"))
    is_event = any(last == event.pattern.removeprefix("{camera}/") for event in EVENTS)
    return camera if is_event else None


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


def access_rules(role: str) -> tuple[str, ...]:
    """What a role may do, as Mosquitto's access rules: `readwrite agents/{agent}/status`.

    Topics are below `<root>/<site>/`. `{agent}` and `{camera}` stand for the client's own names.
    """
    rules = [rule for topic in TOPICS for rule in _topic_rules(topic, role)]
    return (*rules, *_denials(role))


def discovery_rules(role: str, site: str | None) -> tuple[str, ...]:
    """The same of Home Assistant's own topics, whole: `write homeassistant/device/…`.

    Args:
        role: of the client.
        site: of the client; None: any.
    """
    if role == BRIDGE.role:
        passed = (f"{_passing(topic)} {topic.rule(site, is_owner=False)}" for topic in DISCOVERY)
        return tuple(dict.fromkeys(passed))
    rules = (
        f"{access} {topic.rule(site, is_owner=party.is_owner)}"
        for topic in DISCOVERY
        for access, parties in (("read", topic.readers), ("write", topic.writers))
        for party in parties
        if party.role == role
    )
    return tuple(dict.fromkeys(rules))


def _topic_rules(topic: Topic, role: str) -> Iterator[str]:
    if role == BRIDGE.role:
        if topic in BRIDGED:
            yield f"{_passing(topic)} {_owned(topic, BRIDGE)}"
        return
    readable = [_owned(topic, party) for party in topic.readers if party.role == role]
    writable = [_owned(topic, party) for party in topic.writers if party.role == role]
    for pattern in dict.fromkeys((*readable, *writable)):
        access = "read" * (pattern in readable) + "write" * (pattern in writable)
        yield f"{access} {pattern}"


def _denials(role: str) -> Iterator[str]:
    """Names that end like a camera's topic, where a role may write under any: who follows `+/hit`
    would take `identities/hit` for what a camera of that name publishes.
    """
    if role == BRIDGE.role:  # it writes for any camera: for none that is called like another topic
        yield from (f"deny {own}/{end}" for own in sorted(RESERVED_LEVELS) for end in CAMERA_LEVELS)
        return
    for topic in TOPICS:
        first, _, last = topic.pattern.partition("/")
        is_writer = any(party.role == role for party in topic.writers)
        if is_writer and not _is_name(first) and _is_name(last):
            yield from (f"deny {first}/{level}" for level in CAMERA_LEVELS)


def _is_of_devices(writers: tuple[Party, ...]) -> bool:
    return any(party.role == AGENT.role for party in writers)


def _passing(topic: Topic | DiscoveryTopic) -> str:
    """What a bridge does with a topic at the hub: one or the other, so that nothing goes round."""
    return "write" if topic.is_of_devices else "read"


def _owned(topic: Topic, party: Party) -> str:
    """The pattern, with wildcards for all names but those of an owner."""
    own = {level: f"{{{level}}}" for level in _OWN_LEVELS if party.is_owner}
    return topic.pattern.format_map(defaultdict(lambda: ANY, own))


def _has_other_name(level: str, known: Mapping[str, str]) -> bool:
    return any(name not in {"site", *known} for name in re.findall(r"{(\w+)}", level))


def _is_name(level: str) -> bool:
    return level.startswith("{") and "/" not in level
