"""Where the agent itself is asked: metrics and health."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator

from edge_reid.core.config.section import Seconds, Section

_LAST_PORT = 65_535


def host_and_port(address: str) -> str:
    """Validate an address with a port; ValueError says what it should look like."""
    host, colon, port = address.rpartition(":")
    is_short = port.isascii() and port.isdecimal() and len(port) <= len(str(_LAST_PORT))
    is_port = is_short and int(port) <= _LAST_PORT
    if not (colon and host and is_port):
        raise ValueError("should look like 127.0.0.1:9100, or [::1]:9100")
    if ":" in host and not (host.startswith("[") and host.endswith("]")):
        raise ValueError("should have an IPv6 address in brackets, as in [::1]:9100")
    return address


class ListenerSettings(Section):
    """An address at which the agent is asked."""

    listen: Annotated[str, AfterValidator(host_and_port)]

    @property
    def host(self) -> str:
        """Of `listen`, without brackets."""
        return self.listen.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        """Of `listen`."""
        return int(self.listen.rpartition(":")[2])

    @property
    def is_loopback(self) -> bool:
        """Whether only this host reaches it."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:  # a name
            return self.host == "localhost"


class MetricsSettings(ListenerSettings):
    """Metrics for Prometheus at `/metrics`, and health at `/healthz` and `/readyz`."""

    listen: Annotated[str, AfterValidator(host_and_port)] = "127.0.0.1:9100"
    """Address and port. One that other hosts reach needs `token_file`, and is plain HTTP: what is
    said there, the token included, can be read on the way. Port 0 takes a free one."""
    token_file: Path | None = None
    """File whose first line is a secret, which all who ask send as `Authorization: Bearer
    SECRET`."""
    alive_s: Seconds = 30.0
    """The agent is not alive, as `/healthz` says, when its loop over the frames has not come round
    for this long."""

    def _mistakes(self) -> Iterator[str]:
        if not self.is_loopback and self.token_file is None:
            yield "token_file: is missing; listen is an address that other hosts may reach"
