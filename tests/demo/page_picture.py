"""Makes the picture of the live page for the README, of the demo's gallery and clip.

    PYTHONPATH=.:tests python tests/demo/page_picture.py --gallery out/demo/gallery.db \
        --out tests/data/live_page.jpg

The page is shown by a real Chromium once three people have been named.
"""

from __future__ import annotations

import argparse
import os
import signal
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

import cv2
from live_clip import live_demo
from support import campus
from support.browser import Browser

NAMED = """[...document.querySelectorAll('#hits .known')].map((name) => name.textContent)"""
IN_VIEW = "document.querySelectorAll('.people .known').length"
MOST_BYTES = 200_000
SLOW_FPS = 3.0
"""So that what is drawn and what is listed are of one moment, also on a busy machine."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gallery", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        live_demo(given.gallery, listen="127.0.0.1:0", fps=SLOW_FPS) as live,
    ):
        looking = threading.Thread(target=look, args=(live.page.url, Path(folder)), daemon=True)
        looking.start()
        with suppress(KeyboardInterrupt):
            live.run()
        picture = cv2.imread(str(Path(folder) / "page.png"))
    assert picture is not None, "the page was not seen"
    cv2.imwrite(str(given.out), picture, [cv2.IMWRITE_JPEG_QUALITY, 82])
    assert given.out.stat().st_size < MOST_BYTES, given.out.stat().st_size


def look(url: str, folder: Path) -> None:
    """Take a picture, and end the run."""
    try:
        with Browser(folder / "profile", width_px=1280, height_px=860) as browser:
            browser.open(url)
            named = f"new Set({NAMED}).size >= {len(campus.ENROLLED)}"
            browser.wait_for(f"{named} && {IN_VIEW} >= 2", timeout_s=180)
            time.sleep(2)  # for the picture of that moment
            browser.screenshot(folder / "page.png")
    finally:
        os.kill(os.getpid(), signal.SIGINT)


if __name__ == "__main__":
    main()
