"""The recipe of a training run: everything that decides its result, as one frozen value."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AliasChoices, BeforeValidator, Field, ValidationError, model_validator

from edge_reid.core.bundled_models import MODEL_OF, shipped_model
from edge_reid.core.errors import ConfigError
from edge_reid.core.validation_errors import describe_mistakes
from trainer.recipe.augment_settings import PRESETS, STANDARD, AugmentConfig
from trainer.recipe.loss_settings import Losses, Softmax, Triplet
from trainer.recipe.settings import BackboneName, Positive, Settings
from trainer.recipe.target_settings import Targets

RECIPE = "recipe.json"
"""Of a run: its recipe, in the run's folder."""
Precision: TypeAlias = Literal["auto", "float32", "mixed_bfloat16", "mixed_float16"]
SIZE_STEP_PX = 16
"""Halves without a remainder, down to the sixteenth that `last_stride` 1 embeds."""
_OSNET_WIDTHS = (0.5, 1.0)
_OSNET_LEAST_PX = 32
"""Its last map has a sixteenth of that: below, one pixel, and no convolution of it is one."""
Pixels: TypeAlias = Annotated[int, Field(gt=0, multiple_of=SIZE_STEP_PX)]
PerChannel: TypeAlias = tuple[float, float, float]


class DataSource(Settings):
    """One data set of a run."""

    path: Path
    terms: str = "terms not stated"
    """Under what terms the pictures may be used; goes into the model's manifest."""
    images_per_identity: Annotated[int, Field(ge=2)] | None = None
    """Use at most this many pictures of a person (for near-duplicate frames)."""


class Unlabelled(Settings):
    """Pictures of people whom nobody has named: a teacher says what they show.

    Breadth without labels: as many cameras, places and lights as can be had.
    """

    path: Path
    """A folder or a `.zip` of pictures, searched through however deep they lie."""
    folders: tuple[str, ...] | None = None
    """Take only what lies under these folders of it; several entries may take parts of one."""
    terms: str = "terms not stated"
    """Under what terms the pictures may be used; goes into the model's manifest."""
    folders_are: Literal["cameras", "mixed"] = "mixed"
    """Whether the pictures of each folder in it are of one camera, which `targets` then take out of
    a teacher's answers; never of folders that hold one person each."""
    weight: Positive = 1.0
    """How often one of its pictures is drawn, against one of an entry of weight 1."""


class Stage(Settings):
    """A stretch of training at one resolution with one set of frozen layers."""

    height_px: Pixels
    width_px: Pixels
    epochs: Positive
    least_steps: Annotated[int, Field(ge=1)] = 1
    """Do as many steps even if the epochs of a small data set have fewer."""
    minutes: Positive | None = None
    """End the stage after this wall time if its epochs are not done; the schedule follows."""
    frozen_blocks: Annotated[int, Field(ge=0, le=18)] = 3
    """Leave the stem and this many inverted residual blocks as they are; 18 freezes all."""
    learning_rate: Positive = 1e-3
    """At the end of warm-up; a cosine leads from there to a hundredth of it."""
    warmup_steps: Annotated[int, Field(ge=1)] = 100
    int8_rounding: bool = False
    """Train through the rounding of activations, so that int8 export loses less."""
    end_share: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Part of the weights that the stage ends with in what later stages validate and export, which
    go on from them all the same. The last stage has what `start_share` and all these leave."""


class Teacher(Settings):
    """What a distillation learns from; in a recipe its path alone will do, or a list of several.

    Of several teachers the embeddings are concatenated: the student learns their mean similarity.
    Each is either stored embeddings or a network.  A network's input is (pixel - mean) / std of
    pixels 0..255, in its own channel order: ImageNet networks of PyTorch want mean [123.675,
    116.28, 103.53] and std [58.395, 57.12, 57.375].  A `.tflite` with our manifest needs none of
    this.
    """

    path: Path
    """`.npz` of `names` (N,) and unit `emb` (N, T), whose names end the paths of the images; or a
    network: `.tflite` or the name of a shipped model, `.onnx`, `.keras`, OpenVINO's `.xml` with its
    `.bin` beside it."""
    more: tuple[Path, ...] = ()
    """Further `.npz` of the same teacher, which know other images."""
    channel_order: Literal["rgb", "bgr"] = "rgb"
    mean: float | PerChannel = 0.0
    """Of pixels, one or for each channel in the network's order."""
    std: Positive | tuple[Positive, Positive, Positive] = 1.0
    size: tuple[Annotated[int, Field(gt=0)], Annotated[int, Field(gt=0)]] | None = None
    """Height and width of the input in pixels, where the file leaves them open."""
    output: str | None = None
    """Name of the embedding, where the network has several outputs."""
    mirror: bool = True
    """Take the mean of an image's and its mirror image's embeddings: a better teacher, at twice
    the time, which is spent once."""
    online: bool = False
    """Ask a network at every step about the very view that the student sees (Beyer et al.,
    "Knowledge distillation: a good teacher is patient and consistent", CVPR 2022) instead of once
    about each picture: it teaches more a step, and a step takes its time too."""


