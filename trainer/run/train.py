"""A training run, top to bottom: data, network, stages, and what is left in its folder.

The schedule is that of transfer learning: first only the new layers (the base frozen), then most
of the base too, at growing resolution.  A run's folder holds `recipe.json`, `environment.json`,
`curves.jsonl`, `metrics.json`, `tensorboard/`, `checkpoint.npz` (all that is needed to go on) and
`weights.npz` (the moving average, which is what is exported).
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import keras
import numpy as np
import numpy.typing as npt

from edge_reid.core.errors import TrainingError
from trainer.data.batches import Batches, TrainingSet, people_per_batch
from trainer.data.decoded_crops import load_crops
from trainer.data.run_data import RunData, load_run_data
from trainer.data.sampler import batches_per_epoch
from trainer.files.disk import full_disk_explained
from trainer.network.backbone import freeze_below
from trainer.network.fake_quant import rounded
from trainer.network.heads import add_training_heads
from trainer.network.model import (
    WEIGHTS,
    build_embedder,
    load_start,
    save_weights,
    set_weights_by_name,
    weights_by_name,
)
from trainer.network.objective import ReidModel
from trainer.network.optimizer import AveragingAdamW
from trainer.recipe.recipe import RECIPE, Recipe, Stage, read_recipe
from trainer.run.checkpoint import (
    Checkpoint,
    TrainingPosition,
    check_finite,
    checkpoint_of,
    read_checkpoint,
    restore_model,
    restore_optimizer,
    write_checkpoint,
)
from trainer.run.devices import chosen_precision, computing_in, on_one_device, shared_out
from trainer.run.environment import write_environment
from trainer.run.training_loop import StageRun, averaged_weights
from trainer.scoring.crop_embeddings import CropEmbeddings
from trainer.scoring.evaluate import embed_crops, score, validation_split
from trainer.teacher.online_teacher import open_online
from trainer.teacher.stored_teacher import find_teachers
from trainer.teacher.teacher_space import find_directions, into_space

FloatArray: TypeAlias = npt.NDArray[np.float32]
ImageBatch: TypeAlias = npt.NDArray[np.uint8]

_ANY_SIZE = 64, 32
"""Height and width in pixels of a view that tells how many numbers teachers say."""
_CACHE = "cache"
"""In a run's folder: decoded pictures of people, which nothing needs when the run is done."""
_SEEDS_PER_RUN = 1000
"""Stages draw their batches from seeds this far apart."""


