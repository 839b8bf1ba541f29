"""No topic of one kind is heard by who follows another, whatever people, cameras and sites are
called; and no rule lets anybody write where others are believed.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.secured_broker import load_certs

from edge_reid.consumers.event_feed import Share
from edge_reid.consumers.fleet import fleet_filters
from edge_reid.core.config.agent_settings import AgentSettings
from edge_reid.core.config.settings_file import load_settings
from edge_reid.core.errors import ConfigError
from edge_reid.core.names import RESERVED_LEVELS
from edge_reid.wire.topics import (
    CAMERA_LEVELS,
    GALLERY_BLOB,
    GALLERY_HEAD,
    IDENTITY,
    RELEASE_HEAD,
    ROLES,
    Address,
)

NAMES = st.from_regex(r"[a-z0-9_-]{1,8}", fullmatch=True) | st.sampled_from(
    [*CAMERA_LEVELS, *RESERVED_LEVELS, "head", "blob", "command", "stored"]
)
CAMERAS = NAMES.filter(lambda name: name not in RESERVED_LEVELS)


def fits(topic: str, topic_filter: str) -> bool:
    """Whether a filter covers a topic, as MQTT has it."""
    levels, pattern = topic.split("/"), topic_filter.split("/")
    if pattern[-1] == "#":
        return fits("/".join(levels[: len(pattern) - 1]), "/".join(pattern[:-1]))
    return len(levels) == len(pattern) and all(
        wanted in ("+", level) for level, wanted in zip(levels, pattern, strict=True)
    )


def kinds(site: str, agent: str, camera: str, identity: str) -> Iterator[tuple[str, str]]:
    """Every kind of topic, and one of it."""
    address = Address("edge-reid", site, agent)
    yield "hit", address.hits(camera)
    yield "unknown", address.unknowns(camera)
    yield "zone", address.zones(camera)
    yield "camera", address.camera_status(camera)
    yield "identity", address.identity(identity)
    yield "agent", address.agent_status
    yield "duplicate", address.agent_duplicate
    yield "update", address.agent_update
    yield "stored", address.agent_stored
    yield "command", address.agent_command
    yield "result", address.agent_result
    yield "gallery", GALLERY_HEAD.name("edge-reid", site)
    yield "gallery", GALLERY_BLOB.name("edge-reid", site, sha256="0" * 64, n="7")
    yield "release", RELEASE_HEAD.name("edge-reid", site)


def followed(site: str) -> Iterator[tuple[str, str]]:
    """Every kind of filter that consumers of ours subscribe to."""
    for where in (site, "+"):
        yield from ((kind, f"edge-reid/{where}/+/{kind}") for kind in ("hit", "unknown", "zone"))
    statuses = fleet_filters("edge-reid", site)
    yield from zip(("agent", "duplicate", "update", "camera"), statuses, strict=True)
    yield "agent", Share("edge-reid", None, "sink", "a").agents
    yield "identity", IDENTITY.filter("edge-reid", site)


@given(NAMES, NAMES, CAMERAS, NAMES | st.text(min_size=1, max_size=8))
def test_whatever_things_are_called_a_filter_hears_its_own_kind_only(
    site: str, agent: str, camera: str, identity: str
) -> None:
    for kind, topic_filter in followed(site):
        for other, topic in kinds(site, agent, camera, identity):
            assert not fits(topic, topic_filter) or other == kind, (topic, topic_filter)


@pytest.mark.parametrize("name", sorted(RESERVED_LEVELS))
def test_a_camera_cannot_be_called_like_a_topic(name: str) -> None:
    given_here = {"site": "lab", "camera": name, "gallery": "g.db", "source": {"uri": "0"}}
    with pytest.raises(ConfigError, match=f"camera: should be another name: {name} is a topic"):
        load_settings(None, given_here)
    assert AgentSettings.model_validate({**given_here, "camera": f"{name}-1"}).camera


@pytest.mark.parametrize("role", ROLES)
def test_who_may_write_one_kind_may_write_no_other_by_it(role: str) -> None:
    """`identities/+` covers `identities/hit`, which is a camera's to all who follow `+/hit`."""
    certs = load_certs()
    holder = certs.Holder(role, "somebody", "lab", ("gate",) if role == "agent" else ())
    rules = [line.split(" ", 2)[1:] for line in holder.rules("edge-reid")]
    for level in RESERVED_LEVELS:
        for last in CAMERA_LEVELS if role != "commander" else ("hit", "unknown", "zone"):
            topic = f"edge-reid/lab/{level}/{last}"
            may = [access for access, covers in rules if fits(topic, covers)]
            assert "deny" in may or not any("write" in access for access in may), topic
