"""The command line, run in this process."""

from support.in_process import edge_reid  # noqa: F401 - a fixture
