"""A broker that is wrong, refuses us, or comes late costs no event."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest
from support.consumer import Consumer, eventually
from support.mosquitto import Mosquitto, free_port

pytestmark = [pytest.mark.e2e, pytest.mark.broker]

PLACE = ("--site", "lab", "--camera", "gate", "--quiet")


def test_a_broker_that_is_not_there_is_said_and_the_events_wait(
    edge_reid, people, short_clip, tmp_path
):
    outbox, url = tmp_path / "outbox.db", f"mqtt://127.0.0.1:{free_port()}"
    config = tmp_path / "agent.toml"
    config.write_text(f'[mqtt]\nurl = "{url}"\nflush_timeout_s = 1\n')
    outcome = edge_reid(
        *("run", "--config", config, "--source", short_clip, "--gallery", people),
        *("--outbox", outbox, *PLACE),
    )
    assert outcome.code == 1
    assert url in outcome.complaint
    assert f"events wait in {outbox}" in outcome.complaint
    said = [line for line in outcome.err.splitlines() if url in line]
    # Once when it is noticed, unless the clip is over before, and once with what waits at the end.
    assert len(said) <= 2, "it is not said at every try"


def test_what_waited_is_delivered_by_the_next_run_and_marked_replayed(
    edge_reid, people, short_clip, tmp_path, broker: Mosquitto
):
    outbox, lines = tmp_path / "outbox.db", tmp_path / "events.jsonl"
    broker.stop()
    config = tmp_path / "agent.toml"
    config.write_text(f'[mqtt]\nurl = "{broker.url}"\nflush_timeout_s = 1\n')
    run = ("run", "--config", config, "--source", short_clip, "--gallery", people, *PLACE)
    assert edge_reid(*run, "--outbox", outbox, "--events", lines).code == 1
    missed = [json.loads(line)["event_id"] for line in lines.read_text().splitlines()]
    assert missed

    broker.start()
    with Consumer(broker.broker()) as consumer:
        eventually(lambda: consumer.is_subscribed)
        again = edge_reid(*run, "--outbox", outbox, "--start-time", "2026-01-01T00:00:00Z")
        assert again.code == 0, again.err
        eventually(lambda: len(decided(consumer)) == 2 * len(missed))
    received = decided(consumer)
    assert [event["event_id"] for event in received if event["replayed"]][: len(missed)] == missed
    assert [event["seq"] for event in received] == list(range(1, 2 * len(missed) + 1))


def decided(consumer: Consumer) -> list[dict]:
    """Hits and unknowns, in the order in which they came."""
    topics = ("/hit", "/unknown")
    return [json.loads(each.body) for each in consumer.messages if each.topic.endswith(topics)]


def test_a_refused_login_is_said_without_the_password(
    edge_reid, people, short_clip, tmp_path, make_broker
):
    broker = make_broker(login=("gate", "right"))
    password = tmp_path / "password"
    password.write_text("wr0ng-secret\n")
    outcome = edge_reid(
        *("run", "--source", short_clip, "--gallery", people, "--broker", broker.url, *PLACE),
        *("--outbox", tmp_path / "outbox.db", "--username", "gate", "--password-file", password),
    )
    assert outcome.code == 1
    assert broker.url in outcome.complaint
    assert "events wait in" in outcome.complaint
    assert "wr0ng-secret" not in outcome.out + outcome.err


def test_watch_says_which_broker_is_not_there(edge_reid):
    url = f"mqtt://127.0.0.1:{free_port()}"
    outcome = edge_reid("watch", "--broker", url)
    assert outcome.code == 1
    assert url in outcome.complaint


def test_ctrl_c_says_goodbye_to_the_broker(people, tmp_path, long_clip, start, broker: Mosquitto):
    with Consumer(broker.broker()) as consumer:
        eventually(lambda: consumer.is_subscribed)
        process = start(
            *("run", "--source", long_clip, "--gallery", people, "--broker", broker.url, *PLACE),
            *("--agent", "box", "--outbox", tmp_path / "outbox.db"),
        )
        eventually(lambda: decided(consumer), timeout_s=60)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        assert process.returncode == 130
        eventually(lambda: consumer.payloads("agents/box/status")[-1]["state"] == "offline")
        assert consumer.payloads("gate/status")[-1]["state"] == "ended"
    told = {event["track_id"] for event in decided(consumer) if event["type"] == "new"}
    ended = {event["track_id"] for event in decided(consumer) if event["type"] == "end"}
    assert told == ended, "who follows a track sees it end"


def test_a_full_disk_ends_the_run_in_order(
    people, tmp_path, short_clip, edge_reid, broker: Mosquitto
):
    """The broker gets what there is: tracks end, and the camera says why it is off."""
    with Consumer(broker.broker()) as consumer:
        eventually(lambda: consumer.is_subscribed)
        outcome = edge_reid(
            *("run", "--source", short_clip, "--gallery", people, "--broker", broker.url, *PLACE),
            *("--outbox", tmp_path / "outbox.db", "--events", "/dev/full"),
        )
        assert outcome.code == 1
        assert "events file /dev/full: cannot be written: No space left" in outcome.complaint
        eventually(lambda: consumer.payloads("/gate/status")[-1]["state"] == "failed")
        assert consumer.payloads("/gate/status")[-1]["reason"] in outcome.complaint
    told = {event["track_id"] for event in decided(consumer) if event["type"] == "new"}
    ended = {event["track_id"] for event in decided(consumer) if event["type"] == "end"}
    assert told
    assert told == ended


def test_whoever_reads_the_events_may_leave(people, tmp_path, short_clip):
    """As `head -1` does."""
    words = ("run", "--source", short_clip, "--gallery", people, "--events", "-", *PLACE)
    words += ("--start-time", "2026-01-05T08:00:00Z")  # without, a line says what that means
    with subprocess.Popen(
        [sys.executable, "-m", "edge_reid", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline()
        process.stdout.close()
        said = process.stderr.read()
    assert process.returncode == 1
    assert said.splitlines() == ["error: " + said.removeprefix("error: ").strip()], "one line"
    assert "events file -: cannot be written: Broken pipe" in said
