"""The table of topics, against the wire contract as it is written down and as brokers have it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.secured_broker import DEPLOY, load_certs

import edge_reid.wire
from edge_reid.core.names import RESERVED_LEVELS
from edge_reid.wire.topics import (
    AGENT_STATUS,
    AGENT_UPDATE,
    CAMERA_LEVELS,
    CAMERA_STATUS,
    GALLERY_BLOB,
    GALLERY_HEAD,
    HIT,
    IDENTITY,
    ROLES,
    TOPICS,
    UNKNOWN,
    Topic,
    event_camera,
    shared,
)

RULES = {
    "agent": """
        readwrite lab/agents/gate-1/status
        write lab/agents/gate-1/duplicate
        write lab/agents/gate-1/result
        read lab/agents/gate-1/command
        read lab/agents/gate-1/stored
        read lab/gallery/head
        read lab/gallery/blob/+/+
        read lab/release/head
        read lab/agents/+/update
        write lab/agents/gate-1/update
        write lab/agents/gate-1/strangers/+
        read lab/agents/+/strangers/+
        read lab/agents/erasures
        write lab/identities/+
        deny lab/identities/hit
        deny lab/identities/unknown
        deny lab/identities/zone
        deny lab/identities/status
        deny lab/identities/picture
        write lab/gate/hit
        write lab/gate/unknown
        write lab/gate/zone
        readwrite lab/gate/status
        write lab/gate/picture
        write lab/yard/hit
        write lab/yard/unknown
        write lab/yard/zone
        readwrite lab/yard/status
        write lab/yard/picture
    """,
    "reader": """
        read lab/+/hit
        read lab/+/unknown
        read lab/+/zone
        read lab/+/status
        read lab/+/picture
        read lab/identities/+
        read lab/agents/+/status
        read lab/agents/+/duplicate
        read lab/agents/+/update
        read lab/release/head
    """,
    "sink": """
        read lab/+/hit
        read lab/+/unknown
        read lab/+/zone
        read lab/agents/+/status
        write lab/agents/+/stored
    """,
    "publisher": """
        readwrite lab/gallery/head
        readwrite lab/gallery/blob/+/+
        read lab/agents/+/status
        readwrite lab/identities/+
        deny lab/identities/hit
        deny lab/identities/unknown
        deny lab/identities/zone
        deny lab/identities/status
        deny lab/identities/picture
    """,
    "releaser": """
        readwrite lab/release/head
        read lab/agents/+/update
        read lab/agents/+/status
    """,
    "commander": """
        write lab/agents/+/command
        read lab/agents/+/result
        readwrite lab/agents/+/status
        readwrite lab/agents/+/duplicate
        readwrite lab/agents/+/update
        readwrite lab/agents/+/strangers/+
        readwrite lab/agents/erasures
        readwrite lab/+/status
    """,
    "bridge": """
        write lab/+/hit
        write lab/+/unknown
        write lab/+/zone
        write lab/+/status
        write lab/agents/+/status
        write lab/agents/+/duplicate
        write lab/agents/+/result
        write lab/agents/+/update
        write lab/identities/+
        read lab/agents/+/command
        read lab/agents/+/stored
        read lab/gallery/head
        read lab/gallery/blob/+/+
        read lab/release/head
        deny lab/agents/hit
        deny lab/agents/unknown
        deny lab/agents/zone
        deny lab/agents/status
        deny lab/agents/picture
        deny lab/gallery/hit
        deny lab/gallery/unknown
        deny lab/gallery/zone
        deny lab/gallery/status
        deny lab/gallery/picture
        deny lab/identities/hit
        deny lab/identities/unknown
        deny lab/identities/zone
        deny lab/identities/status
        deny lab/identities/picture
        deny lab/release/hit
        deny lab/release/unknown
        deny lab/release/zone
        deny lab/release/status
        deny lab/release/picture
    """,
}
"""What brokers in the field have in their `acl`: one more or less is a decision."""


@pytest.mark.parametrize("role", ROLES)
def test_every_role_has_the_rights_that_it_had(role: str) -> None:
    cameras = ("gate", "yard") if role == "agent" else ()
    for site, level in (("lab", "lab"), (None, "+")):
        lines = list(load_certs().Holder(role, "gate-1", site, cameras).rules("edge-reid"))
        rules = (line.split() for line in RULES[role].strip().splitlines())
        ours = {line for line in lines if "homeassistant/" not in line}  # test_home_assistant.py
        assert ours == {
            f"topic {access} edge-reid/{topic.replace('lab', level, 1)}" for access, topic in rules
        }
        assert len(lines) == len(set(lines))


def test_certs_needs_nothing_but_cryptography(tmp_path: Path) -> None:
    """It runs on whichever machine is trusted with the CA's key."""
    absent = "pydantic", "numpy", "cv2", "paho", "typer", "rich"
    program = (
        f"import runpy, sys; sys.modules.update(dict.fromkeys({absent!r}))\n"
        f"sys.argv[1:] = {['--pki', str(tmp_path), 'reader', 'desk']!r}\n"
        f"runpy.run_path({str(DEPLOY / 'certs.py')!r}, run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "issued  reader desk (site any)" in done.stdout


def test_cameras_are_called_like_nothing_else_in_a_site() -> None:
    first_levels = {topic.pattern.split("/")[0] for topic in TOPICS}
    assert first_levels - {"{camera}"} == RESERVED_LEVELS
    assert set(CAMERA_LEVELS) == {"hit", "unknown", "zone", "status", "picture"}


def test_the_table_is_the_one_that_people_read() -> None:
    """Every topic of the room's README: retained, QoS, who writes and who reads."""
    rows = re.findall(
        r"^\| `<root>/<site>/([^`]+)` \|(.+)\|$",
        (Path(edge_reid.wire.__file__).parent / "README.md").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    written = {pattern: [cell.strip() for cell in rest.split("|")][:4] for pattern, rest in rows}
    assert written == {shown(topic): cells(topic) for topic in TOPICS}


def test_the_first_page_names_every_topic_and_whether_it_is_retained() -> None:
    """`…/` stands for what begins as the topic before it does."""
    page = (Path(edge_reid.wire.__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`edge-reid/<site>/.+?) \| (yes|no)\b", page, re.MULTILINE)
    named = {
        end: kept
        for cell, kept in rows
        for end in re.findall(r"`(?:…|edge-reid/<site>)/([^`]+)`", cell)
    }
    topics = {end: [topic for topic in TOPICS if shown(topic).endswith(end)] for end in named}
    assert {end: len(found) for end, found in topics.items()} == dict.fromkeys(named, 1)
    assert {found.pattern for (found,) in topics.values()} == {topic.pattern for topic in TOPICS}
    assert all((named[end] == "yes") == found.is_retained for end, (found,) in topics.items())


def shown(topic: Topic) -> str:
    return topic.pattern.replace("{", "<").replace("}", ">")


def cells(topic: Topic) -> list[str]:
    retained = "yes" if topic.is_retained else "no"
    if topic.expiry_s:
        retained = f"for {topic.expiry_s} s"
    parties = [
        ", ".join(
            party.role if party.is_owner or party.role != "agent" else "any agent" for party in them
        )
        for them in (topic.writers, topic.readers)
    ]
    return [retained, str(topic.qos), *parties]


@pytest.mark.parametrize("root", ["edge-reid", "acme/reid"])
@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.pattern)
def test_a_topic_gives_back_the_names_it_was_made_of(topic: Topic, root: str) -> None:
    names = {level: f"a-{level}" for level in re.findall(r"{(\w+)}", topic.pattern)}
    made = topic.name(root, "lab", **names)
    assert topic.names_in(made, root) == {"site": "lab", **names}
    assert topic.names_in(made, "another") is None
    assert topic.names_in(f"{made}/more", root) is None
    others = [other for other in TOPICS if other.names_in(made, root) is not None]
    assert others == [topic]


def test_a_reserved_level_is_no_camera() -> None:
    assert CAMERA_STATUS.names_in("edge-reid/lab/agents/status", "edge-reid") is None


def test_what_is_not_named_is_any() -> None:
    assert HIT.filter("edge-reid") == "edge-reid/+/+/hit"
    assert HIT.filter("edge-reid", "lab", camera=None) == "edge-reid/lab/+/hit"
    assert UNKNOWN.filter("edge-reid", None, camera="gate") == "edge-reid/+/gate/unknown"
    assert AGENT_UPDATE.filter("edge-reid", "lab") == "edge-reid/lab/agents/+/update"
    assert shared("archive", HIT.filter("r", "lab")) == "$share/archive/r/lab/+/hit"


def test_what_lies_below_a_gallery() -> None:
    below = "edge-reid/lab/gallery"
    assert GALLERY_HEAD.name("edge-reid", "lab") == f"{below}/head"
    blob = GALLERY_BLOB.name("edge-reid", "lab", sha256="cafe", n="3")
    assert blob == f"{below}/blob/cafe/3"


def test_an_event_names_its_camera_under_any_root() -> None:
    assert event_camera("acme/reid/lab/gate/hit") == "gate"
    assert event_camera("edge-reid/lab/yard/unknown") == "yard"
    assert event_camera("edge-reid/lab/yard/zone") == "yard"
    for topic in (
        AGENT_STATUS.name("r", "lab", agent="a"),
        IDENTITY.name("r", "lab", identity="a"),
        "",
        "hit",
    ):
        assert not event_camera(topic)
