"""`edge-reid doctor`: what is wrong with this installation, and what to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edge_reid.cli.options import AnyGalleryOption, ConfigOption, DetectorOption, GalleryModelOption

if TYPE_CHECKING:
    from edge_reid.core.config.source_settings import SourceSettings

MARKS = {
    "ok": ("✓", "green"),
    "warning": ("!", "yellow"),
    "failure": ("✗", "red"),
    "skipped": ("–", "dim"),
}


def doctor(
    config: ConfigOption = None,
    gallery: AnyGalleryOption = None,
    broker: Annotated[str | None, typer.Option(help="Broker to reach.")] = None,
    source: Annotated[str | None, typer.Option(help="Video, camera or stream to open.")] = None,
    detector: DetectorOption = None,
    model: GalleryModelOption = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Camera, broker and clock may be away: only warn.")
    ] = False,
    camera: Annotated[
        str | None,
        typer.Option(help="Camera, stream or file: which heights of people are seen in it?"),
    ] = None,
    seconds: Annotated[
        float, typer.Option(min=1, max=3600, help="How long --camera looks.")
    ] = 20.0,
) -> None:
    """Check this installation.

    Runtime, models, gallery, camera, broker, certificate, clock and disk; exit code 1 if a check
    fails. With --camera, also which detector suits the heights of the people that a camera sees.
    """
    from rich.console import Console
    from rich.text import Text

    from edge_reid.cli.output import print_indented
    from edge_reid.core.foreign_text import LOGGED_MAX, shown
    from edge_reid.diagnostics.doctor import Verdict, examine

    console = Console()
    failures = warnings = 0
    watched = None if camera is None else _watched(camera)
    looked_at = source if config else source or camera
    subject = _subject(config, gallery, broker, looked_at, detector, model)
    for diagnosis in examine(replace(subject, is_offline=offline)):
        mark = MARKS[diagnosis.verdict.value]
        name = (f"{diagnosis.name:<16}", "bold")
        start = Text.assemble(" ", mark, " ", name, " ")
        print_indented(console, start, shown(diagnosis.detail, LOGGED_MAX))
        if diagnosis.remedy:
            print_indented(console, Text("     → "), diagnosis.remedy)
        failures += diagnosis.verdict is Verdict.FAILURE
        warnings += diagnosis.verdict is Verdict.WARNING
    well = "all well, but look at what has a !" if warnings else "all well"
    console.print(f"{failures} to mend" if failures else well, highlight=False)
    if watched is not None and not failures:
        _print_heights(watched, seconds, subject.models)
    raise typer.Exit(1 if failures else 0)


def _watched(camera: str) -> SourceSettings:
    """What --camera looks at."""
    from edge_reid.cli.option_names import parse_options
    from edge_reid.core.config.source_settings import SourceSettings

    return parse_options(SourceSettings, {"uri": camera}, called={"uri": "--camera"})


def _print_heights(watched: SourceSettings, seconds: float, models: Any) -> None:
    from rich.console import Console

    from edge_reid.cli.heights_table import print_heights
    from edge_reid.core.config.vision_settings import EmbedSettings
    from edge_reid.diagnostics.doctor import look_at_camera

    look, detectors = look_at_camera(watched, models, seconds)
    print_heights(Console(), look, detectors, EmbedSettings().min_height_px)


def _refuse_beside_config(options: Mapping[str, object]) -> None:
    """What is checked is what the agent does; passed over, an option would seem to be well."""
    from edge_reid.core.errors import UsageError

    for name, value in options.items():
        if value is not None:
            raise UsageError(
                f"--{name}: expected no other option beside --config, which is checked as it "
                f"stands; change it there, or leave --config out"
            )


def _subject(
    config: Path | None,
    gallery: Path | None,
    broker: str | None,
    source: str | None,
    detector: Path | None,
    model: Path | None,
) -> Any:
    from edge_reid.cli.option_names import parse_options
    from edge_reid.core.config.broker_settings import MqttSettings
    from edge_reid.core.config.settings_file import load_settings
    from edge_reid.core.config.source_settings import SourceSettings
    from edge_reid.core.config.vision_settings import ModelSettings
    from edge_reid.diagnostics.agent_certificate import ExpectedHolder
    from edge_reid.diagnostics.doctor import CheckedInstallation

    if config is not None:
        given = {"gallery": gallery, "broker": broker, "source": source}
        _refuse_beside_config({**given, "detector": detector, "model": model})
        settings = load_settings(config, {})
        return CheckedInstallation(
            settings.models,
            settings.gallery,
            {name: camera.source for name, camera in settings.cameras.items()},
            settings.mqtt,
            ExpectedHolder(settings.agent, settings.site, tuple(settings.cameras)),
            {
                name: camera.detect.model
                for name, camera in settings.cameras.items()
                if camera.detect.model not in {None, settings.models.detector}
            },
            settings.outbox_path.parent,
            settings.decide,
            settings.gallery_sync,
            settings.update,
        )
    return CheckedInstallation(
        parse_options(ModelSettings, {"detector": detector, "embedding": model}),
        gallery,
        {"": parse_options(SourceSettings, {"uri": source})} if source else {},
        parse_options(MqttSettings, {"url": broker}) if broker else None,
    )
