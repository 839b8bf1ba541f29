"""A process of some simulated agents, as threads: `simulated_agents.py SITE_JSON NAME…`.

Once a second it prints how they do, as a line of JSON. It reads `quiet` (no more events) and `end`
(all say goodbye) from its standard input. Whoever starts it may kill it at any time.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import Counter
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS.parent), str(TESTS)]

from support.simulated_agent import AgentState, SimulatedAgent, Site  # noqa: E402

from edge_reid.core import interpreter_turns  # noqa: E402
from edge_reid.mqtt.connection import Connection  # noqa: E402
from edge_reid.mqtt.message import Message  # noqa: E402

REPORT_S = 1.0
FAREWELL_S = 10.0
SWITCH_S = 0.02
"""Python's own is 5 ms; of 50 agents a hundred threads may wait for the interpreter."""

published: Counter[str] = Counter()


def count_what_is_published() -> None:
    publish = Connection.publish

    def counted(connection: Connection, message: Message) -> int:
        published["messages"] += 1
        return publish(connection, message)

    Connection.publish = counted  # type: ignore[method-assign]


def stay_polite() -> None:
    """An agent lets its frames have the interpreter ten times as often as Python's own pace. Where
    dozens of agents share one, all that wait for it would wake as often, and do nothing else.
    """
    interpreter_turns.SWITCH_S = SWITCH_S


def main(site_json: str, *names: str) -> None:
    given = json.loads(site_json)
    folder, public_key = Path(given.pop("folder")), Path(given.pop("public_key"))
    site = Site(folder=folder, public_key=public_key, **given)
    ending, is_quiet = threading.Event(), threading.Event()
    count_what_is_published()
    stay_polite()
    agents = [SimulatedAgent(site, name, ending, is_quiet) for name in names]
    threading.Thread(target=begin, args=(agents, ending, site.start_pause_s), daemon=True).start()
    threading.Thread(target=obey, args=(ending, is_quiet), daemon=True).start()
    while not ending.wait(REPORT_S):
        print(json.dumps(report([agent.state for agent in agents])), flush=True)
    deadline_s = time.monotonic() + FAREWELL_S
    for agent in agents:
        if agent.thread.is_alive():
            agent.thread.join(max(0.0, deadline_s - time.monotonic()))


def begin(agents: list[SimulatedAgent], ending: threading.Event, pause_s: float) -> None:
    """One by one."""
    for agent in agents:
        agent.thread.start()
        if ending.wait(pause_s):
            break


def obey(ending: threading.Event, is_quiet: threading.Event) -> None:
    for line in sys.stdin:
        if line.strip() == "quiet":
            is_quiet.set()
        elif line.strip() == "end":
            break
    ending.set()


def report(states: list[AgentState | None]) -> dict[str, object]:
    known = [state for state in states if state]
    troubles = Counter(state.trouble for state in known if not state.is_online and state.trouble)
    return {
        "committed": [state.committed if state else 0 for state in states],
        "waiting": sum(state.waiting for state in known),
        "dropped": sum(state.dropped for state in known),
        "online": sum(state.is_online for state in known),
        "galleries": [state.gallery_version if state else 0 for state in states],
        "published": published["messages"],
        "trouble": troubles.most_common(1)[0][0] if troubles else "",
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
