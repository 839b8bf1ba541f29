"""A client of NATS that gives its login to nobody in plaintext; its errors as ours."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

import nats.errors
import nats.js.errors
from nats.aio.client import Client

from edge_reid.core.errors import BrokerError
from edge_reid.mqtt.broker import Broker
from edge_reid.mqtt.message_transport import RefusedError, UnreachableError
from edge_reid.wire.nats_subjects import MESSAGES

ANSWER_TIMEOUT_S = 5.0


def explained(error: Exception, servers: Broker, complaint: str) -> BrokerError:
    """As one of ours.

    Args:
        error: of nats-py, or of the network.
        servers: client ports.
        complaint: what they said last was wrong; empty: nothing.
    """
    if isinstance(error, nats.js.errors.NotFoundError):
        return UnreachableError(
            f"{servers}: has no stream {MESSAGES}: expected a cluster with an MQTT"
            " listener and JetStream, and one MQTT client at least that has been there"
        )
    said = complaint or str(error) or "gives no answer"
    if "certificate" in said.lower():
        return RefusedError(
            f"{servers}: its certificate is not to be trusted, or ours is not: {said};"
            " give the CA that signed it (ca_file), and our own (cert_file, key_file)"
        )
    if "authorization" in said.lower() or "permissions" in said.lower():
        return RefusedError(
            f"{servers}: refuses us: {said}; check this login, and what it may do there:"
            " its rules are for --group sink, and for the group of the certificate's name"
        )
    return UnreachableError(
        f"{servers}: {said}; check the address, and that it is a client port of NATS"
    )


def _is_news(record: logging.LogRecord) -> bool:
    """Not what asyncio says whenever a server ends a connection over TLS that nats-py has made."""
    return "eof_received" not in record.getMessage()


class PlaintextError(nats.errors.Error):
    """A server has no TLS that must have it."""

    def __str__(self) -> str:
        return "it speaks plaintext only; turn TLS on there, or say nats://"


class SafeClient(Client):
    """One that sends its login over TLS or not at all: a server, or who pretends to be one, may say
    that it has none.
    """

    async def reach(
        self,
        servers: Broker,
        inbox: str,
        note_complaint: Callable[[Exception], Awaitable[None]],
        note_end: Callable[[], Awaitable[None]],
    ) -> None:
        """Connect to the first node that is there, once and for all.

        Args:
            servers: client ports, and our login.
            inbox: prefix of the subjects on which answers come.
            note_complaint: takes what a server says is wrong.
            note_end: called when the connection is over.
        """
        logging.getLogger("asyncio").addFilter(_is_news)
        await self.connect(
            [f"{servers.scheme}://{node.address}" for node in servers.nodes],
            tls=servers.tls,
            user=servers.username,
            password=servers.password,
            allow_reconnect=False,
            reconnect_time_wait=0,
            max_reconnect_attempts=1,
            connect_timeout=int(ANSWER_TIMEOUT_S),
            inbox_prefix=inbox,
            error_cb=note_complaint,
            closed_cb=note_end,
        )

    def _connect_command(self) -> bytes:
        writer = getattr(self._transport, "_io_writer", None)
        is_safe = writer is not None and writer.get_extra_info("ssl_object") is not None
        if self.options.get("tls") and not is_safe:
            raise PlaintextError
        return super()._connect_command()
