"""Publishes events until it is killed, and prints the `seq` of each once it is committed.

busy_agent.py OUTBOX PORT [PAUSE_S]
"""

from __future__ import annotations

import itertools
import sys
import time
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS.parent), str(TESTS)]

from support.decided_tracks import ADDRESS, an_event  # noqa: E402

from edge_reid.delivery.outbox import Outbox  # noqa: E402
from edge_reid.delivery.publisher import AgentFacts, Publisher  # noqa: E402
from edge_reid.mqtt.broker import Broker  # noqa: E402
from edge_reid.mqtt.connection import MqttTransport  # noqa: E402


def main(outbox_path: str, port: str, pause_s: str = "0") -> None:
    facts = AgentFacts("0123456789abcdef", gallery_version=3, started_utc_s=0.0)
    first = time.time_ns() // 1_000_000 % 10**9  # so that no two lives tell the same event
    with (
        Outbox(Path(outbox_path)) as outbox,
        Publisher(
            MqttTransport(Broker("127.0.0.1", int(port))), outbox, ADDRESS, facts
        ) as publisher,
    ):
        for track in itertools.count(first):
            print(publisher.publish(an_event(track)), flush=True)
            if pause_s != "0":
                time.sleep(float(pause_s))


main(*sys.argv[1:])
