"""`edge-reid`: the command line. Errors become one line and an exit code here, and only here."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points

import typer

from edge_reid import __version__
from edge_reid.cli.verbs.bench import bench
from edge_reid.cli.verbs.command import command
from edge_reid.cli.verbs.doctor import doctor
from edge_reid.cli.verbs.embed import embed
from edge_reid.cli.verbs.fleet import fleet
from edge_reid.cli.verbs.gallery import gallery
from edge_reid.cli.verbs.keys import keys
from edge_reid.cli.verbs.probe import probe
from edge_reid.cli.verbs.release import release
from edge_reid.cli.verbs.run import run
from edge_reid.cli.verbs.schema import schema
from edge_reid.cli.verbs.sink import sink
from edge_reid.cli.verbs.watch import watch
from edge_reid.core.errors import ConfigError, EdgeReidError
from edge_reid.core.foreign_text import LOGGED_MAX, ShownFormatter, shown
from edge_reid.core.redact import redact_within

ENTRY_POINTS = "edge_reid.verbs"
_added: set[str] = set()
"""Names of the entry points that are part of `app` by now."""

app = typer.Typer(
    name="edge-reid",
    help="Person re-identification on the camera device: frames in, hits out over MQTT.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help costs a third of the start-up time of the decorated one
    context_settings={"help_option_names": ["-h", "--help"]},
)
GROUPS = {"gallery": gallery, "keys": keys, "release": release}
VERBS = (run, watch, sink, fleet, command, probe, embed, doctor, bench, schema)
for verb in VERBS:
    app.command()(verb)
for name, group in GROUPS.items():
    app.add_typer(group, name=name)


def _add_verbs_of_others(words: Sequence[str]) -> None:
    """Add the verbs that other packages bring, those that these words of the command line may mean.

    A verb is a function, or a group of them; an entry point's name is what a user types, and
    `release publish` is one more verb of a group. A device that runs its own verbs loads none.
    """
    typed = next((word for word in words if not word.startswith("-")), None)
    brought = entry_points(group=ENTRY_POINTS)
    meant = [entry for entry in brought if entry.name.split()[0] == typed]
    if not meant and typed not in _own_verbs():
        meant = list(brought)
    for entry in sorted(meant, key=lambda entry: entry.name):
        if entry.name not in _added:
            _add(entry)


def _own_verbs() -> set[str]:
    return {verb.__name__ for verb in VERBS} | set(GROUPS)


def _add(entry: EntryPoint) -> None:
    verb, (*groups, name) = entry.load(), entry.name.split()
    if isinstance(verb, typer.Typer):
        app.add_typer(verb, name=name)
    else:
        (GROUPS[groups[0]] if groups else app).command(name)(verb)
    _added.add(entry.name)


@app.callback(invoke_without_command=True)
def _root(
    version: bool = typer.Option(False, "--version", help="Print the version and leave."),
) -> None:
    if version:
        typer.echo(f"edge-reid {__version__}")
        raise typer.Exit


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and leave with its exit code.

    0 done, or stopped by SIGTERM; 1 failed, 2 wrong usage or configuration, 130 interrupted, 143 a
    training that SIGTERM stopped.
    `--debug` anywhere shows the traceback of an error instead of its one line.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in words
    _log_to_screen()
    try:
        _add_verbs_of_others(words)
        app([word for word in words if word != "--debug"], prog_name="edge-reid")
    except EdgeReidError as error:
        if debug:
            raise
        _complain(error)
        raise SystemExit(error.exit_code) from None
    except Exception as error:
        if debug:
            raise
        what = shown(redact_within(f"{type(error).__name__}: {error}"), LOGGED_MAX)
        typer.echo(f"error: unexpected {what}; please report what --debug says", err=True)
        raise SystemExit(1) from None


def _log_to_screen() -> None:
    """Warnings on standard error, as Python does by itself, with nothing in them but letters."""
    handler = logging.StreamHandler()
    handler.setFormatter(ShownFormatter())
    logging.lastResort = handler  # the root logger stays free for whoever runs us
    handler.setLevel(logging.WARNING)


def _complain(error: EdgeReidError) -> None:
    if isinstance(error, ConfigError) and len(error.problems) > 1:
        typer.echo(f"error: {shown(error.where)}: {len(error.problems)} mistakes", err=True)
        for problem in error.problems:
            typer.echo(f"  - {shown(problem, LOGGED_MAX)}", err=True)
        return
    typer.echo(f"error: {shown(str(error), LOGGED_MAX)}", err=True)
