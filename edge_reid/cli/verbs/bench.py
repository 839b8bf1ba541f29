"""`edge-reid bench`: what this machine can carry."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from edge_reid.cli.options import (
    DetectorOption,
    JsonOption,
    ModelOption,
    RuntimeOption,
    ThreadsOption,
)


def bench(
    clip: Annotated[Path, typer.Argument(metavar="CLIP", help="A video file.")],
    naive: Annotated[
        bool,
        typer.Option("--naive", help="Also detect and embed everybody on every frame; compare."),
    ] = False,
    detector: DetectorOption = None,
    model: ModelOption = None,
    runtime: RuntimeOption = "auto",
    threads: ThreadsOption = 2,
    as_json: JsonOption = False,
) -> None:
    """Time every stage of the agent on a clip. p50 and p95 ms, frames per second, memory."""
    from edge_reid.cli.option_names import keys_of, options_named
    from edge_reid.cli.verb_progress import counting
    from edge_reid.core.config.settings_file import load_settings
    from edge_reid.core.errors import UsageError
    from edge_reid.core.redact import redact
    from edge_reid.diagnostics.benchmark import measure

    if not clip.exists() and (":" in str(clip) or str(clip).isdecimal()):
        raise UsageError(
            f"clip {redact(str(clip))}: expected a video file, so that runs can be compared; record"
            " some of the camera first"
        )
    models: dict[str, Any] = {"runtime": runtime, "threads": threads}
    models |= {"detector": detector} if detector else {}
    models |= {"embedding": model} if model else {}
    with options_named([*keys_of({"models": models})]):
        settings = load_settings(
            None,
            {
                "site": "bench",
                "camera": "bench",
                "gallery": "unused.db",
                "source": {"uri": str(clip)},
                "models": models,
            },
        )
    results = {}
    for name in ("agent", "naive") if naive else ("agent",):
        with counting(name) as progress:
            results[name] = measure(settings, naive=name == "naive", progress=progress)
    if as_json:
        _print_json(results)
    else:
        _print_tables(results)


def _print_json(results: dict[str, Any]) -> None:
    from dataclasses import asdict

    from edge_reid.cli.output import print_json

    rows = {
        name: asdict(result) | {"fps": result.fps, "real_time": result.real_time}
        for name, result in results.items()
    }
    print_json(rows)


def _print_tables(results: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    from edge_reid.diagnostics.benchmark import describe_machine

    console = Console()
    console.print(f"machine: {describe_machine()}")
    for name, result in results.items():
        table = Table(title=name, title_justify="left")
        for heading in ("stage", "runs", "p50 ms", "p95 ms", "total s"):
            table.add_column(heading, justify="left" if heading == "stage" else "right")
        for stage in result.stages:
            table.add_row(
                stage.name,
                str(stage.runs),
                f"{stage.p50_ms:.2f}",
                f"{stage.p95_ms:.2f}",
                f"{stage.total_ms / 1e3:.2f}",
            )
        console.print(table)
        console.print(
            f"{result.frames} frames in {result.wall_s:.1f} s: {result.fps:.1f} frames/s, "
            f"{result.real_time:.1f} × real time; {result.embeddings} embeddings; "
            f"peak memory {result.peak_rss_mb:.0f} MB\n"
        )
    if len(results) > 1:
        ratio = results["naive"].wall_s / results["agent"].wall_s
        console.print(f"the agent is {ratio:.1f} × as fast as the naive loop on this clip")
