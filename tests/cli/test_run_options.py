"""`edge-reid run` is told of a broker as its sister verbs are; what is typed wins over the file."""

from __future__ import annotations

import inspect
from dataclasses import fields

import pytest
import typer
from typer.testing import CliRunner

from edge_reid.cli.broker_options import BrokerLogin, takes_login
from edge_reid.cli.main import main
from edge_reid.cli.verbs.run import run


def test_run_takes_every_option_of_a_broker_that_the_other_verbs_take():
    options = set(inspect.signature(run).parameters)
    assert {option.name for option in fields(BrokerLogin)} <= options


@pytest.mark.parametrize(
    ("typed", "missing"),
    [
        ((), "--source, --gallery, --site and --camera"),
        (("--source", "clip.mp4", "--gallery", "gallery.db"), "--site and --camera"),
        (("--source", "clip.mp4", "--site", "lab", "--camera", "gate"), "--gallery"),
    ],
)
def test_without_a_file_it_says_which_options_are_missing(
    typed: tuple[str, ...], missing: str, capsys: pytest.CaptureFixture[str]
):
    """Whoever has typed options is told of options, and not of keys of a file."""
    with pytest.raises(SystemExit, match="2"):
        main(("run", *typed))
    assert capsys.readouterr().err == (
        "error: edge-reid run: expected --source, --gallery, --site and --camera, or a file that "
        f"has them in --config, got no {missing}; edge-reid run --help shows what there is\n"
    )


def test_only_what_is_typed_is_an_override():
    app = typer.Typer()

    @app.command()
    @takes_login(url=None)
    def verb(context: typer.Context, *, login: BrokerLogin) -> None:
        typer.echo(sorted(login.typed(context).items()))

    assert CliRunner().invoke(app, []).output == "[]\n"
    given = ["--broker", "mqtt://127.0.0.1", "--root", "edge-reid", "--allow-plaintext"]
    assert CliRunner().invoke(app, given).output == (
        "[('allow_plaintext', True), ('root', 'edge-reid'), ('url', 'mqtt://127.0.0.1')]\n"
    )
