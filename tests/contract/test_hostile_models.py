"""Models with a right checksum and something wrong inside: refused, or run; nothing dies of one."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest
from support.bent_bytes import bent

from edge_reid.core.bundled_models import DETECTOR, EMBEDDING, shipped_model
from edge_reid.core.errors import ModelError
from edge_reid.vision.model_file import check_model_file
from edge_reid.vision.runtime import available_runtimes

IDENTIFIER = slice(4, 8)
TABLES_BYTES = 60_000
"""At the end of our models; before them lie the weights, of which any bytes are right."""

# One process runs them all; what kills it is the last path that it has printed.
RUN = """
import sys
from pathlib import Path
import numpy as np
from edge_reid.core.errors import ModelError
from edge_reid.vision.runtime import Model
ran = refused = 0
for path in sys.argv[2:]:
    print(path, file=sys.stderr, flush=True)
    try:
        model = Model(Path(path), runtime=sys.argv[1])
        model(np.zeros(model.inputs[0].shape, np.uint8))
        ran += 1
    except ModelError as error:
        assert "\\n" not in str(error)
        refused += 1
print(f'{{"ran": {ran}, "refused": {refused}}}')
"""


def bent_model(whole: bytes, dice: random.Random) -> bytes:
    """Bent anywhere, or where its tables are."""
    if dice.randrange(2):
        made = bytearray(bent(whole, dice))
    else:
        made = bytearray(whole)
        for _ in range(dice.randint(1, 4)):
            at = dice.choice((dice.randrange(64), len(made) - 1 - dice.randrange(TABLES_BYTES)))
            made[at] = dice.randrange(256)
    made[IDENTIFIER] = whole[IDENTIFIER]
    return bytes(made)


@pytest.mark.parametrize("cases", [30, pytest.param(500, marks=pytest.mark.soak)])
@pytest.mark.parametrize("runtime", available_runtimes())
@pytest.mark.timeout(900)
def test_no_runtime_dies_of_a_bent_model(tmp_path: Path, runtime: str, cases: int) -> None:
    whole, dice = shipped_model(EMBEDDING).read_bytes(), random.Random(7)
    for number in range(cases):
        (tmp_path / f"{number:03}.tflite").write_bytes(bent_model(whole, dice))
    words = [sys.executable, "-c", RUN, runtime, *map(str, sorted(tmp_path.iterdir()))]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr[-300:]
    counted = json.loads(done.stdout)
    assert sum(counted.values()) == cases
    assert counted["refused"]


@pytest.mark.parametrize("name", [DETECTOR, EMBEDDING])
def test_our_own_models_are_let_through(name: str) -> None:
    check_model_file(shipped_model(name))


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.99, 0.9999])
def test_a_model_that_is_cut_short_is_refused(tmp_path: Path, share: float) -> None:
    whole, path = shipped_model(EMBEDDING).read_bytes(), tmp_path / "model.tflite"
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(ModelError, match="is damaged or forged|expected a .tflite file"):
        check_model_file(path)
