"""`edge-reid fleet`: a site's agents, from what they left on a real broker."""

from __future__ import annotations

import gc
import io
import json
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from support.consumer import Consumer, eventually
from support.decided_tracks import ADDRESS, an_event
from support.mosquitto import Mosquitto

from edge_reid import __version__
from edge_reid.cli.fleet_table import LARGE_SITE, age_text, fleet_table
from edge_reid.cli.verbs.fleet import member_as_json
from edge_reid.consumers.fleet import Fleet, fleet_filters
from edge_reid.delivery.outbox import Outbox
from edge_reid.delivery.publisher import AgentFacts, Publisher
from edge_reid.matching.score_drift import DriftReport, DriftVerdict
from edge_reid.mqtt.connection import MqttTransport, Received, connect
from edge_reid.mqtt.message import Message
from edge_reid.release.release_head import ReleaseHead, RolloutGroup, TargetRelease, seal
from edge_reid.signing.keys import SigningKey
from edge_reid.wire.events import CameraReport, camera_status_message, rfc3339
from edge_reid.wire.payloads import (
    AgentDuplicate,
    AgentStatus,
    CameraBrief,
    CameraStatus,
    CommandsState,
    DeviceUpdate,
    GalleryState,
    LookFigures,
    StrangersState,
)
from edge_reid.wire.topics import Address

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=timezone.utc)


def status(agent: str, **changes: Any) -> Received:
    fields: dict[str, Any] = {
        "site": "lab",
        "agent": agent,
        "state": "online",
        "version": "0.2.0",
        "host": f"{agent}-device",
        "session": "0123456789abcdef",
        "model_id": "d29f7071d9ba8357",
        "gallery_version": 7,
        "outbox_depth": 0,
        "outbox_bytes": 0,
        "events_dropped": 0,
        "started_at": "2026-03-01T09:00:00.000Z",
        "at": "2026-03-01T11:58:00.000Z",
    }
    body = AgentStatus(**{**fields, **changes}).to_json().encode()
    return Received(f"edge-reid/lab/agents/{agent}/status", body, retained=True)


def camera(
    name: str, report: CameraReport, agent: str = "gate-1", site: str = "lab", **when: Any
) -> Received:
    address = Address("edge-reid", site, agent)
    message = camera_status_message(address, name, report, **{"now_utc_s": 0.0, **when})
    return Received(message.topic, str(message.text).encode(), retained=True)


def duplicate(agent: str, session: str) -> Received:
    content = AgentDuplicate(
        site="lab",
        agent=agent,
        host="attic",
        session=session,
        outbox_depth=12,
        started_at="2026-03-01T11:00:00.000Z",
        at="2026-03-01T11:59:00.000Z",
    )
    topic = f"edge-reid/lab/agents/{agent}/duplicate"
    return Received(topic, content.to_json().encode(), retained=True)


def update(agent: str, **changes: Any) -> Received:
    fields: dict[str, Any] = {
        "site": "lab",
        "agent": agent,
        "release": "0.2.0+model1",
        "target": "pi-trixie",
        "serial": 3,
        "wanted": "0.2.0+model1",
        "state": "current",
        "reason": None,
        "since": "2026-03-01T09:00:00.000Z",
        "at": "2026-03-01T11:59:00.000Z",
    }
    body = DeviceUpdate(**{**fields, **changes}).to_json().encode()
    return Received(f"edge-reid/lab/agents/{agent}/update", body, retained=True)


def fleet_of(*messages: Received) -> Fleet:
    known = Fleet("edge-reid", "lab")
    known.learn_all(messages)
    return known


def shown(known: Fleet) -> str:
    console = Console(file=io.StringIO(), width=200, color_system=None)
    console.print(fleet_table(known.members, "lab", now=NOW))
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_a_healthy_agent_is_one_line() -> None:
    known = fleet_of(
        status("gate-1"),
        camera("gate", CameraReport("running", fps=9.84, frames_dropped=3)),
        camera("yard", CameraReport("failed", reason="no frame for 10 s")),
    )
    text = shown(known)
    assert "lab: 1 of 1 agents online" in text
    (line,) = [" ".join(it.split()) for it in text.splitlines() if "gate-1" in it]
    assert line == "gate-1 online 3 h 0.2.0 d29f7071 v7 0 0 gate running 9.8/s, 3 dropped"
    assert "yard failed: no frame for 10 s" in text


