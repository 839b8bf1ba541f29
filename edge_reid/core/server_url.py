"""A URL that names one server, or the nodes of one cluster: `mqtts://a.example:8883,b.example`."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

MQTT_PORTS = {"mqtt": 1883, "mqtts": 8883}
"""Usual port by scheme; an `s` stands for TLS."""
DASK_PORTS = {"tcp": 8786, "tls": 8786}
"""The same of a scheduler of Dask."""
NATS_PORTS = {"nats": 4222, "tls": 4222}
"""The same of NATS, whose own word for it is `tls`."""
TLS_SCHEMES = {"mqtt": "mqtts", "nats": "tls"}
"""The scheme to use over a network, by the one that is plain."""


@dataclass(frozen=True, slots=True)
class ServerUrl:
    """What such a URL says."""

    scheme: str
    nodes: tuple[tuple[str, int], ...]
    """Host and port of each, in the order in which they are to be tried."""

    @classmethod
    def parse(cls, url: str, ports: Mapping[str, int]) -> ServerUrl:
        """Read a URL.

        Args:
            url: `scheme://host[:port][,host[:port]…]`.
            ports: which schemes there are, and the port of each where none is given.

        Raises:
            ValueError: it has another scheme, no host, a login or no possible port.
        """
        parts = urlsplit(url)
        nodes = [urlsplit(f"//{node}") for node in parts.netloc.split(",")]
        if parts.scheme not in ports or not all(node.hostname for node in nodes):
            ways = " or ".join(f"{scheme}://host:{port}" for scheme, port in ports.items())
            raise ValueError(f"should look like {ways}")
        if any(node.username or node.password for node in nodes):
            raise ValueError("should hold no login; set mqtt.username and mqtt.password_file")
        try:
            addresses = [
                (node.hostname or "", _port(node.port, ports[parts.scheme])) for node in nodes
            ]
        except ValueError:
            raise ValueError("should have a port between 1 and 65535") from None
        return cls(parts.scheme, tuple(addresses))


def is_loopback(host: str) -> bool:
    """Whether what is sent to a host stays on this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name
        return host == "localhost" or host.endswith(".localhost")


def _port(given: int | None, usual: int) -> int:
    if given == 0:
        raise ValueError(given)
    return usual if given is None else given


def address(host: str, port: int) -> str:
    """As it stands in a URL: `[::1]:1883`."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
