"""Wi-Fi and Ethernet as NetworkManager reads them, from both generations of Pi OS on."""

from __future__ import annotations

import hashlib
import re
import uuid
from dataclasses import dataclass, field
from ipaddress import ip_interface

from edge_reid.core.errors import UsageError

_ROUNDS = 4096
_KEY_BYTES = 32
_SHORTEST, _LONGEST = 8, 63
_NAMESPACE = uuid.UUID("6f1f1c7c-2b0e-5c0e-9c55-3a0c2a2f3f5e")
"""Connections of the same name get the same UUID: doing it again makes no second one."""


@dataclass(frozen=True, slots=True)
class Wifi:
    """A network, and the key that opens it."""

    ssid: str
    country: str
    psk: str = field(repr=False)
    """64 hex digits."""

    @classmethod
    def from_password(cls, ssid: str, country: str, password: str) -> Wifi:
        """The key is derived here, so that the password itself is not on the card.

        Raises:
            UsageError: no network can have that password.
        """
        return cls(ssid, country, psk_of(ssid, password))

    def connection(self) -> str:
        """A `.nmconnection`."""
        return _connection("edge-reid-wifi", "wifi") + (
            f"[wifi]\nmode=infrastructure\nssid={_bytes(self.ssid)}\n\n"
            f"[wifi-security]\nkey-mgmt=wpa-psk\npsk={self.psk}\n\n"
            "[ipv4]\nmethod=auto\n\n[ipv6]\nmethod=auto\n"
        )


@dataclass(frozen=True, slots=True)
class FixedAddress:
    """Of the cable; without one, a device asks by DHCP."""

    address: str
    """With its prefix: 192.0.2.17/24."""
    gateway: str | None = None
    dns: tuple[str, ...] = ()

    def connection(self) -> str:
        """A `.nmconnection`."""
        family = ip_interface(self.address).version
        lines = [f"[ipv{family}]", "method=manual", f"address1={self.address}"]
        lines += [f"gateway={self.gateway}"] if self.gateway else []
        own = [server for server in self.dns if (":" in server) == (family == 6)]  # noqa: PLR2004 - IPv6
        lines += [f"dns={';'.join(own)};"] if own else []
        other = f"[ipv{4 if family == 6 else 6}]\nmethod=auto\n"  # noqa: PLR2004
        return _connection("edge-reid-cable", "ethernet") + "\n".join(lines) + f"\n\n{other}"


def psk_of(ssid: str, password: str) -> str:
    """The key of a WPA2 network: PBKDF2-HMAC-SHA1 of the password, salted with the name.

    64 hex digits are a key already.

    Raises:
        UsageError: it is no password of a WPA2 network.
    """
    if re.fullmatch(r"[0-9a-fA-F]{64}", password):
        return password.lower()
    if not (_SHORTEST <= len(password) <= _LONGEST and password.isascii()):
        raise UsageError(
            f"Wi-Fi {ssid}: expected a password of {_SHORTEST} to {_LONGEST} ASCII characters, "
            f"got one of {len(password)}"
        )
    return hashlib.pbkdf2_hmac("sha1", password.encode(), ssid.encode(), _ROUNDS, _KEY_BYTES).hex()


def _connection(name: str, kind: str) -> str:
    return (
        f"[connection]\nid={name}\nuuid={uuid.uuid5(_NAMESPACE, name)}\ntype={kind}\n"
        "autoconnect=true\n\n"
    )


def _bytes(text: str) -> str:
    """Byte by byte, the one form in which no character has a meaning of its own."""
    return "".join(f"{byte};" for byte in text.encode())