def test_who_runs_what_and_where_an_update_stands() -> None:
    reason = "camera gate: doctor says no"
    known = fleet_of(
        status("gate-1"),
        update("gate-1", wanted="0.3.0", state="taken-back", reason=reason),
        status("yard-1"),
        update("yard-1"),
        status("attic-1"),
    )
    lines = [" ".join(it.split()) for it in shown(known).splitlines()]
    (gate,) = [it for it in lines if it.startswith("gate-1")]
    assert "0.2.0+model1" in gate
    assert f"0.3.0 taken-back: {reason}" in " ".join(lines)
    (attic,) = [it for it in lines if it.startswith("attic-1")]
    assert "online 3 h 0.2.0 d29f7071" in attic, "by hand: the version of its agent"
    known.learn(Received("edge-reid/lab/agents/yard-1/update", b"", retained=True))
    assert [it.update is None for it in known.members] == [True, False, True]


def test_what_a_person_should_know_is_said() -> None:
    gallery = GalleryState(
        version=7,
        created_at="2026-02-26T12:00:00.000Z",
        checked_at=None,
        source="mqtt",
        refused="version 8: bad signature",
        erased_through=0,
    )
    commands = CommandsState(
        allowed=("set-threshold",), done=1, refused=0, ignored=3, threshold_set=0.8
    )
    text = shown(
        fleet_of(
            status("door-1", state="offline", reason="connection lost", outbox_depth=40),
            status(
                "gate-1",
                gallery=gallery,
                events_dropped=5,
                outbox_damaged="outbox.db.damaged",
                commands=commands,
            ),
            duplicate("gate-1", "aa"),
            status("yard-1", state="offline", reason="stopped"),
        )
    )
    assert "offline 2 min: stopped" in text
    assert "lab: 1 of 3 agents online" in text
    assert "lost; had connected 2 min ago" in text, "nobody knows for how long it is away"
    assert "v7, 3 d old" in text
    assert "version 8: bad signature" in text
    assert "name taken twice: also on attic, 12 events wait there" in text
    assert "outbox damaged: outbox.db.damaged" in text
    assert "threshold set to 0.8" in text
    assert "3 messages were no commands" in text


def test_who_shares_strangers_and_how_many_it_has_of_others() -> None:
    state = StrangersState(
        shared=12, heard=30, heard_from=2, refused=4, trouble="no room", erased=("e-1",)
    )
    text = " ".join(shown(fleet_of(status("gate-1", strangers=state), status("yard-1"))).split())
    assert "shares 12 strangers, has 30 of 2 others" in text
    assert "4 messages of strangers refused" in text
    assert "strangers: no room" in text
    assert text.count("shares") == 1  # the yard does not


def test_what_is_wrong_with_the_broker_is_shown_as_it_is() -> None:
    console = Console(file=io.StringIO(), width=200, color_system=None)
    console.print(fleet_table(fleet_of().members, "lab", "mqtts://[fe80::1]:8883: hung up"))
    assert "mqtts://[fe80::1]:8883: hung up" in console.file.getvalue()  # type: ignore[attr-defined]


def test_cameras_whose_agent_never_spoke_are_shown_all_the_same() -> None:
    assert "no status" in shown(fleet_of(camera("gate", CameraReport("running"))))


def several() -> Fleet:
    """An agent of three cameras, of which only one has left a status of its own."""
    brief = CameraBrief(camera="south", state="failed", fault="login", degraded=True)
    cameras = ("north", "south", "west")
    looks = LookFigures(
        wanted_hz=5,
        present_hz=3.14,
        p50_ms=120,
        p95_ms=400,
        events_p95_ms=None,
        missed=2,
        crops_per_look=None,
    )
    own = CameraStatus(
        site="lab",
        agent="yard-1",
        camera="north",
        state="running",
        fps=14.9,
        looks=looks,
        degraded=True,
        at="2026-03-01T11:59:00.000Z",
    )
    return fleet_of(
        status("yard-1", cameras=cameras, camera_states=(brief,)),
        Received("edge-reid/lab/north/status", own.to_json().encode(), retained=True),
    )


