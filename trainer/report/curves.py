"""Training curves as a report draws them: stages one after the other on one axis of steps."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from trainer.run.run_curves import CURVES, measurement

VALIDATION = "validation_"
RATE = "learning_rate"
_NOT_LOSSES = frozenset({"stage", "step", "elapsed_s", "images_per_s", RATE})


@dataclass(frozen=True, slots=True)
class Curve:
    """One quantity: steps since the start of the run, and its values there."""

    steps: tuple[float, ...]
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class TrainingCurves:
    """All quantities of a run by name, where its stages begin, and what could not be read."""

    losses: dict[str, Curve]
    rate: Curve | None
    validation: dict[str, Curve]
    stage_starts: tuple[float, ...]
    remarks: tuple[str, ...]


def read_training_curves(run: Path) -> TrainingCurves | None:
    """The curves of a run; None when it has none. A broken line is left out and named."""
    path = run / CURVES
    if not path.is_file():
        return None
    lines, remarks = _readable_lines(path)
    starts = _stage_starts(lines)
    names = dict.fromkeys(name for line in lines for name in line)
    curves = {name: _curve(name, lines, starts) for name in names}
    return TrainingCurves(
        losses={n: c for n, c in curves.items() if _is_loss(n)},
        rate=curves.get(RATE),
        validation={
            n.removeprefix(VALIDATION): c for n, c in curves.items() if n.startswith(VALIDATION)
        },
        stage_starts=tuple(starts.values()),
        remarks=remarks,
    )


def _is_loss(name: str) -> bool:
    return name not in _NOT_LOSSES and not name.startswith(VALIDATION)


def _readable_lines(path: Path) -> tuple[list[dict[str, float]], tuple[str, ...]]:
    texts = path.read_text("utf-8", errors="replace").splitlines()
    lines = [measurement(text) for text in texts]
    broken = [number for number, line in enumerate(lines, 1) if line is None]
    return [line for line in lines if line is not None], tuple(
        f"{path.name}, line {number}: no measurement, left out" for number in broken
    )


def _stage_starts(lines: list[dict[str, float]]) -> dict[float, float]:
    """Steps done before each stage."""
    starts: dict[float, float] = {}
    done = 0.0
    for stage in sorted({line["stage"] for line in lines}):
        starts[stage] = done
        done += max(line["step"] for line in lines if line["stage"] == stage)
    return starts


def _curve(name: str, lines: list[dict[str, float]], starts: dict[float, float]) -> Curve:
    having = [line for line in lines if name in line]
    return Curve(
        tuple(starts[line["stage"]] + line["step"] for line in having),
        tuple(line[name] for line in having),
    )
