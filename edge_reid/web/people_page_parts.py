"""What the pages of people, of enrolling and of strangers work with."""

from __future__ import annotations

from dataclasses import dataclass

from edge_reid.core.config.agent_settings import AgentSettings
from edge_reid.web.page_entrance import PageEntrance
from edge_reid.web.page_gallery import PageGallery
from edge_reid.web.pending_enrolments import PendingEnrolments
from edge_reid.web.run_seen import RunSeen


@dataclass(frozen=True, slots=True, eq=False)
class PeoplePageParts:
    """One of each for all of them.

    Attributes:
        settings: of the agent.
        run: what is shown of it.
        entrance: who may.
        gallery: what is looked at and changed.
        pending: enrolments that wait for a word.
    """

    settings: AgentSettings
    run: RunSeen
    entrance: PageEntrance
    gallery: PageGallery
    pending: PendingEnrolments
