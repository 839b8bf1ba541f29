"""What processes hold while they work, and whether it grows."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from support.process_tree import Holding, holding, process_tree

Quantity = Callable[[Holding], float]


def watched(
    root: int, is_on: Callable[[], bool], *, every_s: float, meanwhile: Callable[[], None]
) -> Growth:
    """Look at a process and all that it has started, again and again.

    Args:
        root: its number.
        is_on: whether to look once more.
        every_s: pause between two looks.
        meanwhile: done before each look.
    """
    began_s, growth = time.monotonic(), Growth()
    while is_on():
        meanwhile()
        moment_s = time.monotonic() - began_s
        growth.note(moment_s, {pid: holding(pid) for pid in process_tree(root)})
        time.sleep(every_s)
    return growth


@dataclass(frozen=True)
class Series:
    """What one process held, moment by moment."""

    moments_s: list[float] = field(default_factory=list)
    held: list[Holding] = field(default_factory=list)

    @property
    def lived_s(self) -> float:
        return self.moments_s[-1] - self.moments_s[0]

    def values(self, of: Quantity) -> np.ndarray:
        return np.array([of(each) for each in self.held], float)

    def gained(self, of: Quantity) -> float:
        """From the first look to the last, by the straight line that fits best."""
        return float(np.polyfit(self.moments_s, self.values(of), 1)[0] * self.lived_s)

    def stepped(self, of: Quantity) -> float:
        """The median of the last third of all looks, less that of the first."""
        values, third = self.values(of), max(1, len(self.held) // 3)
        return float(np.median(values[-third:]) - np.median(values[:third]))

    def course(self, of: Quantity) -> str:
        """The medians of each sixth of all looks: whether what grew still grows at the end."""
        sixths = np.array_split(self.values(of), 6)
        return " ".join(f"{np.median(sixth):.1f}" for sixth in sixths if sixth.size)

    def __str__(self) -> str:
        def memory(of: Quantity) -> str:
            return f"{np.median(self.values(of)):.1f} MB {self.gained(of):+.2f}"

        last = self.held[-1]
        return (
            f"{self.lived_s / 60:.0f} min, {len(self.held)} samples: own {memory(own_mb)} "
            f"(by sixths {self.course(own_mb)}), "
            f"PSS {memory(pss_mb)}, RSS {memory(rss_mb)}, "
            f"descriptors {last.descriptors}, threads {last.threads}"
        )


@dataclass(frozen=True)
class Growth:
    """All processes of a tree, watched for a while."""

    series: dict[int, Series] = field(default_factory=dict)
    """By number of the process."""
    counts: list[int] = field(default_factory=list)
    """Processes at each look."""

    def note(self, moment_s: float, held: Mapping[int, Holding | None]) -> None:
        """Take down one look; None: it was going."""
        alive = {pid: each for pid, each in held.items() if each}
        self.counts.append(len(alive))
        for pid, each in alive.items():
            mine = self.series.setdefault(pid, Series())
            mine.moments_s.append(moment_s)
            mine.held.append(each)

    def long_lived(self, least_s: float) -> dict[int, Series]:
        """Those seen for at least so long; of others a slope says nothing."""
        return {pid: each for pid, each in self.series.items() if each.lived_s >= least_s}


def own_mb(held: Holding) -> float:
    return held.own_mb


def pss_mb(held: Holding) -> float:
    return held.pss_mb


def rss_mb(held: Holding) -> float:
    return held.rss_mb


def descriptors(held: Holding) -> float:
    return held.descriptors


def threads(held: Holding) -> float:
    return held.threads