def test_an_agent_is_shown_with_all_its_cameras() -> None:
    table = shown(several())
    assert "north running 14.9/s, 3.1 of 5 looks/s" in table
    assert "south failed, degraded: login" in table
    assert "west –" in table
    (member,) = several().members
    assert member_as_json(member, NOW)["camera_states"] == [
        {"camera": "north", "state": "running", "fault": None, "degraded": True},
        {"camera": "south", "state": "failed", "fault": "login", "degraded": True},
        {"camera": "west", "state": None},
    ]


def test_a_drift_is_shown_as_what_it_does_to_the_promise() -> None:
    verdict = DriftVerdict("higher", 500, 0.12, 0.0652)
    drift = DriftReport(verdict, 0.73, adapts=False)
    assert "drift: about 6.5% of unknown people named" in shown(
        fleet_of(camera("gate", CameraReport("running", drift=drift)))
    )
    calm = DriftReport(DriftVerdict("none", 500, 0.0, 0.01), None, adapts=False)
    assert "drift" not in shown(fleet_of(camera("gate", CameraReport("running", drift=calm))))


def test_what_was_cleared_is_forgotten_and_a_camera_belongs_to_its_last_agent() -> None:
    known = fleet_of(status("gate-1"), duplicate("gate-1", "aa"), duplicate("gate-1", "bb"))
    assert len(known.members[0].duplicates) == 2
    known.learn(Received("edge-reid/lab/agents/gate-1/duplicate", b"", retained=False))
    assert known.members[0].duplicates == {}
    known.learn(camera("gate", CameraReport("running"), agent="gate-1"))
    known.learn(camera("gate", CameraReport("running"), agent="gate-2"))
    assert [len(member.cameras) for member in known.members] == [0, 1]
    known.learn(Received("edge-reid/lab/agents/gate-1/status", b"", retained=False))
    assert [member.name for member in known.members] == ["gate-2"]


@pytest.mark.parametrize("body", [b"hello", b"{}", b"\xff", b"[1]"])
def test_what_is_none_of_ours_is_counted(body: bytes) -> None:
    known = fleet_of(
        Received("edge-reid/lab/agents/gate-1/status", body, retained=True),
        Received("edge-reid/lab/gate/status", body, retained=True),
    )
    assert known.skipped == 2
    assert all(member.status is None for member in known.members)


def test_a_site_called_agents_is_a_site() -> None:
    known = Fleet("edge-reid", "agents")
    known.learn(camera("gate", CameraReport("running"), site="agents"))
    assert list(known.members[0].cameras) == ["gate"]


@pytest.mark.parametrize(
    ("at", "age"),
    [
        ("2026-03-01T11:59:20.000Z", "40 s"),
        ("2026-03-01T11:48:00.000Z", "12 min"),
        ("2026-03-01T07:00:00.000Z", "5 h"),
        ("2026-02-26T11:00:00.000Z", "3 d"),
        ("2026-03-01T12:00:30.000Z", "0 s"),  # its clock is ahead of ours
        ("2026-99-01T12:00:30.000Z", "?"),
    ],
)
def test_ages_are_told_in_the_unit_that_fits(at: str, age: str) -> None:
    assert age_text(at, NOW) == age


def test_a_camera_outside_of_its_hours_is_well_and_says_until_when() -> None:
    morning_s = NOW.timestamp() + 19 * 3600
    asleep = CameraReport("inactive", inactive_until_utc_s=morning_s)
    now = {"now_utc_s": NOW.timestamp(), "period_s": 10}
    table = shown(fleet_of(status("gate-1"), camera("gate", asleep, **now)))
    assert "gate inactive until 2026-03-02T07:00Z" in table
    cameras = [camera(f"c{n}", asleep, "gate-000", **now) for n in range(3)]
    running = camera("c9", CameraReport("running"), "gate-000", **now)
    many = [status(f"gate-{n:03}") for n in range(LARGE_SITE + 1)]
    short = shown(fleet_of(*many, *cameras, running))
    assert "1 running" in short
    assert "3 inactive" in short
    assert "c1" not in short


