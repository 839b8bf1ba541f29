"""Our own wheel: built from the checkout that this runs from, or given."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from deploy.bundle.pip_run import build_wheel
from deploy.bundle.wheel import Wheel, read_wheel
from edge_reid.core.errors import BundleError, UsageError

NAME = "edge-reid"
_EPOCH_S = 1_577_836_800
"""2020: what every file of the wheel is dated, so that the same sources give the same bytes."""


@contextmanager
def own_wheel(given: Path | None) -> Iterator[Wheel]:
    """The wheel of edge-reid; one that was built is gone after the block.

    Raises:
        UsageError: none is given, and this is no checkout.
        BundleError: it cannot be built or read, or is another's.
    """
    if given is not None:
        yield _ours(given)
        return
    checkout = Path(__file__).resolve().parents[2]
    if not (checkout / "pyproject.toml").is_file():
        raise UsageError(
            "bundle: expected a checkout to build from, edge-reid is installed from a wheel; "
            "give that one with --wheel (pip wheel --no-deps --wheel-dir wheels CHECKOUT makes one)"
        )
    with TemporaryDirectory() as folder:
        build_wheel(checkout, Path(folder), _EPOCH_S)
        yield _ours(next(Path(folder).glob("*.whl")))


def _ours(path: Path) -> Wheel:
    wheel = read_wheel(path)
    if wheel.name != NAME:
        raise BundleError(f"wheel {path}: expected one of {NAME}, it is of {wheel.name}")
    return wheel
