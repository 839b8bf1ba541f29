"""How hot the device is, where its kernel says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

_ZONES = Path("/sys/class/thermal")


def temperatures_celsius(zones: Path = _ZONES) -> Iterator[tuple[str, float]]:
    """Each sensor with what it measures now; two of one kind are told apart by their zones.

    Args:
        zones: the folder in which the kernel has a `thermal_zone` for each sensor.
    """
    seen: set[str] = set()
    for zone in sorted(zones.glob("thermal_zone*")):
        try:
            kind = (zone / "type").read_text(encoding="ascii", errors="replace").strip()
            celsius = int((zone / "temp").read_text(encoding="ascii")) / 1000
        except (OSError, ValueError):  # a sensor that sleeps, or gives nothing
            continue
        yield (f"{kind} {zone.name}" if kind in seen else kind), celsius
        seen.add(kind)