@pytest.mark.broker
def test_the_verb_shows_real_agents(broker: Mosquitto, tmp_path: Path, edge_reid: Any) -> None:
    facts = AgentFacts("d29f7071d9ba8357", gallery_version=7, started_utc_s=0.0)
    with (
        Outbox(tmp_path / "outbox.db") as outbox,
        Publisher(MqttTransport(broker.broker()), outbox, ADDRESS, facts) as publisher,
        Consumer(broker.broker()) as consumer,
    ):
        publisher.show(camera_status_message(ADDRESS, "gate", CameraReport("running"), 0.0))
        publisher.publish(an_event(1))
        consumer.wait_for("agents/gate-1/status")
        consumer.wait_for("lab/gate/status")
        words = ("fleet", "--broker", broker.url, "--site", "lab")
        table = edge_reid(*words)
        lines = edge_reid(*words, "--json")
    assert table.code == 0
    assert "lab: 1 of 1 agents online" in table.out
    (member,) = map(json.loads, lines.out.splitlines())
    assert (member["agent"], member["online"]) == ("gate-1", True)
    assert member["status"]["version"] == __version__
    assert member["status"]["schema"] == "edge-reid.agent/1"
    assert [it["camera"] for it in member["cameras"]] == ["gate"]


@pytest.mark.broker
def test_a_site_nobody_speaks_of_is_said(broker: Mosquitto, edge_reid: Any) -> None:
    result = edge_reid("fleet", "--broker", broker.url, "--site", "attic")
    assert result.code == 0
    assert "no agent of site attic has said anything" in result.out


@pytest.mark.broker
def test_a_duplicate_is_forgotten_by_the_broker_when_nobody_repeats_it(broker: Mosquitto) -> None:
    message = duplicate("gate-1", "aa")
    connection = connect(broker.broker())
    connection.publish(Message(message.topic, message.body.decode(), retain=True, expiry_s=1))
    while not connection.is_idle:
        connection.turn(0.1)
    connection.close()

    def is_retained() -> bool:
        late_comer = connect(broker.broker())
        late_comer.subscribe(fleet_filters("edge-reid", "lab"))
        late_comer.turn(0.2)
        late_comer.close()
        return bool(late_comer.received)

    eventually(lambda: not is_retained(), timeout_s=20)


def test_json_and_watch_exclude_each_other(edge_reid: Any) -> None:
    result = edge_reid("fleet", "--site", "lab", "--json", "--watch")
    assert "--json, --watch: do not go together" in result.complaint
    old = edge_reid("fleet", "--site", "lab", "--forget", "gate-1")
    assert "is `edge-reid fleet forget gate-1` now" in old.complaint


def test_who_has_been_silent_for_too_long_is_not_called_online() -> None:
    known = fleet_of(
        status("gate-1", at="2026-03-01T11:40:00.000Z", period_s=30.0),
        camera(
            "gate", CameraReport("running", fps=9.84), now_utc_s=NOW.timestamp() - 900, period_s=10
        ),
    )
    text = " ".join(shown(known).split())
    assert "silent for 20 min, was online" in text
    assert "lab: 0 of 1 agents online" in text
    told = member_as_json(known.members[0], NOW)
    assert (told["online"], told["presence"]) == (False, "silent")
    assert "gate running 9.8/s, silent for 15 min" in text


def test_two_agents_with_one_camera_are_told() -> None:
    taken = "camera gate: expected no other agent to report it, gate-2 does"
    assert taken in " ".join(shown(fleet_of(status("gate-1", camera_taken=taken))).split())


def test_what_the_broker_does_not_take_is_told_with_the_reason() -> None:
    refused = "does not take messages on edge-reid/lab/gate/hit: Not authorized"
    known = fleet_of(status("gate-1", outbox_depth=15, refused=refused, events_refused=12))
    words = " ".join(shown(known).replace("\n", " ").split())
    assert "broker does not take messages on" in words
    assert "Not authorized; 12 events wait for it" in words


