"""pip as if it ran on a target: `python -m deploy.bundle.target_pip TARGET install …`.

pip takes the tags of another machine from options, but looks at environment markers
(`platform_machine != 'armv7l'`, `python_version < '3.11'`) with the eyes of the Python that runs
it. Here they see the target's. That its choice is whole is checked again by `check_closure`, which
needs nothing of pip.
"""

from __future__ import annotations

import sys

from deploy.site.targets import TARGETS, Target


def options(target: Target) -> list[str]:
    """Which wheels pip may choose."""
    return [
        "--only-binary=:all:",
        "--implementation=cp",
        f"--python-version={target.python}",
        *(f"--platform={tag}" for tag in target.platforms),
        *(f"--abi={tag}" for tag in target.abis),
    ]


def main(words: list[str]) -> int:
    """Run pip; its exit code."""
    from pip._internal.cli.main import main as pip  # noqa: PLC0415
    from pip._vendor.packaging import markers  # noqa: PLC0415

    target, verb, *rest = words
    there = next(it for name, it in TARGETS.items() if name == target)
    markers.default_environment = lambda: dict(there.environment)  # type: ignore[assignment, return-value]
    return pip([verb, *options(there), *rest])


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
