"""Passwords of the page's users, as scrypt hashes.

`python -m edge_reid.web.password_hash` asks for a password and prints its hash.
"""

from __future__ import annotations

import base64
import getpass
import hashlib
import hmac
import os
import sys
from dataclasses import dataclass

from edge_reid.core.errors import ConfigError

LEAST_LENGTH = 10
"""Characters of a password that is hashed here."""
_COST, _BLOCK, _PARALLEL = 1 << 14, 8, 1
_MOST_COST, _MOST_BLOCK, _MOST_PARALLEL = 1 << 17, 16, 4
"""Of a hash that somebody else made: beyond it a login would take the memory of the frames."""
_MEMORY_BYTES = 300 << 20


@dataclass(frozen=True, slots=True)
class PasswordHash:
    """What is kept of a password."""

    cost: int
    block: int
    parallel: int
    salt: bytes
    digest: bytes

    @classmethod
    def of(cls, password: str) -> PasswordHash:
        """A new hash, with a salt of its own."""
        salt = os.urandom(16)
        return cls(
            _COST, _BLOCK, _PARALLEL, salt, _digest(password, salt, _COST, _BLOCK, _PARALLEL)
        )

    @classmethod
    def parse(cls, text: str) -> PasswordHash:
        """From how `str` writes it.

        Raises:
            ConfigError: it is not such a hash, or takes more time or memory than a device has.
        """
        try:
            name, cost, block, parallel, salt, digest = text.split("$")
            found = cls(int(cost), int(block), int(parallel), _bytes(salt), _bytes(digest))
        except ValueError as error:
            raise _unfit(str(error)) from error
        is_power = found.cost > 1 and found.cost & (found.cost - 1) == 0
        is_small = found.cost <= _MOST_COST and found.block <= _MOST_BLOCK
        if name != "scrypt" or not is_power or not is_small or found.parallel > _MOST_PARALLEL:
            raise _unfit("other parameters")
        return found

    def __str__(self) -> str:
        salt, digest = (base64.b64encode(part).decode() for part in (self.salt, self.digest))
        return f"scrypt${self.cost}${self.block}${self.parallel}${salt}${digest}"

    def is_of(self, password: str) -> bool:
        """Whether it is the hash of this password; takes some 50 ms, whatever the answer."""
        found = _digest(password, self.salt, self.cost, self.block, self.parallel)
        return hmac.compare_digest(found, self.digest)


def _digest(password: str, salt: bytes, cost: int, block: int, parallel: int) -> bytes:
    return hashlib.scrypt(
        password.encode(), salt=salt, n=cost, r=block, p=parallel, maxmem=_MEMORY_BYTES, dklen=32
    )


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _unfit(reason: str) -> ConfigError:
    problem = (
        "web.users: expected password_hash as python -m edge_reid.web.password_hash makes it, "
        f"got {reason}; make it anew"
    )
    return ConfigError("configuration", [problem])


def _main() -> None:
    if sys.argv[1:]:
        sys.stderr.write(
            "error: this program takes no options: it asks for a password, or reads it from "
            "standard input, and prints password_hash of [web.users.NAME]\n"
        )
        sys.exit(2)
    password = getpass.getpass("password: ") if sys.stdin.isatty() else sys.stdin.readline()
    password = password.rstrip("\n")
    if len(password) < LEAST_LENGTH:
        sys.exit(f"error: expected at least {LEAST_LENGTH} characters, got {len(password)}")
    sys.stdout.write(f"{PasswordHash.of(password)}\n")


if __name__ == "__main__":
    _main()