def _by_path(value: Any) -> Any:
    return {"path": value} if isinstance(value, str | Path) else value


def _as_list(value: Any) -> Any:
    """A list of teachers from one, from its path, or from none."""
    if value is None:
        return ()
    return value if isinstance(value, list | tuple) else (value,)


def _by_name(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if value not in PRESETS:
        raise ValueError(f"expected one of {', '.join(PRESETS)} or an object, got {value}")
    return PRESETS[value]


class Recipe(Settings):
    """Every setting of a run. The first source gives the identities held out for validation."""

    sources: Annotated[tuple[DataSource, ...], Field(min_length=1)]
    stages: Annotated[tuple[Stage, ...], Field(min_length=1)]
    unlabelled: tuple[Unlabelled, ...] = ()
    """Pictures to learn from a teacher alone, beside those of the sources."""
    unlabelled_per_batch: Annotated[int, Field(ge=1)] = 32
    """How many of them each batch gets in addition to its P×K."""
    imagenet: Path | None = None
    """torchvision's `.pth` or a keras.applications `.h5` of the backbone; else downloaded."""
    start_from: Path | None = None
    """A re-ID checkpoint (`.npz`) to fine-tune instead of ImageNet weights."""
    teachers: Annotated[
        tuple[Annotated[Teacher, BeforeValidator(_by_path)], ...],
        BeforeValidator(_as_list),
        Field(validation_alias=AliasChoices("teachers", "teacher")),
    ] = ()
    """One or several; a recipe may also say `teacher`."""
    teacher_space: Literal["learned", "principal"] | Path = "learned"
    """How a student of another dimension D is compared with teachers of T together: through a
    linear map that training learns; in the D principal directions of what the teachers say of the
    training pictures, so that the student's embedding lives in their space itself; or in those of
    another run, by its `teacher_space.npz`, for weights that began there."""
    targets: Targets = Targets()
    """What is changed in stored answers before they are learnt: cameras taken out."""
    losses: Losses = Losses(softmax=Softmax(), triplet=Triplet())
    """Regression and relational need a teacher."""
    backbone: BackboneName = "mobilenetv2"
    """Of `osnet`, width 0.5 is Intel's person-reidentification-retail-0287 and 1 is -0277; it needs
    `start_from`."""
    alpha: Positive = 1.0
    """Width of the network."""
    last_stride: Literal[1, 2] = 1
    pooling: Literal["average", "gem"] = "average"
    dimension: Annotated[int, Field(ge=8, le=4096)] = 256
    hold_out: Annotated[int, Field(ge=0)] | Literal["everybody"] | None = None
    """Identities of the first source kept aside; default a fifth, at most 100. With "everybody"
    the source is for validation alone, and the network learns from the unlabelled pictures."""
    hold_out_seed: Annotated[int, Field(ge=0)] = 1
    """Draws who is held out, apart from `seed`: a fine-tune with another seed must not be scored
    on people that the weights it starts from were trained on."""
    identities_per_batch: Annotated[int, Field(ge=2)] = 16
    images_per_identity: Annotated[int, Field(ge=2)] = 4
    augment: Annotated[AugmentConfig, BeforeValidator(_by_name)] = STANDARD
    """Or a name: "standard", "cctv" for what other cameras and other light would do, "unseen" for
    cameras whose colours are others."""
    grey_world: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of a crop's colour cast that is taken out before the network sees it, in training after
    all changes of `augment`, and on the device: the model's manifest says so. Nothing for an
    `osnet`, which takes all of it out itself."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    clip_norm: Positive = 5.0
    """Gradients longer than this, over all variables together, are shortened to it."""
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.998
    """Momentum of the moving average of weights, which is what is validated and exported; less at
    first, so that the average covers the last third of the steps done, or less."""
    evaluate_every: Annotated[int, Field(ge=1)] = 400
    """Steps between validations."""
    keep: Literal["last", "best"] = "last"
    """Which weights the run leaves for export: those of its last validation, or of the best one of
    its last stage, by mAP. The best is chosen by what it is then scored on: keep it where the
    people held out are many, or under cameras that nobody trains on."""
    checkpoint_every_s: Annotated[float, Field(ge=0)] = 300.0
    start_share: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Part of the start's weights in what is validated and exported, as `end_share` is of a
    stage's: the mean of a network and its fine-tuned self forgets less (WiSE-FT, Wortsman et al.,
    CVPR 2022). `run/weight_mean.py` has the formula."""
    precision: Precision = "auto"
    """What layers compute in; auto takes bfloat16 where there is an accelerator, else float32."""
    seed: Annotated[int, Field(ge=0)] = 1

    @model_validator(mode="after")
    def _teachers_agree(self) -> Recipe:
        online = {teacher.online for teacher in self.teachers}
        if len(online) > 1:
            raise ValueError("teachers: expected all of them online or none, got both kinds")
        if True in online and self.teacher_space == "principal":
            raise ValueError(
                "teacher_space: principal directions come from stored answers, the teachers are "
                "asked online; give the teacher_space.npz of a run whose teachers were stored"
            )
        if self.targets != Targets() and online != {False}:
            got = "teachers that are asked online" if online else "no teacher"
            raise ValueError(
                f"targets: expected stored answers to take cameras out of, got {got}; name "
                "teachers that are not asked online, or leave targets out"
            )
        return self

    @model_validator(mode="after")
    def _nobody_is_on_a_blend(self) -> Recipe:
        if not self.augment.blend:
            return self
        needing = ", ".join(self.losses.needing_identities())
        if needing or not any(teacher.online for teacher in self.teachers):
            got = f"losses {needing}, which compare people" if needing else "none asked online"
            raise ValueError(
                "augment blend: expected teachers asked online and losses that compare with them "
                f"alone, got {got}; set blend to 0, or change those"
            )
        return self

    @model_validator(mode="after")
    def _unlabelled_need_a_teacher(self) -> Recipe:
        if self.unlabelled and not self.losses.needing_teacher():
            raise ValueError(
                "unlabelled: expected a loss that compares with a teacher, regression or "
                "relational, got none; add one and its teacher, or leave unlabelled out"
            )
        return self

    @model_validator(mode="after")
    def _somebody_is_trained_on(self) -> Recipe:
        if self.hold_out != "everybody":
            return self
        needing = ", ".join(self.losses.needing_identities())
        if needing or not self.unlabelled:
            got = f"losses {needing}, which compare people" if needing else "none"
            raise ValueError(
                "hold_out everybody: expected unlabelled pictures and losses that compare with a "
                f"teacher alone, got {got}; hold fewer out, or leave those losses out"
            )
        if self.targets.identity:
            raise ValueError(
                "targets identity: expected labelled pictures to train on, got none, as hold_out "
                "is everybody; set identity to 0, or hold fewer out"
            )
        if len(self.sources) > 1:
            raise ValueError(
                f"hold_out everybody: expected one source, to validate on, got {len(self.sources)}"
            )
        return self

    @model_validator(mode="after")
    def _share_needs_a_start(self) -> Recipe:
        if self.start_share and self.start_from is None:
            raise ValueError(
                "start_share: expected start_from beside it, the network it takes a share of; set "
                "it, or start_share to 0"
            )
        return self

    @model_validator(mode="after")
    def _the_last_stage_has_a_share(self) -> Recipe:
        *earlier, last = (stage.end_share for stage in self.stages)
        if last:
            raise ValueError(
                f"stages: expected end_share of earlier stages alone, got {last:g} of the last, "
                "which has what they leave; set it to 0"
            )
        # a plain sum of 0.2, 0.7 and 0.1 is a little less than 1
        if (together := math.fsum([self.start_share, *earlier])) >= 1:
            raise ValueError(
                "start_share and end_share: expected less than 1 together, so that the last stage "
                f"has the rest, got {together:g}; lower them"
            )
        return self

    @model_validator(mode="after")
    def _osnet_is_what_it_is(self) -> Recipe:
        if self.backbone != "osnet":
            return self
        if self.alpha not in _OSNET_WIDTHS:
            raise ValueError(
                f"alpha: expected 0.5 or 1 of backbone osnet, got {self.alpha:g}; its gates need "
                "channels in groups of 16"
            )
        if self.start_from is None:
            raise ValueError(
                "start_from: expected weights for backbone osnet, got none, and there are none of "
                "ImageNet for it; --start shipped or open begins with ours, and python -m "
                "trainer.conversion.reid IR.xml --weights FILE.npz makes some of Intel's"
            )
        if small := [s for s in self.stages if min(s.height_px, s.width_px) < _OSNET_LEAST_PX]:
            raise ValueError(
                f"stages: expected crops of {_OSNET_LEAST_PX} pixels a side or more for backbone "
                f"osnet, got {small[0].height_px}x{small[0].width_px}"
            )
        wrong = {
            "pooling": self.pooling != "average",
            "last_stride": self.last_stride != 1,
            "imagenet": self.imagenet is not None,
            "int8_rounding": any(stage.int8_rounding for stage in self.stages),
            "precision": self.precision not in {"auto", "float32"},
            "grey_world": self.grey_world != 0,
        }
        if given := [name for name, changed in wrong.items() if changed]:
            raise ValueError(
                f"{', '.join(given)}: expected nothing beside backbone osnet, with which that does "
                "nothing; leave it out"
            )
        return self

    @property
    def shipped_start(self) -> Path | None:
        """The shipped model whose weights it starts from, if it does."""
        model = MODEL_OF.get(self.start_from.name) if self.start_from else None
        return shipped_model(model) if model else None

    @property
    def trained_on(self) -> tuple[DataSource | Unlabelled, ...]:
        """Where pictures that are trained on lie: not a source that is for validation alone."""
        labelled = () if self.hold_out == "everybody" else self.sources
        return (*labelled, *self.unlabelled)


def make_recipe(settings: Mapping[str, Any]) -> Recipe:
    """A recipe from loose settings; raises ConfigError with every mistake in them."""
    try:
        return Recipe.model_validate(settings)
    except ValidationError as error:
        raise ConfigError("training", describe_mistakes(error)) from error


def read_recipe(path: Path) -> Recipe:
    """A recipe from its JSON file.

    Raises:
        ConfigError: the file is missing, or has mistakes; all of them are listed.
    """
    try:
        return Recipe.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"recipe {path}", [f"cannot be read: {error.strerror}"]) from error
    except ValidationError as error:
        raise ConfigError(f"recipe {path}", describe_mistakes(error)) from error
