"""What the devices of a site tell each other of strangers, and how it is signed.

Every message is a body in JSON behind a certificate and a signature (`signing.certified_envelope`).
What it claims is held against its certificate and its topic here, and nowhere else.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Annotated, Literal, TypeVar

from pydantic import Field

from edge_reid.core.config.section import Name
from edge_reid.signing.certificate_holder import CertificateHolder
from edge_reid.signing.certified_envelope import CertificateAuthority
from edge_reid.signing.envelope import EnvelopeError
from edge_reid.wire.payloads import LINES_MAX, Ordinal, Payload, StrangerName, Time, Words
from edge_reid.wire.topics import AGENT, COMMANDER

CLOCKS_S = 60.0
"""Accepted difference between two clocks: what was written farther in the future is refused."""
FORMER_MAX = 8
"""Names that somebody had before, told with the present one."""
ORDERS_MAX = LINES_MAX
"""Erasures that stand at a time."""
NAMES_MAX = 100
"""In one erasure."""
MAX_SIGNED_BYTES = 16 << 10

P = TypeVar("P", bound=Payload)


class SharedStranger(Payload):
    """An unknown person whom a device has seen, for the other devices of its site. Signed."""

    schema_: Annotated[Literal["edge-reid.stranger/1"], Field(alias="schema")] = (
        "edge-reid.stranger/1"
    )
    site: Name
    agent: Name
    """Who has seen them."""
    stranger: StrangerName
    formerly: Annotated[tuple[StrangerName, ...], Field(max_length=FORMER_MAX)]
    """Names that they had before two names turned out to be one person's."""
    edition: Ordinal
    """Rises with everything that this agent says of strangers: of two messages the higher holds,
    however old it is."""
    model_id: Words
    """Content hash of the embedding model: others are compared with none of ours."""
    vector: Annotated[str, Field(pattern=r"^[A-Za-z0-9+/]+={0,2}$", max_length=8192)]
    """Mean of the person's best embeddings, a byte a number, in base64: whole numbers from -127 to
    127, of which only the direction counts."""
    camera: Name
    """Where they were last."""
    first_seen: Time
    last_seen: Time
    expires_at: Time
    """When this device forgets them, unless it sees them again; nobody keeps it longer."""
    at: Time
    """When this was written."""


class StrangerErasure(Payload):
    """An order to forget strangers. It stands until every device has done it."""

    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    """Drawn by who orders it; an agent's status repeats it once it is done."""
    strangers: Annotated[tuple[StrangerName, ...], Field(min_length=1, max_length=NAMES_MAX)] | None
    """By any name that they have or had; null: everybody who is remembered then."""
    issued_at: Time


class StrangerErasures(Payload):
    """All erasures that stand at a site. Signed by a commander."""

    schema_: Annotated[Literal["edge-reid.erasures/1"], Field(alias="schema")] = (
        "edge-reid.erasures/1"
    )
    site: Name
    erasures: Annotated[tuple[StrangerErasure, ...], Field(max_length=ORDERS_MAX)]
    at: Time
    """When this was written."""


def verified_stranger(
    signed: bytes,
    authority: CertificateAuthority,
    *,
    site: str,
    agent: str,
    stranger: str,
    now_utc_s: float,
) -> SharedStranger:
    """A stranger, as the agent whose topic it came on has signed.

    Args:
        signed: the message.
        authority: who has certified the site's agents.
        site: of the topic, as the next two.
        agent: who may say it.
        stranger: of whom it tells.
        now_utc_s: certificates hold for a time.

    Raises:
        EnvelopeError: it is forged, or says something else than its topic or its certificate.
    """
    holder, shared = _opened(SharedStranger, signed, authority, now_utc_s)
    expected = AGENT.role, agent, site
    if (holder.role, holder.name, holder.site) != expected:
        raise EnvelopeError(f"expected the signature of agent {agent} of {site}, got {holder}'s")
    if (shared.site, shared.agent, shared.stranger) != (site, agent, stranger):
        raise EnvelopeError("it says something else than its topic; it was moved")
    return shared


def verified_erasures(
    signed: bytes, authority: CertificateAuthority, *, site: str, now_utc_s: float
) -> StrangerErasures:
    """The erasures that stand, as a commander of the site has signed them.

    Raises:
        EnvelopeError: they are forged, or of another site.
    """
    holder, orders = _opened(StrangerErasures, signed, authority, now_utc_s)
    if holder.role != COMMANDER.role or holder.site not in {None, site} or orders.site != site:
        raise EnvelopeError(f"expected the signature of a commander of {site}, got {holder}'s")
    return orders


def _opened(
    kind: type[P], signed: bytes, authority: CertificateAuthority, now_utc_s: float
) -> tuple[CertificateHolder, P]:
    holder, body = authority.verify(
        signed, MAX_SIGNED_BYTES, datetime.fromtimestamp(now_utc_s, timezone.utc)
    )
    try:
        return holder, kind.model_validate_json(body)
    except ValueError as error:
        raise EnvelopeError(f"{holder} has signed what is no {kind.__name__}") from error
