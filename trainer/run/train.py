"""A training run, top to bottom: data, network, stages, and what is left in its folder.

The schedule is that of transfer learning: first only the new layers (the base frozen), then most
of the base too, at growing resolution.  A run's folder holds `recipe.json`, `environment.json`,
`curves.jsonl`, `metrics.json`, `tensorboard/`, `checkpoint.npz` (all that is needed to go on) and
`weights.npz` (the moving average, which is what is exported: of the last validation, or of the
best where the recipe says so), and `stage-1.npz` and so on of stages that have a share in that.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import keras

from edge_reid.core.errors import TrainingError
from trainer.data.batches import Batches, TrainingSet, labelled_per_batch, steps_per_epoch
from trainer.data.decoded_crops import load_crops
from trainer.data.run_data import CACHE, RunData, load_run_data
from trainer.files.disk import full_disk_explained
from trainer.network.backbone import freeze_below
from trainer.network.model import build_embedder, load_start
from trainer.network.objective import ReidModel, training_model
from trainer.network.optimizer import make_optimizer
from trainer.recipe.recipe import RECIPE, Recipe, read_recipe
from trainer.run.checkpoint import (
    Checkpoint,
    TrainingPosition,
    checkpoint_of,
    read_checkpoint,
    restore_model,
    restore_optimizer,
    write_checkpoint,
)
from trainer.run.devices import chosen_precision, computing_in, shared_out
from trainer.run.environment import write_environment
from trainer.run.kept_weights import kept_scores
from trainer.run.run_folder import made_for_good
from trainer.run.run_validation import SCORES_IN_WORDS, RunValidation, check_can_validate
from trainer.run.training_loop import StageRun, averaged_weights
from trainer.run.weight_mean import keep_stage_end
from trainer.teacher.student_targets import Seen
from trainer.teacher.teaching import Teaching, find_teaching

_SEEDS_PER_RUN = 1000
"""Stages draw their batches from seeds this far apart."""


def start_run(recipe: Recipe, run: Path) -> dict[str, float]:
    """Train from the start in a new folder; returns the scores of the weights it leaves."""
    if read_checkpoint(run) is not None:
        raise TrainingError(
            f"run {run}: expected a new folder, it holds a run; go on with it by --resume {run}, "
            "or give another --out"
        )
    with made_for_good(run):
        data = _usable_data(recipe, run)
    with full_disk_explained(run):
        (run / RECIPE).write_text(recipe.model_dump_json(indent=2) + "\n", encoding="utf-8")
        return _run_stages(recipe, run, data)


def resume_run(run: Path) -> dict[str, float]:
    """Go on from a run's last checkpoint, or from the start where it has none yet."""
    if not (run / RECIPE).is_file():
        raise TrainingError(f"run {run}: expected {RECIPE} there, got none; give a run's folder")
    recipe = read_recipe(run / RECIPE)
    data = _usable_data(recipe, run)
    with full_disk_explained(run):
        return _run_stages(recipe, run, data)


def _usable_data(recipe: Recipe, run: Path) -> RunData:
    """The pictures of a run, of which it is said what they are."""
    data = load_run_data(recipe, unpacked=run / CACHE)
    remarks = *data.remarks(), data.training_remark(), data.validation_remark(), SCORES_IN_WORDS
    print(*remarks, sep="\n")
    check_can_validate(data)
    return data


def _run_stages(recipe: Recipe, run: Path, data: RunData) -> dict[str, float]:
    """Run the stages that are left; returns the scores of the weights left.

    What a stage begins with is read from disk, so a resumed run is no special case.
    """
    saved = read_checkpoint(run)
    at = _reached(saved)
    if at.stage >= len(recipe.stages):
        raise TrainingError(f"run {run}: all its stages are done; export it, or add a stage")
    precision = chosen_precision(recipe)
    write_environment(run, data, at, precision)
    teaching = find_teaching(
        recipe, data.training_paths, Seen(data.training_cameras, data.training_people), run
    )
    unlabelled = min(recipe.unlabelled_per_batch, len(data.unlabelled))
    batch_size = labelled_per_batch(data.train.labels, recipe) + unlabelled
    scores: dict[str, float] = {}
    while at.stage < len(recipe.stages):
        # Each stage draws its new layers from the seed, whatever came before in this process.
        keras.utils.set_random_seed(recipe.seed)
        with shared_out(batch_size), computing_in(precision):
            scores = _run_stage(recipe, run, data, teaching, saved)
        saved = read_checkpoint(run)
        at = _reached(saved)
    shutil.rmtree(run / CACHE)
    return scores


def _reached(saved: Checkpoint | None) -> TrainingPosition:
    return saved.at if saved else TrainingPosition()


def _run_stage(
    recipe: Recipe, run: Path, data: RunData, teaching: Teaching, saved: Checkpoint | None
) -> dict[str, float]:
    """Run one stage; leaves its averaged weights in the checkpoint for the next.

    Returns the scores of what it leaves for export.
    """
    at = _reached(saved)
    stage = recipe.stages[at.stage]
    embedder = build_embedder(recipe, stage.height_px, stage.width_px)
    model = training_model(
        recipe,
        stage,
        embedder,
        identities=len(data.train.identities),
        labelled=labelled_per_batch(data.train.labels, recipe),
        teacher_dimension=teaching.dimension,
    )
    _begin(model, embedder, recipe, saved)
    keep_stage_end(recipe, run, saved, embedder)
    epochs_steps = round(
        stage.epochs * steps_per_epoch(data.train.labels, recipe, len(data.unlabelled))
    )
    pictures = TrainingSet(
        load_crops(data.training_paths, stage.height_px, stage.width_px, run / CACHE),
        data.train.labels,
        teaching.rows,
        data.unlabelled.weights,
        teaching.online,
    )
    loop = StageRun(
        recipe,
        stage,
        model,
        run=run,
        steps=max(stage.least_steps, epochs_steps),
        validate=RunValidation(recipe, embedder, data, run, at),
    )
    seed = recipe.seed + _SEEDS_PER_RUN * at.stage
    with Batches(pictures, recipe, seed=seed, first_step=at.step) as batches:
        scores = loop.go(batches, at)
    with averaged_weights(model):
        write_checkpoint(checkpoint_of(run, model, TrainingPosition(stage=at.stage + 1)))
    return kept_scores(run, at.stage) if recipe.keep == "best" else scores


def _begin(
    model: ReidModel, embedder: keras.Model, recipe: Recipe, saved: Checkpoint | None
) -> None:
    """Give a stage's model its weights and its optimizer, from the recipe or as they were saved."""
    at = _reached(saved)
    if saved is None:
        load_start(embedder, recipe)
    else:
        restore_model(saved, model)
    freeze_below(model, recipe.stages[at.stage].frozen_blocks)
    # Keras runs JAX op by op unless told to compile; XLA is slower than TensorFlow on a CPU.
    model.compile(optimizer=make_optimizer(recipe), jit_compile=keras.backend.backend() == "jax")
    model.optimizer.build(model.trainable_variables)
    if saved is not None and at.step:
        restore_optimizer(saved, model)
