"""Where a box will be: a Kalman filter over box centre, centre velocity and box size.

The state is (cx, cy, w, h, vx, vy) in pixels and pixels per second. Time enters in seconds, so a
skipped detection or an uneven frame rate is only a longer step. Velocity fades with time constant
`VELOCITY_MEMORY_S` (an Ornstein-Uhlenbeck velocity, as in Singer 1970, "Estimating optimal tracking
filter performance"): a box that is only predicted runs on for at most `vx · VELOCITY_MEMORY_S` and
then stands still, instead of leaving the picture. Size has no velocity, so it stays between the
sizes that were measured. All noise is relative to the box height, as in deep_sort (Wojke 2017).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_reid.core.geometry import Box

Array = NDArray[np.float64]

VELOCITY_MEMORY_S = 6.0
"""How long a walker keeps going the same way."""

_POSITION_NOISE = 0.05
"""Of a detected centre, in box heights."""
_SIZE_NOISE = 0.1
"""Of a detected side, in box heights."""
_SPEED_SPREAD = 0.7
"""Standard deviation of a walker's velocity, in box heights per second."""
_SIZE_DRIFT = 0.1
"""Random walk of each side, in box heights per square-root second."""

_MEASURED = 4


@dataclass(frozen=True, slots=True, eq=False)
class Motion:
    """What is believed of one box: the mean (6,) and covariance (6, 6) float64 of its state."""

    mean: Array
    covariance: Array

    @property
    def box(self) -> Box:
        cx, cy, width, height = (float(value) for value in self.mean[:_MEASURED])
        return Box.from_centre(cx, cy, width, height)

    @property
    def velocity_px_s(self) -> tuple[float, float]:
        """(vx, vy) of the centre."""
        return float(self.mean[4]), float(self.mean[5])


def begin(box: Box) -> Motion:
    """The belief after one detection: its place is known, its velocity is anybody's."""
    scale = _scale(box.height)
    spread = np.array([_POSITION_NOISE] * 2 + [_SIZE_NOISE] * 2 + [_SPEED_SPREAD] * 2) * scale
    return Motion(np.concatenate([_measurement(box), np.zeros(2)]), np.diag(spread**2))


def predict(motion: Motion, elapsed_s: float) -> Motion:
    """The belief `elapsed_s` ≥ 0 seconds later, without having looked."""
    step = _transition(elapsed_s)
    mean = step @ motion.mean
    noise = _process_noise(elapsed_s, _scale(mean[3]))
    return Motion(mean, step @ motion.covariance @ step.T + noise)


def shift(motion: Motion, shift_px: tuple[float, float]) -> Motion:
    """The same belief in a picture that has moved by (dx, dy)."""
    mean = motion.mean.copy()
    mean[:2] += shift_px
    return Motion(mean, motion.covariance)


def correct(motion: Motion, box: Box, *, doubt: float = 1.0) -> Motion:
    """The belief after a detection at this moment; `doubt` multiplies its measurement noise."""
    spread = np.array([_POSITION_NOISE] * 2 + [_SIZE_NOISE] * 2) * _scale(box.height) * doubt
    # What is measured is independent of each other, in state and noise: no matrix has to be solved.
    # LAPACK would wake its threads for these four numbers, a hundred times their worth.
    innovation = spread**2 + np.diagonal(motion.covariance)[:_MEASURED]
    gain = motion.covariance[:, :_MEASURED] / innovation
    mean = motion.mean + gain @ (_measurement(box) - motion.mean[:_MEASURED])
    covariance = motion.covariance - (gain * innovation) @ gain.T
    return Motion(mean, (covariance + covariance.T) / 2)


def expected(motion: Motion) -> tuple[Array, Array]:
    """What a detection at this moment would measure: mean (4,) and variance (4,) float64 of its
    centre, width and height, in pixels and square pixels.
    """
    noise = np.array([_POSITION_NOISE] * 2 + [_SIZE_NOISE] * 2) * _scale(motion.mean[3])
    return motion.mean[:_MEASURED], np.diagonal(motion.covariance)[:_MEASURED] + noise**2


def _measurement(box: Box) -> Array:
    return np.array([*box.centre, box.width, box.height])


def _scale(height_px: float) -> float:
    return max(float(height_px), 1.0)


def _transition(elapsed_s: float) -> Array:
    kept = math.exp(-elapsed_s / VELOCITY_MEMORY_S)
    step = np.eye(6)
    step[0, 4] = step[1, 5] = VELOCITY_MEMORY_S * (1 - kept)
    step[4, 4] = step[5, 5] = kept
    return step


def _process_noise(elapsed_s: float, scale: float) -> Array:
    """Exact discretisation of dv = −v/τ dt + √(2σ²/τ) dW: keeps the variance of v at σ²."""
    tau, variance = VELOCITY_MEMORY_S, (_SPEED_SPREAD * scale) ** 2
    a = elapsed_s / tau
    kept = math.exp(-a)
    position = variance * tau**2 * (2 * a - 3 + 4 * kept - kept**2)
    cross = variance * tau * (1 - kept) ** 2
    velocity = variance * (1 - kept**2)
    noise = np.zeros((6, 6))
    for place, speed in ((0, 4), (1, 5)):
        noise[place, place], noise[speed, speed] = position, velocity
        noise[place, speed] = noise[speed, place] = cross
    noise[2, 2] = noise[3, 3] = (_SIZE_DRIFT * scale) ** 2 * elapsed_s
    return noise