def start_run(recipe: Recipe, run: Path) -> dict[str, float]:
    """Train from the start in a new folder; returns the last validation's scores."""
    if read_checkpoint(run) is not None:
        raise TrainingError(
            f"run {run}: expected a new folder, it holds a run; go on with it by --resume {run}, "
            "or give another --out"
        )
    with full_disk_explained(run):
        run.mkdir(parents=True, exist_ok=True)
        (run / RECIPE).write_text(recipe.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return _train(recipe, run)


def resume_run(run: Path) -> dict[str, float]:
    """Go on from a run's last checkpoint, or from the start where it has none yet."""
    if not (run / RECIPE).is_file():
        raise TrainingError(f"run {run}: expected {RECIPE} there, got none; give a run's folder")
    return _train(read_recipe(run / RECIPE), run)


def _train(recipe: Recipe, run: Path) -> dict[str, float]:
    data = load_run_data(recipe, unpacked=run / _CACHE)
    for remark in (*data.remarks(), data.validation_remark()):
        print(remark)
    _check_can_validate(data)
    with full_disk_explained(run):
        return _run_stages(recipe, run, data)


def _run_stages(recipe: Recipe, run: Path, data: RunData) -> dict[str, float]:
    """What a stage begins with is read from disk, so a resumed run is no special case."""
    saved = read_checkpoint(run)
    at = _reached(saved)
    if at.stage >= len(recipe.stages):
        raise TrainingError(f"run {run}: all its stages are done; export it, or add a stage")
    precision = chosen_precision(recipe.precision)
    write_environment(run, data, at, precision)
    teaching = _find_teaching(recipe, data, run)
    scores: dict[str, float] = {}
    while at.stage < len(recipe.stages):
        # Each stage draws its new layers from the seed, whatever came before in this process.
        keras.utils.set_random_seed(recipe.seed)
        with shared_out(_batch_size(recipe, data)), computing_in(precision):
            scores = _run_stage(recipe, run, data, teaching, saved)
        saved = read_checkpoint(run)
        at = _reached(saved)
    shutil.rmtree(run / _CACHE)
    return scores


@dataclass(frozen=True, slots=True, eq=False)
class _Teaching:
    """What teachers say in this run: rows of the training pictures, or whom to ask."""

    rows: FloatArray
    online: Callable[[ImageBatch], FloatArray] | None
    dimension: int


def _find_teaching(recipe: Recipe, data: RunData, run: Path) -> _Teaching:
    answers = find_teachers(recipe, data.training_paths, run)
    if answers.missing:
        print(answers.remark())
    directions = find_directions(recipe, answers.rows, run)
    if (online := open_online(recipe)) is None:
        rows = into_space(answers.rows, directions)
        return _Teaching(rows, None, rows.shape[1])
    blank = np.zeros((1, *_ANY_SIZE, 3), np.uint8)
    dimension = into_space(online(blank), directions).shape[1]
    return _Teaching(answers.rows, lambda views: into_space(online(views), directions), dimension)


def _reached(saved: Checkpoint | None) -> TrainingPosition:
    return saved.at if saved else TrainingPosition()


def _run_stage(
    recipe: Recipe, run: Path, data: RunData, teaching: _Teaching, saved: Checkpoint | None
) -> dict[str, float]:
    """Run one stage; leaves its averaged weights in the checkpoint for the next."""
    at = _reached(saved)
    stage = recipe.stages[at.stage]
    embedder = build_embedder(recipe, stage.height_px, stage.width_px)
    model = _training_model(recipe, stage, embedder, data, teaching.dimension)
    if saved is None:
        load_start(embedder, recipe)
    else:
        restore_model(saved, model)
    freeze_below(model, stage.frozen_blocks)
    steps = max(stage.least_steps, round(stage.epochs * _batches(recipe, data)))
    # Keras runs JAX op by op unless told to compile; XLA is slower than TensorFlow on a CPU.
    model.compile(optimizer=make_optimizer(recipe), jit_compile=keras.backend.backend() == "jax")
    model.optimizer.build(model.trainable_variables)
    if saved is not None and at.step:
        restore_optimizer(saved, model)
    pictures = TrainingSet(
        load_crops(data.training_paths, stage.height_px, stage.width_px, run / _CACHE),
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
        steps=steps,
        validate=_Validation(recipe, stage, embedder, data, run),
    )
    with Batches(pictures, recipe, seed=_stage_seed(recipe, at), first_step=at.step) as batches:
        scores = loop.go(batches, at)
    with averaged_weights(model):
        write_checkpoint(checkpoint_of(run, model, TrainingPosition(stage=at.stage + 1)))
    return scores


def _training_model(
    recipe: Recipe,
    stage: Stage,
    embedder: keras.Model,
    data: RunData,
    teacher_dimension: int,
) -> ReidModel:
    network = rounded(embedder) if stage.int8_rounding else embedder
    identities = len(data.train.identities)
    trained = add_training_heads(network, identities, recipe.losses, teacher_dimension)
    # Losses are sums of many small numbers, for which half precision is too coarse.
    outputs = {name: keras.ops.cast(out, "float32") for name, out in trained.output.items()}
    labelled = _labelled_per_batch(recipe, data)
    return ReidModel(trained.input, outputs, losses=recipe.losses, labelled=labelled)


def _stage_seed(recipe: Recipe, at: TrainingPosition) -> int:
    return recipe.seed + _SEEDS_PER_RUN * at.stage


def _batches(recipe: Recipe, data: RunData) -> int:
    return batches_per_epoch(
        data.train.labels,
        identities=people_per_batch(data.train.labels, recipe),
        images=recipe.images_per_identity,
    )


def _batch_size(recipe: Recipe, data: RunData) -> int:
    others = min(recipe.unlabelled_per_batch, len(data.unlabelled))
    return _labelled_per_batch(recipe, data) + others


def _labelled_per_batch(recipe: Recipe, data: RunData) -> int:
    return people_per_batch(data.train.labels, recipe) * recipe.images_per_identity


def make_optimizer(recipe: Recipe) -> keras.optimizers.Optimizer:
    """AdamW with the recipe's clipping and moving average; its rate is set at every step."""
    optimizer = AveragingAdamW(
        learning_rate=0.0,
        weight_decay=recipe.weight_decay,
        global_clipnorm=recipe.clip_norm,
        use_ema=True,
        ema_momentum=recipe.ema,
    )
    optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias", "power"])
    return optimizer


class _Validation:
    """Scores the network as it will be exported, in float32, and keeps its weights for export."""

    def __init__(
        self, recipe: Recipe, stage: Stage, embedder: keras.Model, data: RunData, run: Path
    ) -> None:
        size = stage.height_px, stage.width_px
        self._crops = load_crops(data.validation.paths, *size, run / _CACHE)
        self._split = validation_split(data)
        self._trained, self._run = embedder, run
        with on_one_device(), computing_in("float32"):
            self._exported = build_embedder(recipe, *size)
        self._share, self._start = recipe.start_share, {}
        if self._share:
            load_start(self._exported, recipe)
            self._start = weights_by_name(self._exported)

    def __call__(self, at: TrainingPosition) -> dict[str, float]:
        weights = weights_by_name(self._trained)
        check_finite(weights, self._run, at)
        for name, start in self._start.items():
            weights[name] = (1.0 - self._share) * weights[name] + self._share * start
        with on_one_device():
            set_weights_by_name(self._exported, weights, "of the network in training")
            save_weights(self._exported, self._run / WEIGHTS)
            rows = embed_crops(self._exported, self._crops)
            report = score(self._split, CropEmbeddings.of_equal_quality(rows))
        return {f"validation_{name}": value for name, value in report.scores().items()}


def _check_can_validate(data: RunData) -> None:
    """Fail before training, not at the first validation."""
    anything = np.ones((len(data.validation), 1), np.float32)
    score(validation_split(data), CropEmbeddings.of_equal_quality(anything))
