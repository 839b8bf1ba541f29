"""What the verbs of deploy need before they begin."""

from __future__ import annotations

from edge_reid.core.extras import require


def need_deploy() -> None:
    """Check for the extra `deploy`.

    Raises:
        EdgeReidError: it is not installed here.
    """
    require("deploy", "packaging", "tomli_w", "zstandard")
