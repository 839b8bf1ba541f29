"""Groups of identities, from pairs that belong together (union-find)."""

from __future__ import annotations


class Groups:
    """Numbers from 0 that are united in pairs; groups are the connected ones."""

    def __init__(self, count: int) -> None:
        self._first = list(range(count))

    def unite(self, one: int, two: int) -> None:
        first, second = sorted((self._find(one), self._find(two)))
        self._first[second] = first

    def found(self) -> list[list[int]]:
        """Groups of two or more, each in rising order."""
        groups: dict[int, list[int]] = {}
        for number in range(len(self._first)):
            groups.setdefault(self._find(number), []).append(number)
        return [group for group in groups.values() if len(group) > 1]

    def _find(self, number: int) -> int:
        while self._first[number] != number:
            number = self._first[number]
        return number
