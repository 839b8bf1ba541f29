"""`edge-reid`: the command line. Only here do errors become one line and an exit code."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from functools import cache
from importlib.metadata import EntryPoint, entry_points

import typer

from edge_reid import __version__
from edge_reid.agent.signals import StopSignals
from edge_reid.cli.misuse import Misuse, in_our_words
from edge_reid.cli.optional_values import OptionalValues
from edge_reid.cli.verbs.bench import bench
from edge_reid.cli.verbs.command import command
from edge_reid.cli.verbs.doctor import doctor
from edge_reid.cli.verbs.embed import embed
from edge_reid.cli.verbs.fleet import fleet
from edge_reid.cli.verbs.gallery import gallery
from edge_reid.cli.verbs.hits import hits
from edge_reid.cli.verbs.index import index
from edge_reid.cli.verbs.keys import keys
from edge_reid.cli.verbs.probe import probe
from edge_reid.cli.verbs.release import release
from edge_reid.cli.verbs.run import run
from edge_reid.cli.verbs.schema import schema
from edge_reid.cli.verbs.score import score
from edge_reid.cli.verbs.search import search
from edge_reid.cli.verbs.sink import sink
from edge_reid.cli.verbs.watch import watch
from edge_reid.core.errors import EdgeReidError, UsageError
from edge_reid.core.files import FULL_DISK
from edge_reid.core.foreign_text import LOGGED_MAX, ShownFormatter, shown
from edge_reid.core.redact import redact_within

ENTRY_POINTS = "edge_reid.verbs"

VERBS = (run, watch, sink, hits, command, probe, embed, index, search, score, doctor, bench, schema)
SERVICES = {"run", "sink"}
"""Verbs that go on until they are stopped: who stops one has not made it fail."""
GROUPS = {"fleet": fleet, "gallery": gallery, "keys": keys, "release": release}


def command_line(words: Sequence[str] | None = None) -> typer.Typer:
    """Our verbs, and those of other packages that the words of a command line may mean.

    A device that runs its own verbs loads none of others. None: all verbs.
    """
    return _with_verbs(frozenset(_meant(words)))


@cache
def _with_verbs(brought: frozenset[EntryPoint]) -> typer.Typer:
    app = typer.Typer(
        name="edge-reid",
        help="Person re-identification on the camera device: frames in, hits out over MQTT.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,  # plain help costs a third of the start-up time of the decorated one
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback(invoke_without_command=True)(_root)
    for verb in VERBS:
        app.command(cls=OptionalValues)(verb)
    for name, group in GROUPS.items():
        app.add_typer(group, name=name)
    for entry in sorted(brought, key=lambda entry: entry.name):
        _add(app, entry)
    return app


def _root(
    version: bool = typer.Option(False, "--version", help="Print the version and leave."),
) -> None:
    if version:
        typer.echo(f"edge-reid {__version__}")
        raise typer.Exit


def _meant(words: Sequence[str] | None) -> list[EntryPoint]:
    """The entry points of a verb; all of them if none is typed, or one that nobody has."""
    brought = list(entry_points(group=ENTRY_POINTS))
    if words is None:
        return brought
    typed = next((word for word in words if not word.startswith("-")), None)
    meant = [entry for entry in brought if entry.name.split()[0] == typed]
    is_own = typed in {verb.__name__ for verb in VERBS} | set(GROUPS)
    return meant if meant or is_own else brought


def _add(app: typer.Typer, entry: EntryPoint) -> None:
    """Add a function, or a group of them, under the name that a user types.

    `release publish` becomes one more verb of a group of ours.
    """
    verb, (*groups, name) = entry.load(), entry.name.split()
    if isinstance(verb, typer.Typer):
        app.add_typer(verb, name=name)
    elif not groups:
        app.command(name)(verb)
    elif name not in {known.name for known in GROUPS[groups[0]].registered_commands}:
        GROUPS[groups[0]].command(name)(verb)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line, and leave with its exit code.

    0 done, or stopped by SIGTERM; 1 failed; 2 wrong usage or configuration; 130 interrupted; 143 a
    training was stopped by SIGTERM. With `--debug` anywhere an error shows its traceback.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in words
    _log_to_screen()
    try:
        with StopSignals() if SERVICES & set(words[:1]) else nullcontext():
            code = _run([word for word in words if word != "--debug"])
    except EdgeReidError as error:
        if debug:
            raise
        _complain(error)
        raise SystemExit(error.exit_code) from None
    except Exception as error:
        if debug:
            raise
        typer.echo(f"error: {_unforeseen(error)}", err=True)
        raise SystemExit(1) from None
    raise SystemExit(code)


def _run(words: Sequence[str]) -> int:
    """The exit code; raises UsageError for what no verb takes."""
    try:
        code = command_line(words)(words, prog_name="edge-reid", standalone_mode=False)
    except typer.Abort:
        typer.echo("Aborted!", err=True)
        return 1
    except Misuse as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            error.show()
            return UsageError.exit_code
        raise in_our_words(error, words) from error
    return code if isinstance(code, int) else 0


def _log_to_screen() -> None:
    """Write warnings to standard error, as Python does by default, without control characters."""
    handler = logging.StreamHandler()
    handler.setFormatter(ShownFormatter())
    logging.lastResort = handler  # the root logger stays free for programs that import us
    handler.setLevel(logging.WARNING)


def _complain(error: EdgeReidError) -> None:
    heading, *others = (shown(line, LOGGED_MAX) for line in error.lines)
    for line in (f"error: {heading}", *others):
        typer.echo(line, err=True)


def _unforeseen(error: Exception) -> str:
    """What is said of an error that is none of ours: only of a full disk we know what to do."""
    if isinstance(error, OSError) and error.errno in FULL_DISK:
        what = shown(str(error.filename or "output"), LOGGED_MAX)
        return f"{what}: cannot be written: {error.strerror}; make room there, or send it elsewhere"
    what = shown(redact_within(f"{type(error).__name__}: {error}"), LOGGED_MAX)
    return f"unexpected {what}; please report what --debug says"
