"""`cmdline.txt`: what the kernel is told, all in one line."""

from __future__ import annotations

import re
from collections.abc import Mapping

FIRST_RUN = (
    "systemd.run=/boot/firmware/firstrun.sh",
    "systemd.run_success_action=reboot",
    "systemd.run_failure_action=reboot",
    "systemd.unit=kernel-command-line.target",
)
"""How Raspberry Pi Imager has a script run before anything else, on images without cloud-init."""
COUNT_MEMORY = "cgroup_enable=memory"
"""For good: without it the memory limits of the agents' units do nothing, as the firmware says
`cgroup_disable=memory`. It says so before this line, and the last word on a matter holds.
"""
_REGION = "cfg80211.ieee80211_regdom"


def with_setup(line: str, *, first_run: bool, instance: str | None, country: str | None) -> str:
    """The line with our words in it; the same again when it has them already.

    Args:
        line: as it is on the card.
        first_run: run firstrun.sh when it starts.
        instance: what cloud-init shall take this installation for; another than before, and it
            sets up everything anew.
        country: whose rules the radio keeps to, two letters.
    """
    words = line.split()
    words = [word for word in words if not (first_run and _is_of_systemd(word))]
    wanted = {"ds": instance and f"nocloud;i={instance}", _REGION: country}
    words = _without(words, {key: value for key, value in wanted.items() if value})
    words += [f"{key}={value}" for key, value in wanted.items() if value]
    words = [*(word for word in words if word != COUNT_MEMORY), COUNT_MEMORY]
    words += FIRST_RUN if first_run else ()
    return " ".join(words) + "\n"


def instance_of_imager(line: str) -> bool:
    """Whether Raspberry Pi Imager has set the card up for cloud-init itself."""
    return re.search(r"\bds=nocloud;i=rpi-imager", line) is not None


def _without(words: list[str], keys: Mapping[str, str]) -> list[str]:
    return [word for word in words if word.partition("=")[0] not in keys]


def _is_of_systemd(word: str) -> bool:
    return word.startswith(("systemd.run", "systemd.unit="))
