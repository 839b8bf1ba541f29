"""Valid bytes with something wrong in them, as many as wanted and the same ones every time.

Faster than hypothesis by far: ten thousand cases of a small parser take a few seconds.
"""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from typing import Any

CASES = 10_000
JUNK: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 0.5, -0.0, 1e308, float("nan"), float("inf"), 2**53, 2**63),
    *(2**200, -(2**64), "", "x", "\0", "é", "../../x", "x" * 300, [], {}, [[]], [None], {"": 0}),
)


def bent(body: bytes, dice: random.Random) -> bytes:
    """Some bytes flipped, replaced, inserted, doubled, zeroed or cut off."""
    made = bytearray(body)
    for _ in range(dice.randint(1, 4)):
        at, length = dice.randrange(len(made) + 1), dice.choice((0, 1, 1, 2, 4, 12))
        made[at : at + length] = dice.choice(
            (
                dice.randbytes(length),
                dice.randbytes(dice.randrange(8)),
                bytes(made[at : at + 2 * length]),
                bytes(length),
                b"\xff" * length,
                b"",
            )
        )
    if not dice.randrange(8):
        del made[dice.randrange(len(made) + 1) :]
    return bytes(made)


def bent_json(text: bytes, dice: random.Random) -> bytes:
    """One to three values, somewhere in it, replaced by another kind, doubled or left out."""
    content = [json.loads(text)]
    for _ in range(dice.randint(1, 3)):
        holder, key = dice.choice(list(_places(content)))
        match dice.randrange(4):
            case 0 if isinstance(holder, dict):
                del holder[key]
            case 1 if isinstance(holder, list) and holder is not content:
                holder.append(holder[key])
            case _:
                holder[key] = copy.deepcopy(dice.choice(JUNK))
    return json.dumps(content[0]).encode()


def bodies(whole: bytes, seed: int, cases: int = CASES) -> Iterator[bytes]:
    """Of a JSON text: bent as bytes and as values, in turn."""
    dice = random.Random(seed)
    for case in range(cases):
        yield (bent if case % 2 else bent_json)(whole, dice)


def _places(node: Any) -> Iterator[tuple[Any, Any]]:
    items = node.items() if isinstance(node, dict) else enumerate(node)
    for key, value in items:
        yield node, key
        if isinstance(value, (dict, list)):
            yield from _places(value)
