"""The trainer's side of `edge-reid experiment`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import track
from rich.table import Table

from edge_reid.core.bundled_models import EMBEDDING, shipped_model
from edge_reid.core.manifest import EmbeddingManifest, load_embedding_manifest
from trainer.data.datasets import PersonData
from trainer.experiment.chart import draw_accuracies
from trainer.experiment.closed_set import TrialPlan, closed_set, open_eyes
from trainer.experiment.outcomes import PAPER_ACCURACY, TrialOutcome, TrialSummary, summarise
from trainer.scoring.data_refs import people_of, recipe_at

_console = Console()


def run_closed_set(
    ref: Path,
    plan: TrialPlan,
    *,
    model: Path | None,
    imagenet: Path | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Run the experiment, print its result, and keep it under `out` if given."""
    model = model or shipped_model(EMBEDDING)
    manifest = load_embedding_manifest(model)
    data = people_of(ref)
    remark = training_remark(manifest, data, ref)
    eyes = open_eyes(data, model, imagenet, plan.seed)
    screen = Console(stderr=True)
    trials = track(
        closed_set(data, eyes, plan),
        "trials",
        total=plan.trials,
        console=screen,
        transient=True,
        disable=not screen.is_terminal,
    )
    outcomes = [outcome for trial in trials for outcome in trial]
    summaries = summarise(outcomes)
    record = {
        "data": str(ref),
        "model_id": manifest.model_id,
        "plan": asdict(plan),
        "paper_accuracy": PAPER_ACCURACY,
        "remark": remark,
        "summaries": [asdict(summary) for summary in summaries],
        "outcomes": [asdict(outcome) for outcome in outcomes],
    }
    if out is not None:
        _keep(out, record, outcomes)
    if as_json:
        _console.print_json(json.dumps(record))
    else:
        _show(summaries, remark)


def training_remark(manifest: EmbeddingManifest, data: PersonData, ref: Path) -> str:
    """What a reader must know of the people: whether the model may have been trained on them."""
    name = manifest.name
    trained_on = [source.split(":")[0] for source in manifest.training_data]
    folders = {part for path in data.paths for part in path.parts}
    shared = ", ".join(source for source in trained_on if source in folders)
    if recipe_at(ref):
        return (
            f"people that {ref} holds out: unseen by {name} only if it was trained by this "
            "recipe, from weights that had not seen them either"
        )
    if shared:
        return (
            f"warning: {name} was trained on {shared}: it has probably seen these people, "
            "and nearest template looks better than it is"
        )
    known = ", ".join(trained_on) or "data that its manifest does not name"
    return f"{name} was trained on {known}: make sure that these people are not among them"


def _keep(out: Path, record: dict[str, object], outcomes: Sequence[TrialOutcome]) -> None:
    out.mkdir(parents=True, exist_ok=True)
    text = json.dumps(record, indent=2) + "\n"
    (out / "closed_set.json").write_text(text, encoding="utf-8")
    draw_accuracies(outcomes, out / "closed_set.png")


def _show(summaries: Sequence[TrialSummary], remark: str) -> None:
    title = f"closed-set accuracy in %; the paper's: {100 * PAPER_ACCURACY:.2f}"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in ("split", "method"):
        table.add_column(name, no_wrap=True)
    for name in ("mean", "worst", "95 %", "≥ paper", "images", "s"):
        table.add_column(name, justify="right", no_wrap=True)
    for summary in summaries:
        low, high = summary.interval
        table.add_row(
            summary.cut,
            summary.method,
            f"{100 * summary.mean:.2f}",
            f"{100 * summary.worst:.1f}",
            f"{100 * low:.1f}–{100 * high:.1f}",
            f"{round(summary.reaching_paper * summary.trials)}/{summary.trials}",
            f"{summary.tested}",
            f"{summary.time_s:.1f}",
        )
    _console.print(table)
    _console.print(remark, highlight=False)
