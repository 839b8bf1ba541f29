"""What the cameras of an agent decide by: one gallery for all, rules and threshold for each."""

from __future__ import annotations

from collections.abc import Mapping

from edge_reid.agent.policy import MatchPolicy, PolicyHolder
from edge_reid.core.config.decide_settings import DecideSettings
from edge_reid.matching.index import Index


class CameraPolicies:
    """The policies in force, by camera. Written as `PolicyHolder` is.

    Args:
        holders: of each camera, at least one; all policies are of one gallery.
    """

    def __init__(self, holders: Mapping[str, PolicyHolder]) -> None:
        self._holders = dict(holders)

    @property
    def index(self) -> Index:
        """The gallery in force."""
        return self.first.index

    @property
    def first(self) -> MatchPolicy:
        """In force for the first camera."""
        return next(iter(self._holders.values())).current

    def of(self, camera: str) -> PolicyHolder:
        """What this camera decides by."""
        return self._holders[camera]

    def use_gallery(self, index: Index) -> None:
        """Put another gallery of the same model in force."""
        self._swap({name: holder.current.with_gallery(index) for name, holder in self._all})

    def use_threshold(self, threshold: float, camera: str | None = None) -> None:
        """Put a threshold in force that a command has set, for one camera or for all."""
        self._swap(
            {
                name: holder.current.with_threshold(threshold)
                for name, holder in self._all
                if camera in {None, name}
            }
        )

    def use_rules(self, rules: Mapping[str, DecideSettings], index: Index | None = None) -> None:
        """Put other rules in force, and another gallery where one is given.

        Args:
            rules: by camera; one that is not among them keeps its own.
            index: the gallery; None: as it is.

        Raises:
            ModelError: rules give no threshold for the gallery; nothing was changed.
        """
        self._swap(
            {
                name: holder.current.with_rules(rules.get(name, holder.current.rules), index)
                for name, holder in self._all
            }
        )

    @property
    def _all(self) -> tuple[tuple[str, PolicyHolder], ...]:
        return tuple(self._holders.items())

    def _swap(self, policies: Mapping[str, MatchPolicy]) -> None:
        for name, policy in policies.items():
            self._holders[name].swap(policy)
