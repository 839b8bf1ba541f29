"""`edge-reid run`: the agent."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edge_reid.cli.broker_options import BROKER_KEYS, BrokerLogin, takes_login
from edge_reid.cli.options import (
    AnyGalleryOption,
    ConfigOption,
    DetectorOption,
    GalleryModelOption,
    LogFormat,
    LogFormatOption,
    TargetFpirOption,
)
from edge_reid.cli.output import listed
from edge_reid.core.errors import UsageError

if TYPE_CHECKING:  # kept from `--help`, which answers at once
    from edge_reid.agent.app import Outputs
    from edge_reid.agent.command_runner import Reload
    from edge_reid.agent.observers import Observer
    from edge_reid.cli.run_progress import RunScreen
    from edge_reid.core.config.agent_settings import AgentSettings
    from edge_reid.core.config.sync_settings import GallerySyncSettings

_log = logging.getLogger(__name__)


@takes_login(url=None)
def run(
    context: typer.Context,
    source: Annotated[
        str | None,
        typer.Option(
            help="Video file, camera index (0, 1, …) or rtsp:// URL (in a password: # is %23)."
        ),
    ] = None,
    gallery: AnyGalleryOption = None,
    site: Annotated[
        str | None, typer.Option(help="The site, such as lab: a level of every topic.")
    ] = None,
    camera: Annotated[
        str | None, typer.Option(help="The camera, such as gate: a level of every topic.")
    ] = None,
    agent: Annotated[
        str | None, typer.Option(help="This agent's name. [default: host name and camera]")
    ] = None,
    config: ConfigOption = None,
    events: Annotated[
        str | None, typer.Option(help="Append events as JSON lines to a file, or - for stdout.")
    ] = None,
    annotate: Annotated[
        Path | None,
        typer.Option(
            help="Write a video with boxes, tracks and decisions, in the place of an older one: "
            ".webm (fast) or .mp4 (slow); of several cameras one each, with {camera} in the name."
        ),
    ] = None,
    outbox: Annotated[
        Path | None,
        typer.Option(help="Events wait here for --broker. [default: beside the gallery]"),
    ] = None,
    start_time: Annotated[
        str | None,
        typer.Option(help="Wall clock of a file's first frame, RFC 3339. [default: 1970-01-01]"),
    ] = None,
    detector: DetectorOption = None,
    model: GalleryModelOption = None,
    runtime: Annotated[
        str | None,
        typer.Option(help="What runs the models: auto, litert or tflite-runtime. [default: auto]"),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(help="Threads for inference. [default: one per fast core, a few at most]"),
    ] = None,
    target_fpir: TargetFpirOption = None,
    web: Annotated[
        str | None,
        typer.Option(
            help="Serve the live page here: HOST:PORT; without a value 127.0.0.1:8480.",
            metavar="[HOST:PORT]",
        ),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress, no summary.")] = False,
    log_format: LogFormatOption = LogFormat.TEXT,
    *,
    login: BrokerLogin,
) -> None:
    """Watch cameras or videos, and publish who is seen.

    People are tracked and matched against the gallery; hits go to the broker of --broker.

    Everything can stand in the file of --config, several cameras only there; an option that is
    given here wins over it.
    """
    from edge_reid.agent.app import Outputs
    from edge_reid.cli.fresh_start import FreshStart
    from edge_reid.cli.option_names import keys_of, options_named
    from edge_reid.cli.piped_config import PipedConfig, check_comes_again
    from edge_reid.cli.piped_login import keep_piped_login
    from edge_reid.cli.run_log import errors_logged, log_run
    from edge_reid.core.config.settings_file import check_model_files, load_settings
    from edge_reid.core.errors import ModelChangeError

    overrides = {
        "site": site,
        "camera": camera,
        "agent": agent,
        "gallery": gallery,
        "source": {"uri": source, "start_time": start_time},
        "models": {
            "detector": detector,
            "embedding": model,
            "runtime": runtime,
            "threads": threads,
        },
        "decide": {"target_fpir": target_fpir},
        "mqtt": login.typed(context),
        "outbox": {"path": outbox},
        "web": {"listen": web},
    }
    log_run(log_format)
    typed = _given(overrides)
    # without a file every setting that has an option is one of the command line, also by default
    named = options_named(
        [*keys_of(typed if config else overrides)], BROKER_KEYS, elsewhere="a file in --config"
    )
    with errors_logged(log_format), named:
        if config is None:
            _check_given(source=source, gallery=gallery, site=site, camera=camera)
        piped = PipedConfig.of(config)
        fresh_start = FreshStart(piped)

        def load() -> AgentSettings:
            if piped:
                piped.refill()
            return load_settings(config, typed)

        def reload() -> AgentSettings:
            check_comes_again(config, "on a reload", "start the agent again instead")
            return _with_gallerys_model(load())

        settings = load()
        keep_piped_login(settings.mqtt)
        if settings.gallery_sync and not settings.models.names_embedding:
            when = "when a gallery of another embedding model comes"
            check_comes_again(config, when, "name models.embedding in it")
        check_model_files(settings, str(config or "command line"))
        if settings.mqtt.url is None:
            _check_of_use(*login.typed(context), *(["outbox"] if outbox else []))
        settings = _with_gallerys_model(settings)
        if settings.gallery_sync:
            _tell_of_gallerys_model(settings, settings.gallery_sync)
        screen = None if log_format is LogFormat.JSON else _screen(events, quiet=quiet)
        try:
            _watch(settings, Outputs(events=events, annotate=annotate), reload, screen)
        except ModelChangeError:  # the log has it
            fresh_start.begin()


def _with_gallerys_model(settings: AgentSettings) -> AgentSettings:
    """The settings with the embedding model of the device's gallery, if they name none.

    Raises:
        GalleryError: that gallery cannot be read or, being the device's own, is of no shipped
            model.
        UsageError: the key of a published gallery cannot be read.
    """
    from edge_reid.gallery.gallery_model import models_for_gallery

    models = models_for_gallery(settings.models, settings.gallery, settings.gallery_sync)
    return settings.model_copy(update={"models": models})


def _tell_of_gallerys_model(settings: AgentSettings, sync: GallerySyncSettings) -> None:
    """A new release may have another default, to which nobody on site need do anything. Where the
    model of the version in force cannot be used, the sync says so.
    """
    from edge_reid.core.bundled_models import called
    from edge_reid.gallery.gallery_model import default_passed_over, is_model_in_force
    from edge_reid.signing.keys import read_public_key

    model, default = settings.models.embedding, default_passed_over(settings.models)
    key = read_public_key(sync.public_key)
    if default and is_model_in_force(settings.gallery, key, model):
        _log.warning(
            "embedding model %s is taken, that of the gallery on this device, as models.embedding "
            "names none; the default, %s, is taken once a gallery of it is published",
            called(model),
            default,
        )


def _screen(events: str | None, *, quiet: bool) -> RunScreen:
    from edge_reid.cli.run_progress import RunScreen

    return RunScreen(quiet=quiet, summary_to_stderr=events == "-")


def _watch(
    settings: AgentSettings, outputs: Outputs, reload: Reload, screen: RunScreen | None
) -> None:
    """Run the agent, and show what it does: on a screen, or in the log if there is none.

    Raises:
        BrokerError: events could not be delivered in time.
    """
    from edge_reid.agent.app import run_agent
    from edge_reid.cli.run_log import RunLog
    from edge_reid.core.errors import BrokerError

    with ExitStack() as stack:
        watcher: RunScreen | RunLog = stack.enter_context(screen) if screen else RunLog()
        observers = [watcher, *_pages(settings, stack, tell=watcher.notice)]
        summary = run_agent(settings, outputs=outputs, observers=observers, reload=reload)
    watcher.show(summary)  # after progress has ended
    if summary.undelivered:
        raise BrokerError(summary.undelivered)


def _pages(
    settings: AgentSettings, stack: ExitStack, *, tell: Callable[[str], None]
) -> list[Observer]:
    """The live page, if one is wanted; the stack closes it."""
    if settings.web is None:
        from edge_reid.web.kept_hits import forget_kept

        forget_kept(settings.kept_hits_path)
        return []
    from edge_reid.core.extras import require

    require("web", "starlette", "uvicorn", "python_multipart")
    from edge_reid.web.live_page import LivePage

    page = stack.enter_context(LivePage(settings, settings.web))
    tell(f"page: {page.url}")
    return [page]


def _check_given(**needed: object) -> None:
    """Tell whoever typed no --config of options, not of keys of a file.

    Raises:
        UsageError: one of the options that a run needs is None.
    """
    if missing := [f"--{name}" for name, value in needed.items() if value is None]:
        raise UsageError(
            f"edge-reid run: expected {listed([f'--{name}' for name in needed])}, or a file that "
            f"has them in --config, got no {listed(missing)}; edge-reid run --help shows what "
            "there is"
        )


def _check_of_use(*typed: str) -> None:
    """Raise UsageError if options were typed that are of no use without a broker."""
    if typed:
        options = listed([f"--{name.replace('_', '-')}" for name in typed])
        raise UsageError(
            f"edge-reid run: expected --broker, or a file with mqtt.url in --config, beside "
            f"{options}, got neither; give one, or leave {options} out"
        )


def _given(options: dict[str, Any]) -> dict[str, Any]:
    """The options that were given on the command line, still nested."""
    nested = {
        key: _given(value) if isinstance(value, dict) else value for key, value in options.items()
    }
    return {key: value for key, value in nested.items() if value is not None and value != {}}