HOSTILE = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202egnp\u2066\rroot\nroot"


def test_what_agents_write_moves_nothing_on_the_screen() -> None:
    known = fleet_of(
        status("gate-1", version=HOSTILE, model_id=HOSTILE, outbox_damaged=HOSTILE),
        status("yard-1", state="offline", reason=HOSTILE),
        camera("gate", CameraReport("failed", reason=HOSTILE)),
        update("gate-1", release=HOSTILE, wanted=HOSTILE, reason=HOSTILE, state="failed"),
        duplicate("gate-1", HOSTILE),
    )
    text = shown(known)
    assert all(it.isprintable() for it in text.splitlines())
    assert "\\x1b]0;owned\\x07" in text.replace("\n", "").replace(" ", "")


def test_an_agent_speaks_for_itself_alone() -> None:
    lie = status("gate-1")
    known = fleet_of(
        Received("edge-reid/lab/agents/yard-1/status", lie.body, retained=True),
        Received("edge-reid/lab/yard/status", camera("gate", CameraReport("running")).body, True),
        Received(
            "edge-reid/lab/identities/status", camera("gate", CameraReport("running")).body, True
        ),
    )
    assert (known.members, known.skipped) == ((), 2)


def test_nobodys_words_fill_the_memory() -> None:
    known = fleet_of(status("gate-1"), *(duplicate("gate-1", f"s{n}") for n in range(100)))
    (member,) = known.members
    assert list(member.duplicates) == [f"s{n}" for n in range(92, 100)], "the newest"
    for n in range(100):
        known.learn(camera("gate", CameraReport("running"), agent=f"agent-{n}"))
    assert [it.name for it in known.members] == ["agent-99", "gate-1"]


@pytest.mark.broker
def test_a_retired_agent_is_forgotten(broker: Mosquitto, edge_reid: Any) -> None:
    left = [
        status("gate-1", state="offline", reason="stopped"),
        update("gate-1"),
        duplicate("gate-1", "aa"),
        camera("gate", CameraReport("ended")),
        status("yard-1", at=rfc3339(time.time())),
        camera("yard", CameraReport("ended"), agent="yard-1"),
    ]
    connection = connect(broker.broker())
    for message in left:
        connection.publish(Message(message.topic, message.body, retain=True))
    while not connection.is_idle:
        connection.turn(0.1)
    connection.close()
    words = ("fleet", "--broker", broker.url, "--site", "lab")
    forget = ("fleet", "forget", "--broker", broker.url, "--site", "lab")
    online = edge_reid(*forget, "yard-1")
    assert (online.code, "yard-1 is online; stop it first" in online.complaint) == (2, True)
    absent = edge_reid(*forget, "attic-1")
    assert "expected an agent of this site (gate-1, yard-1), got attic-1" in absent.complaint
    done = edge_reid(*forget, "gate-1")
    assert (done.code, done.out) == (0, "forgotten: agent gate-1, camera gate\n")
    lines = edge_reid(*words, "--json").out.splitlines()
    assert [json.loads(line)["agent"] for line in lines] == ["yard-1"]


def test_json_has_the_words_of_the_payloads() -> None:
    (member,) = fleet_of(status("gate-1"), duplicate("gate-1", "aa")).members
    told = member_as_json(member, NOW)
    assert (told["online"], told["presence"]) == (True, "online")
    assert told["duplicates"][0]["host"] == "attic"
    assert told["status"]["host"] == "gate-1-device"


def leave(broker: Mosquitto, *messages: Received) -> None:
    """Have a broker keep them."""
    connection = connect(broker.broker())
    for message in messages:
        connection.publish(Message(message.topic, message.body, retain=True))
    while not connection.is_idle:
        connection.turn(0.1)
    connection.close()


