"""How a student's targets differ from what its teachers answer."""

from __future__ import annotations

from trainer.recipe.settings import Settings, Share


class Targets(Settings):
    """What is changed in stored answers before a student learns them; by default nothing."""

    camera: Share = 0.0
    """How much of what a camera's pictures have in common is taken out of each answer, where the
    camera is known; of pictures without labels it is where their `folders_are` cameras."""
    identity: Share = 0.0
    """How far each answer of a labelled picture moves to its person's mean over all cameras."""
