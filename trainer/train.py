"""A training run, top to bottom: data, network, stages, and what is left in its folder.

The schedule is that of transfer learning: first only the new layers (the base frozen), then most
of the base too, at growing resolution.  A run's folder holds `recipe.json`, `environment.json`,
`curves.jsonl`, `checkpoint.npz` (all that is needed to go on) and `weights.npz` (the moving
average, which is what is exported).
"""

from __future__ import annotations

import json
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

import keras
import numpy as np

from edge_reid.core.errors import TrainingError
from trainer.backbone import freeze_below
from trainer.batches import Batches, TrainingSet, people_per_batch
from trainer.checkpoint import (
    CHECKPOINT,
    Progress,
    read_progress,
    restore_model,
    restore_optimizer,
    save_checkpoint,
)
from trainer.crops import load_crops
from trainer.evaluate import embed_crops, score, split_people
from trainer.heads import add_classifier
from trainer.losses import ReidModel
from trainer.model import (
    RECIPE,
    WEIGHTS,
    build_embedder,
    load_start,
    save_weights,
)
from trainer.recipe import Recipe, Stage, read_recipe
from trainer.rounding import rounded
from trainer.sampler import batches_per_epoch
from trainer.sources import RunData, load_run_data
from trainer.steps import StageRun
from trainer.teacher import load_teacher

_SEEDS_PER_RUN = 1000
"""Stages draw their batches from seeds this far apart."""


def start_run(recipe: Recipe, run: Path) -> dict[str, float]:
    """Train from the start in a new folder; returns the last validation's scores."""
    if (run / CHECKPOINT).exists():
        raise TrainingError(
            f"run {run}: expected a new folder, it holds a run; go on with it by --resume {run}, "
            "or give another --out"
        )
    run.mkdir(parents=True, exist_ok=True)
    (run / RECIPE).write_text(recipe.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return _train(recipe, run)


def resume_run(run: Path) -> dict[str, float]:
    """Go on from a run's last checkpoint."""
    if not (run / CHECKPOINT).is_file():
        raise TrainingError(f"run {run}: expected {CHECKPOINT} there, found none; start it anew")
    return _train(read_recipe(run / RECIPE), run)


def _train(recipe: Recipe, run: Path) -> dict[str, float]:
    keras.utils.set_random_seed(recipe.seed)
    data = load_run_data(recipe)
    if data.left_out:
        print(
            f"left out, one picture only: {len(data.left_out)} people: {', '.join(data.left_out)}"
        )
    _check_can_validate(data)
    _write_environment(run, data)
    progress = read_progress(run)
    if progress.stage >= len(recipe.stages):
        raise TrainingError(f"run {run}: all its stages are done; export it, or add a stage")
    scores: dict[str, float] = {}
    for stage in recipe.stages[progress.stage :]:
        scores = _run_stage(recipe, run, data, stage, progress)
        progress = Progress(stage=progress.stage + 1)
    return scores


def _run_stage(
    recipe: Recipe, run: Path, data: RunData, stage: Stage, at: Progress
) -> dict[str, float]:
    """Run one stage; leaves its averaged weights in the checkpoint for the next."""
    embedder = build_embedder(recipe, stage.height_px, stage.width_px)
    model = _training_model(recipe, stage, embedder, len(data.train.identities))
    if (run / CHECKPOINT).exists():
        restore_model(run, model)
    else:
        load_start(embedder, recipe)
    freeze_below(model, stage.frozen_blocks)
    model.compile(optimizer=_optimizer(recipe), jit_compile=False)
    model.optimizer.build(model.trainable_variables)
    if at.step:
        restore_optimizer(run, model)
    pictures = TrainingSet(
        load_crops(data.train.paths, stage.height_px, stage.width_px, run / "cache"),
        data.train.labels,
        _teacher_rows(recipe, data),
    )
    loop = StageRun(
        recipe,
        stage,
        model,
        run=run,
        steps=max(1, round(stage.epochs * _batches(recipe, data))),
        validate=_Validation(embedder, data, run),
    )
    with Batches(pictures, recipe, seed=_stage_seed(recipe, at), first_step=at.step) as batches:
        scores = loop.go(batches, at)
    model.optimizer.finalize_variable_values(model.trainable_variables)
    save_checkpoint(run, model, Progress(stage=at.stage + 1))
    return scores


def _training_model(
    recipe: Recipe, stage: Stage, embedder: keras.Model, identities: int
) -> ReidModel:
    network = rounded(embedder) if stage.int8_rounding else embedder
    classified = add_classifier(network, identities)
    return ReidModel(classified.input, classified.output, weights=recipe.losses)


def _stage_seed(recipe: Recipe, at: Progress) -> int:
    return recipe.seed + _SEEDS_PER_RUN * at.stage


def _batches(recipe: Recipe, data: RunData) -> int:
    return batches_per_epoch(
        data.train.labels,
        identities=people_per_batch(data.train.labels, recipe),
        images=recipe.images_per_identity,
    )


def _optimizer(recipe: Recipe) -> keras.optimizers.Optimizer:
    optimizer = keras.optimizers.AdamW(
        learning_rate=0.0,
        weight_decay=recipe.weight_decay,
        global_clipnorm=recipe.clip_norm,
        use_ema=True,
        ema_momentum=recipe.ema,
    )
    optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
    return optimizer


def _teacher_rows(recipe: Recipe, data: RunData) -> Any:
    """Teacher rows (N, D), zero where there is none."""
    paths = data.train.paths
    if recipe.teacher is not None:
        rows, missing = load_teacher(recipe.teacher, paths, recipe.dimension)
        if missing:
            print(f"teacher: {missing} of {len(paths)} images have no embedding there")
        return rows
    if distilling := {"regression", "relational"} & set(recipe.losses):
        raise TrainingError(
            f"losses {', '.join(sorted(distilling))}: expected a teacher, the recipe names none"
        )
    return np.zeros((len(paths), recipe.dimension), np.float32)


class _Validation:
    """Scores the network on the held-out people and keeps its weights for export."""

    def __init__(self, embedder: keras.Model, data: RunData, run: Path) -> None:
        height_px, width_px = embedder.input_shape[1:3]
        self._crops = load_crops(data.validation.paths, height_px, width_px, run / "cache")
        self._split = split_people(data.validation, "held-out")
        self._embedder, self._run = embedder, run

    def __call__(self) -> dict[str, float]:
        save_weights(self._embedder, self._run / WEIGHTS)
        report = score(self._split, embed_crops(self._embedder, self._crops))
        return {f"validation_{name}": value for name, value in report.scores().items()}


def _check_can_validate(data: RunData) -> None:
    """Fail before training, not at the first validation."""
    anything = np.ones((len(data.validation), 1), np.float32)
    score(split_people(data.validation, "held-out"), anything)


def _write_environment(run: Path, data: RunData) -> None:
    """What the numbers of a run depend on beside its recipe."""
    facts = {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "backend": keras.backend.backend(),
        **{name: metadata.version(name) for name in ("keras", "numpy", "opencv-python-headless")},
        "training_images": len(data.train),
        "training_identities": len(data.train.identities),
        "validation_images": len(data.validation),
        "held_out": data.held_out,
        "identities_left_out": list(data.left_out),
    }
    (run / "environment.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
