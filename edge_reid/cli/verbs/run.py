"""`edge-reid run`: the agent."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer


def run(
    source: Annotated[
        str | None,
        typer.Option(
            help="Video file, camera index (0, 1, …) or rtsp:// URL (in a password: # is %23)."
        ),
    ] = None,
    gallery: Annotated[Path | None, typer.Option(help="Gallery of enrolled people.")] = None,
    broker: Annotated[
        str | None, typer.Option(help="mqtt://host:port or mqtts://host:port.")
    ] = None,
    site: Annotated[str | None, typer.Option(help="Topic level: the site.")] = None,
    camera: Annotated[str | None, typer.Option(help="Topic level: the camera.")] = None,
    agent: Annotated[
        str | None, typer.Option(help="This agent's name. [default: host name and camera]")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="Everything from a TOML file; options here win over it.")
    ] = None,
    events: Annotated[
        str | None, typer.Option(help="Append events as JSON lines to a file, or - for stdout.")
    ] = None,
    annotate: Annotated[
        Path | None,
        typer.Option(
            help="Write a video with boxes, tracks and decisions: .webm (fast) or .mp4 (slow)."
        ),
    ] = None,
    outbox: Annotated[
        Path | None, typer.Option(help="Durable event store. [default: beside the gallery]")
    ] = None,
    start_time: Annotated[
        str | None,
        typer.Option(help="Wall clock of a file's first frame, RFC 3339. [default: 1970-01-01]"),
    ] = None,
    detector: Annotated[Path | None, typer.Option(help="Another person detector.")] = None,
    model: Annotated[Path | None, typer.Option(help="Another embedding model.")] = None,
    runtime: Annotated[str | None, typer.Option(help="auto, litert or tflite-runtime.")] = None,
    threads: Annotated[int | None, typer.Option(help="Threads for inference.")] = None,
    target_fpir: Annotated[
        float | None,
        typer.Option(help="Accepted share of strangers taken for somebody. [default: 0.01]"),
    ] = None,
    root: Annotated[
        str | None, typer.Option(help="First topic level. [default: edge-reid]")
    ] = None,
    username: Annotated[str | None, typer.Option(help="Broker login.")] = None,
    password_file: Annotated[
        Path | None, typer.Option(help="File whose first line is the broker password.")
    ] = None,
    ca_file: Annotated[
        Path | None, typer.Option(help="CA that signed the broker's certificate (mqtts).")
    ] = None,
    cert_file: Annotated[Path | None, typer.Option(help="Our own certificate (mqtts).")] = None,
    key_file: Annotated[Path | None, typer.Option(help="The private key of our certificate.")] = (
        None
    ),
    allow_plaintext: Annotated[
        bool, typer.Option("--allow-plaintext", help="Let mqtt:// leave this machine.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress, no summary.")] = False,
) -> None:
    """Watch a video, camera or stream; match people against the gallery; publish the hits."""
    from functools import partial

    from edge_reid.agent.app import Outputs, run_agent
    from edge_reid.cli.run_progress import RunScreen
    from edge_reid.core.config import load_settings
    from edge_reid.core.errors import BrokerError

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
        "mqtt": {
            "url": broker,
            "root": root,
            "username": username,
            "password_file": password_file,
            "ca_file": ca_file,
            "cert_file": cert_file,
            "key_file": key_file,
            "allow_plaintext": allow_plaintext or None,  # the file's word holds when not given
        },
        "outbox": {"path": outbox},
    }
    load = partial(load_settings, config, _given(overrides))
    settings = load()
    outputs = Outputs(events=events, annotate=annotate)
    with RunScreen(quiet=quiet, summary_to_stderr=events == "-") as screen:
        summary = run_agent(settings, outputs=outputs, observers=[screen], reload=load)
    screen.show(summary)
    if summary.undelivered:
        raise BrokerError(summary.undelivered)


def _given(options: dict[str, Any]) -> dict[str, Any]:
    """The options that were given on the command line, still nested."""
    nested = {
        key: _given(value) if isinstance(value, dict) else value for key, value in options.items()
    }
    return {key: value for key, value in nested.items() if value is not None and value != {}}
