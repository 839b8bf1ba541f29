"""What the Mosquitto of a site passes on to the one at the hub, and what it gets from there.

Each topic goes one way only, by who says it: up what devices say, down what is said to them. So
nothing goes round, and what lies retained at the hub never replaces what a device has said itself.
Only the standard library is imported, for `deploy/broker/certs.py`.
"""

from __future__ import annotations

from collections.abc import Iterator

from edge_reid.wire.topics import BRIDGED, DISCOVERY


def bridge_lines(root: str, site: str) -> Iterator[str]:
    """Lines of the connection in Mosquitto's configuration: `topic edge-reid/farm/+/hit out 1`."""
    for topic in BRIDGED:
        yield f"topic {topic.filter(root, site)} {_way(topic.is_of_devices)} {topic.qos}"
    for found in DISCOVERY:
        yield f"topic {found.rule(site, is_owner=False)} {_way(found.is_of_devices)} 1"


def _way(is_of_devices: bool) -> str:
    return "out" if is_of_devices else "in"
