"""The command line, run in this process."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.outcome import Outcome

from edge_reid.cli.main import main


@pytest.fixture
def edge_reid(capfd: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Runs `edge-reid …`."""

    def run(*words: object) -> Outcome:
        capfd.readouterr()
        with pytest.raises(SystemExit) as left:
            main([str(word) for word in words])
        captured = capfd.readouterr()
        return Outcome(int(left.value.code or 0), captured.out, captured.err)

    return run
