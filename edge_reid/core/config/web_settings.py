"""The live page, and who may look at it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from edge_reid.core.config.listener_settings import ListenerSettings, host_and_port
from edge_reid.core.config.section import Name, Section

WEB_LISTEN = "127.0.0.1:8480"
"""Where the page is, unless something else is said."""


RoleName = Literal["viewer", "operator", "admin"]
"""What a user of the page may do; each may also do what those before it may."""


def _password_hash(text: str) -> str:
    if not re.fullmatch(r"scrypt\$\d+\$\d+\$\d+\$[A-Za-z0-9+/=]{8,}\$[A-Za-z0-9+/=]{16,}", text):
        raise ValueError(
            "should be a hash that python -m edge_reid.web.password_hash has made, not a password"
        )
    return text


class WebUserSettings(Section):
    """Somebody who may log in to the page. NAME is what they type."""

    role: RoleName = "viewer"
    """`viewer` looks, `operator` also enrols and names people, `admin` also removes them."""
    password_hash: Annotated[str, AfterValidator(_password_hash)]
    """The scrypt hash of the password; `python -m edge_reid.web.password_hash` asks for one and
    prints it."""


class WebSettings(ListenerSettings):
    """The live page of the device, for a browser. It needs the extra `[web]`."""

    listen: Annotated[str, AfterValidator(host_and_port)] = WEB_LISTEN
    """Address and port. On a loopback address whoever is on this device may look without a login;
    any other needs `token_file` or users, and TLS. Port 0 takes a free one."""
    token_file: Path | None = None
    """File whose first line is a secret of at least 16 characters; whoever knows it is `admin`."""
    users: dict[Name, WebUserSettings] = Field(default_factory=dict)
    """Those who log in by name and password."""
    cert_file: Path | None = None
    """Certificate of the page, with the chain to its authority: PEM."""
    key_file: Path | None = None
    """The private key of `cert_file`: PEM."""
    behind_proxy: bool = False
    """Whether a proxy before the page speaks TLS with the browsers. The page itself is plain HTTP
    then, and needs a login on loopback too."""
    crops_memory_s: Annotated[float, Field(ge=0, le=86_400)] = 600.0
    """How long the crops of a hit are kept, in memory only."""
    keep_crops_s: Annotated[float, Field(gt=0, le=366 * 86_400)] | None = None
    """How long hits and their crops, which are pictures of people, are also kept on the card, in
    files that only the agent's user can read: a folder `hits-AGENT` beside the outbox. Default: not
    at all; what an earlier setting has left there is deleted when the agent starts."""
    keep_crops_max_bytes: Annotated[int, Field(ge=1 << 20)] = 256 << 20
    """Size of all these files; beyond it the oldest hits are deleted."""

    @property
    def is_open(self) -> bool:
        """Whether nobody logs in."""
        return self.token_file is None and not self.users

    def _mistakes(self) -> Iterator[str]:
        if bool(self.cert_file) != bool(self.key_file):
            yield "cert_file, key_file: should be set both or not at all"
        if self.cert_file and self.behind_proxy:
            yield "behind_proxy: should not be set with cert_file; one of them is TLS"
        if self.is_open and (self.behind_proxy or not self.is_loopback):
            yield "token_file: is missing, or a table [web.users.NAME]; others may reach the page"
        if not (self.is_loopback or self.cert_file or self.key_file or self.behind_proxy):
            yield (
                "cert_file: is missing; other hosts reach the page, so set cert_file and key_file, "
                "or behind_proxy where a proxy speaks TLS"
            )
