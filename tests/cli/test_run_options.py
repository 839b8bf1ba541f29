"""`edge-reid run` is told of a broker as its sister verbs are."""

from __future__ import annotations

import inspect
from dataclasses import fields

from edge_reid.cli.broker_options import BrokerLogin
from edge_reid.cli.verbs.run import run


def test_run_takes_every_option_of_a_broker_that_the_other_verbs_take():
    options = inspect.signature(run).parameters
    assert not {each.name for each in fields(BrokerLogin)} - {"url"} - set(options)
    assert "broker" in options
