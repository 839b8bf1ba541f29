"""Faults of a camera: a word for programs, and a line for people."""

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
    "covered",
    "one-stream",
    "streams-differ",
]
"""The words that `fault` in the status of a camera may have; `CameraStatus` explains them."""


@dataclass(frozen=True, slots=True)
class CameraFault:
    """Why a camera does not run as it should."""

    kind: FaultKind
    line: str
    """What was expected, what came, and what to do; without any login."""

    def __str__(self) -> str:
        return self.line
