"""An agent called gate-1 that publishes now and then, and prints every change of its link.

named_agent.py OUTBOX PORT FIRST_TRACK SILENCE_S
"""

from __future__ import annotations

import itertools
import json
import signal
import sys
import threading
import time
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS.parent), str(TESTS)]

from support.decided_tracks import ADDRESS, an_event  # noqa: E402

from edge_reid.delivery.outbox import Outbox  # noqa: E402
from edge_reid.delivery.publisher import AgentFacts, Publisher  # noqa: E402
from edge_reid.mqtt.broker import Broker  # noqa: E402
from edge_reid.mqtt.connection import MqttTransport  # noqa: E402


def main(outbox_path: str, port: str, first_track: str, silence_s: str) -> None:
    over = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: over.set())
    facts = AgentFacts("0123456789abcdef", gallery_version=3, started_utc_s=time.time())
    known = None
    with (
        Outbox(Path(outbox_path)) as outbox,
        Publisher(
            MqttTransport(Broker("127.0.0.1", int(port))),
            outbox,
            ADDRESS,
            facts,
            retry_s=(0.02, 0.1),
            status_interval_s=0.2,
            standby_s=0.3,
            silence_s=float(silence_s),
        ) as publisher,
    ):
        for track in itertools.count(int(first_track)):
            publisher.publish(an_event(track))
            if publisher.state != known:
                known = publisher.state
                print(json.dumps({"link": known.link.value, "reason": known.reason}), flush=True)
            if over.wait(0.05):
                break
        publisher.flush(5)


main(*sys.argv[1:])