@pytest.fixture
def site_of_six(broker: Mosquitto) -> Mosquitto:
    """One of each kind, and two groups of a release."""
    now = rfc3339(time.time())
    head = ReleaseHead(
        site="lab",
        serial=3,
        version="0.6.0",
        targets={"pi": TargetRelease(manifest_sha256="0" * 64, manifest_bytes=1, size_bytes=1)},
        groups=(
            RolloutGroup(name="pilot", agents=("gate-1", "yard-1")),
            RolloutGroup(name="rest", agents=("lost-1",)),
        ),
        soak_s=60,
        created_utc_s=0,
        key_id="0123456789abcdef",
    )
    leave(
        broker,
        status("gate-1", at=now, period_s=30.0),
        status("door-1", at=now),
        status("yard-1", state="offline", reason="stopped", at=now),
        status("lost-1", state="offline", reason="connection lost", at=now),
        status("dead-1", at="2026-03-01T11:40:00.000Z", period_s=30.0),
        camera("attic", CameraReport("running"), agent="attic-1"),
        Received("edge-reid/lab/release/head", seal(head, SigningKey.generate()), retained=True),
    )
    return broker


@pytest.mark.broker
def test_only_those_that_are_asked_for_are_shown(site_of_six: Mosquitto, edge_reid: Any) -> None:
    def names(*words: str) -> list[str]:
        outcome = edge_reid("fleet", "--broker", site_of_six.url, "--site", "lab", "--json", *words)
        assert outcome.code == 0, outcome.err
        return [json.loads(line)["agent"] for line in outcome.out.splitlines()]

    assert names("--state", "online") == ["door-1", "gate-1"]
    assert names("--state", "offline") == ["attic-1", "dead-1", "lost-1", "yard-1"]
    assert names("--state", "silent") == ["dead-1"]
    assert names("--state", "lost") == ["lost-1"]
    assert names("--group", "pilot") == ["gate-1", "yard-1"]
    assert names("--group", "pilot", "--state", "offline") == ["yard-1"]


@pytest.mark.broker
def test_a_choice_of_nobody_is_said(site_of_six: Mosquitto, edge_reid: Any) -> None:
    words = ("fleet", "--broker", site_of_six.url, "--site", "lab")
    none = edge_reid(*words, "--group", "rest", "--state", "online")
    assert (none.code, none.out) == (0, "lab: none of 6 agents is what was asked for\n")
    other = edge_reid(*words, "--group", "all")
    assert (other.code, "(pilot, rest), got 'all'" in other.complaint) == (2, True)
    assert "--state: expected one of" in edge_reid(*words, "--state", "asleep").complaint
    assert "--site: expected the site" in edge_reid("fleet").complaint


def test_a_large_site_counts_the_cameras_that_run_well() -> None:
    known = fleet_of(
        *(status(f"gate-{n:03}") for n in range(60)),
        *(
            camera(f"c{n}", CameraReport("running"), "gate-000", now_utc_s=NOW.timestamp())
            for n in range(4)
        ),
        camera("c4", CameraReport("failed", reason="no answer"), "gate-000"),
        camera("c5", CameraReport("running"), "gate-001", now_utc_s=0.0, period_s=10),
    )
    lines = [" ".join(line.split()) for line in shown(known).splitlines()]
    (first,) = [line for line in lines if line.startswith("gate-000")]
    assert first.endswith("0 0 4 running")
    assert "c4 failed: no answer" in lines
    (second,) = [line for line in lines if line.startswith("gate-001")]
    assert "c5 running, silent for" in second


def test_a_thousand_agents_are_put_together_in_a_moment() -> None:
    """By the work it takes, as wall time is the machine's: a fleet of ten times as many is ten
    times the work, not a hundred.
    """

    def work_s(agents: int) -> float:
        known = fleet_of(
            *(status(f"gate-{n}") for n in range(agents)),
            *(camera(f"c{n}", CameraReport("running"), f"gate-{n}") for n in range(agents)),
        )
        gc.collect()  # what other tests have left is no work of ours
        gc.disable()
        try:
            began_s = time.process_time()
            assert len(known.members) == agents
            return time.process_time() - began_s
        finally:
            gc.enable()

    assert work_s(2000) < 50 * max(work_s(200), 1e-3)
