"""Options that several verbs take: each is spelled, typed and explained here, and only here.

A verb says whether it must be given and what its default is. The options of a broker are in
`broker_options.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from edge_reid.core.bundled_models import ModelKind, model_file, model_mistake, wanted_model
from edge_reid.core.errors import UsageError
from edge_reid.core.foreign_text import TYPED_MAX, shown

DEFAULT_GALLERY = Path("gallery.db")
DEFAULT_STRANGERS = Path("strangers.db")
LARGEST_NUMBER = 2**63 - 1
"""That a database takes."""


def storable(parameter: typer.CallbackParam, given: Any) -> Any:
    """For the `callback` of an option that takes numbers of a database.

    The option has no `max`, since a help text would show it with all its digits.
    """
    for number in given if isinstance(given, list | tuple) else [given]:
        if number is not None and number > LARGEST_NUMBER:
            raise UsageError(
                f"{parameter.opts[0]}: expected a number less than or equal to {LARGEST_NUMBER}, "
                f"got {shown(str(number), TYPED_MAX)}"
            )
    return given


# Which site, camera, gallery, file of settings
SiteOption = Annotated[str, typer.Option("--site", help="The site.")]
OnlySiteOption = Annotated[
    str | None, typer.Option("--site", help="Only this site. [default: all]")
]
ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="The agent's settings, a TOML file.")
]
SiteFileOption = Annotated[Path, typer.Option("--config", help="The site's file, site.toml.")]
GalleryOption = Annotated[Path, typer.Option("--gallery", "-g", help="The gallery's file.")]
AnyGalleryOption = Annotated[
    Path | None, typer.Option("--gallery", "-g", help="The gallery's file. [default: none]")
]
StrangersOption = Annotated[
    Path,
    typer.Option("--strangers", metavar="FILE", help="The device's file of unknown people."),
]
TemplateOption = Annotated[
    list[int] | None,
    typer.Option(
        metavar="NUMBER",
        callback=storable,
        help="Only the template of this number in `gallery show`. Repeatable.",
    ),
]


# Models, and what runs them
def shipped_by_name(kind: ModelKind, *, or_run: bool = False) -> Callable[..., Any]:
    """For the `callback` of an option or argument that takes models, or runs as well: names of
    shipped ones become their paths, and what can be none is wrong usage.
    """

    def found(parameter: typer.CallbackParam, given: Any) -> Any:
        if given is None:
            return None
        option = str(parameter.metavar or parameter.opts[0])
        if isinstance(given, Path):
            return given_model(option, given, kind, or_run=or_run)
        return [given_model(option, path, kind, or_run=or_run) for path in given]

    return found


def given_model(option: str, given: Path, kind: ModelKind, *, or_run: bool = False) -> Path:
    """The file of a model, from a path or the name of a shipped one.

    Raises:
        UsageError: what is given can be no model, nor a run where `or_run`.
    """
    if given == Path() and not or_run:
        wanted = wanted_model(kind)
        raise UsageError(
            f"{option}: {wanted}, got an empty name or a dot; leave it out, or name one"
        )
    try:
        file = model_file(given, kind, or_run=or_run)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from None
    if mistake := model_mistake(file, kind, or_run=or_run):
        raise UsageError(f"{option}: {mistake}")
    return file


def model_option(default: str) -> Any:
    """`--model`, with the default that its help tells."""
    return typer.Option(
        "--model",
        help=f"Embedding model: a file, or the name of a shipped one. [default: {default}]",
        callback=shipped_by_name("embedding"),
    )


ModelOption = Annotated[Path | None, model_option("the shipped one")]
GalleryModelOption = Annotated[Path | None, model_option("the gallery's")]
DetectorOption = Annotated[
    Path | None,
    typer.Option(
        "--detector",
        help="Person detector: a file, or the name of a shipped one. [default: the shipped one]",
        callback=shipped_by_name("detector"),
    ),
]
RuntimeOption = Annotated[
    str, typer.Option("--runtime", help="What runs the models: auto, litert or tflite-runtime.")
]
ThreadsOption = Annotated[int, typer.Option("--threads", help="Threads for inference.")]
TargetFpirOption = Annotated[
    float | None,
    typer.Option(
        "--target-fpir",
        help="Accepted share of unknown people who are named. [default: 0.01]",
    ),
]

# Photos
BoxOption = Annotated[
    str | None,
    typer.Option(
        metavar="NUMBER",
        help="Which person of the photo: a number, which a try without --box shows; or "
        "x1,y1,x2,y2 in pixels.",
    ),
]
LargestOption = Annotated[
    bool, typer.Option("--largest", help="Of several people in a photo take the most prominent.")
]

# Keys
PublisherKeyOption = Annotated[
    Path, typer.Option("--key", metavar="FILE", help="Private key, of `edge-reid keys new`.")
]
SignerOption = Annotated[
    Path | None,
    typer.Option("--public-key", help="Whose signature it must have. [default: none needed]"),
]


# What is shown, and for how long
class LogFormat(str, Enum):
    """How lines of the log look."""

    TEXT = "text"
    JSON = "json"


LogFormatOption = Annotated[
    LogFormat, typer.Option("--log-format", help="json: one object a line, and no progress.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object.")]
JsonArrayOption = Annotated[bool, typer.Option("--json", help="One JSON array.")]
JsonLinesOption = Annotated[bool, typer.Option("--json", help="JSON, a line each.")]
CountOption = Annotated[
    int | None, typer.Option("--count", min=1, help="Leave after so many events.")
]


def was_typed(context: typer.Context, name: str) -> bool:
    """Whether a parameter of a verb stands on the command line, and is not its default."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"
