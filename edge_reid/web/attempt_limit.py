"""How often somebody may try to log in."""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

FAILURES_EACH = 5
FAILURES_OF_ALL = 50
SPAN_S = 60.0
_MOST_ADDRESSES = 1000
_MOST_OF_NAME = 64
"""Characters; no user has a longer one, and an attacker's would take memory."""


@dataclass(frozen=True, slots=True, eq=False)
class LoginAttempt:
    """Somebody tries to log in."""

    address: str
    name: str
    began_s: float
    """Monotonic."""


Failures = deque[LoginAttempt]


class AttemptLimit:
    """Failed attempts of the last minute, by address and of all.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._of_all = Failures(maxlen=FAILURES_OF_ALL)
        self._by_address: OrderedDict[str, Failures] = OrderedDict()

    def wait_s(self, address: str) -> float:
        """Until the next attempt from this address is allowed; 0: it is now."""
        return max(
            self._wait_s(self._of_all, FAILURES_OF_ALL),
            self._wait_s(self._by_address.get(address, Failures()), FAILURES_EACH),
        )

    def begin(self, address: str, name: str) -> LoginAttempt:
        """An attempt counts as failed from its beginning, so that many at once are many."""
        attempt = LoginAttempt(address, name[:_MOST_OF_NAME], self._clock())
        self._of_all.append(attempt)
        self._by_address.setdefault(address, Failures(maxlen=FAILURES_EACH)).append(attempt)
        self._by_address.move_to_end(address)
        while len(self._by_address) > _MOST_ADDRESSES:
            self._by_address.popitem(last=False)
        return attempt

    def succeeded(self, attempt: LoginAttempt) -> None:
        """It was right: from its address its name begins anew. Failures of other names stay, since
        behind a proxy all have one address, whoever guesses and whoever logs in.
        """
        with suppress(ValueError):  # newer ones have taken its place
            self._of_all.remove(attempt)
        failures = self._by_address.get(attempt.address, Failures())
        for failure in [each for each in failures if each.name == attempt.name]:
            failures.remove(failure)

    def _wait_s(self, failures: Failures, most: int) -> float:
        if len(failures) < most:
            return 0.0
        return max(0.0, failures[0].began_s + SPAN_S - self._clock())
