"""Who is recognised in the campus clip: `PYTHONPATH=tests python tests/bench/recognition.py`.

With `--model`, by another embedding model than the default.

Everybody who comes back in the clip is enrolled with photos of the first visit, and the events are
scored by `edge-reid score`. The labels were made by eye, the agent is the one that ships; its
tracker and crop settings were tuned on this clip, so this is no independent test.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from support import campus

from edge_reid.core.bundled_models import EMBEDDING, model_file


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, default=Path(EMBEDDING), help="a file, or a name")
    model = model_file(parser.parse_args().model, "embedding").resolve()
    returning = [person for person in campus.people() if len(person.visits) > 1]
    print(f"{len(returning)} enrolled: {', '.join(person.identity for person in returning)}")
    with tempfile.TemporaryDirectory() as scratch:
        gallery, lines = Path(scratch, "gallery.db"), Path(scratch, "events.jsonl")
        edge_reid("gallery", "init", gallery, "--model", model)
        for name, photos in campus.write_photos(returning, Path(scratch, "photos")).items():
            edge_reid("gallery", "enroll", name, *photos, "--gallery", gallery, "--model", model)
        config = Path(scratch, "agent.toml")
        config.write_text(f'models.embedding = "{model}"\n', encoding="utf-8")
        edge_reid(
            *(
                "run",
                "--config",
                config,
                "--source",
                campus.CLIP,
                "--gallery",
                gallery,
                "--site",
                "bench",
            ),
            *("--camera", "campus", "--events", lines, "--quiet"),
        )
        print(edge_reid("score", lines, campus.DATA / "campus.json", "--gallery", gallery))


def edge_reid(*words: object) -> str:
    command = [sys.executable, "-m", "edge_reid", *map(str, words)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


if __name__ == "__main__":
    main()
