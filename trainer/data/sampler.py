"""P×K batches: P identities, K images of each, the sampling that metric losses need.

An epoch has N batches and deals out every image once, K of an identity at a time; only an identity
with more than N·K images, which cannot be in a batch twice, takes several epochs to show them all.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]


def pk_batches(
    labels: IntArray, *, identities: int, images: int, seed: int, epoch: int
) -> Iterator[IntArray]:
    """Index batches (P·K,) of one epoch, fixed by `seed` and `epoch` alone.

    Args:
        labels: (N,) of at least P identities.
        identities: P.
        images: K, which are K different pictures of an identity that has so many; one with fewer
            repeats them evenly.
        seed: of the run.
        epoch: from 0; each goes on where the one before ended.
    """
    order = np.argsort(labels, kind="stable")
    names, starts = np.unique(labels[order], return_index=True)
    members = np.split(order, starts[1:])
    length = batches_per_epoch(labels, identities=identities, images=images)
    hands = [
        _hands(mine, images, [seed, 1, int(name)], epoch=epoch, most=length)
        for name, mine in zip(names, members, strict=True)
    ]
    rng = np.random.default_rng([seed, 0, epoch])
    for chosen in _partners(np.array([len(h) for h in hands]), identities, length, rng):
        yield np.concatenate(
            [
                # The last batch may lack partners: then somebody shows pictures once more.
                hands[person].pop() if hands[person] else _again(members[person], images, rng)
                for person in chosen
            ]
        )


def batches_per_epoch(labels: IntArray, *, identities: int, images: int) -> int:
    """The most batches N that the groups of K fill when at most N of each identity count.

    Where they fill N batches and a part of another, that is made whole with repeats.
    """
    _, counts = np.unique(labels, return_counts=True)
    groups = -(-counts // images)

    def over(batches: int) -> int:
        return int(np.minimum(groups, batches).sum()) - identities * batches

    # `over` is concave and 0 at 0, so that it turns negative once and stays so.
    low, high = 1, max(1, int(groups.sum()) // identities)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if over(middle) >= 0 else (low, middle - 1)
    return low + (over(low) > 0)


def _hands(
    members: IntArray, images: int, seed: list[int], *, epoch: int, most: int
) -> list[IntArray]:
    """An identity's groups of K for one epoch, cut from a row of shuffled decks."""
    in_deck = -(-len(members) // images)
    count = min(in_deck, most)
    hands: list[IntArray] = []
    for deck in range(epoch * count // in_deck, ((epoch + 1) * count - 1) // in_deck + 1):
        shuffled = np.random.default_rng([*seed, deck]).permutation(members)
        groups = np.resize(shuffled, (in_deck, images))  # which starts again where it runs out
        first = epoch * count - deck * in_deck
        hands += list(groups[max(0, first) : first + count])
    return hands


def _partners(
    left: IntArray, identities: int, batches: int, rng: np.random.Generator
) -> Iterator[IntArray]:
    """The P identities of each batch, drawn in proportion to the groups they have left.

    Whoever has a group left for every batch to come must be in each, so that all are dealt out.
    """
    left = left.copy()
    fill = np.flatnonzero(left < batches)
    missing = identities * batches - int(left.sum())
    left[rng.choice(fill, size=missing, replace=False)] += 1
    for to_come in range(batches, 0, -1):
        # The smallest of exponentials at these rates are a draw without replacement.
        turn = rng.exponential(size=len(left)) / np.maximum(left, 1e-9)
        turn[left == to_come] = -1.0
        turn[left == 0] = np.inf
        chosen = np.argpartition(turn, identities - 1)[:identities]
        left[chosen] -= 1
        yield chosen


def _again(members: IntArray, images: int, rng: np.random.Generator) -> IntArray:
    return np.resize(rng.permutation(members), images)
