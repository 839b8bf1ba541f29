"""`edge-reid doctor`: what is wrong with this installation, and what to do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from edge_reid.cli.options import AnyGalleryOption, ConfigOption, DetectorOption, ModelOption

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
    model: ModelOption = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Camera, broker and clock may be away: only warn.")
    ] = False,
) -> None:
    """Check this installation.

    Runtime, models, gallery, camera, broker, clock and disk; exit code 1 if a check fails.
    """
    from rich.console import Console
    from rich.text import Text

    from edge_reid.core.foreign_text import LOGGED_MAX, shown
    from edge_reid.diagnostics.doctor import Verdict, examine

    console = Console()
    failures = 0
    subject = _subject(config, gallery, broker, source, detector, model)
    for diagnosis in examine(replace(subject, is_offline=offline)):
        mark = MARKS[diagnosis.verdict.value]
        name = (f"{diagnosis.name:<16}", "bold")
        console.print(Text.assemble(" ", mark, " ", name, " ", shown(diagnosis.detail, LOGGED_MAX)))
        if diagnosis.remedy:
            console.print(Text(f"     → {diagnosis.remedy}"))
        failures += diagnosis.verdict is Verdict.FAILURE
    console.print(f"{failures} to mend" if failures else "all well", highlight=False)
    raise typer.Exit(1 if failures else 0)


def _subject(
    config: Path | None,
    gallery: Path | None,
    broker: str | None,
    source: str | None,
    detector: Path | None,
    model: Path | None,
) -> Any:
    from edge_reid.core.config import (
        ModelSettings,
        MqttSettings,
        SourceSettings,
        load_settings,
        parse_section,
    )
    from edge_reid.diagnostics.doctor import CheckedInstallation

    if config is not None:
        settings = load_settings(config, {})
        return CheckedInstallation(
            settings.models,
            settings.gallery,
            {name: camera.source for name, camera in settings.cameras.items()},
            settings.mqtt,
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
    paths = {"detector": detector, "embedding": model}
    return CheckedInstallation(
        parse_section(ModelSettings, {name: path for name, path in paths.items() if path}),
        gallery,
        {"": parse_section(SourceSettings, {"uri": source})} if source else {},
        parse_section(MqttSettings, {"url": broker}) if broker else None,
    )
