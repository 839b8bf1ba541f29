"""What is wrong with a camera: a word that programs can go by, and a line for people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

FaultKind = Literal[
    "unknown-host",
    "unreachable",
    "refused",
    "no-answer",
    "certificate",
    "login",
    "not-found",
    "elsewhere",
    "declined",
    "no-picture",
    "no-key-frame",
    "too-large",
    "hung-up",
    "frozen",
    "damaged",
    "late",
    "black",
]
"""A closed set: the status of a camera says one of these, or none when all is well. `CameraStatus`
lists them for those who read it."""


@dataclass(frozen=True, slots=True)
class CameraFault:
    """Why a camera does not run as it should."""

    kind: FaultKind
    line: str
    """What was expected, what came, and what to do. No login is in it."""

    def __str__(self) -> str:
        return self.line
