"""P×K batches: P identities, K images of each, the sampling that metric losses need."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]


def pk_batches(
    labels: IntArray, *, identities: int, images: int, seed: int, epoch: int
) -> Iterator[IntArray]:
    """Index batches (P·K,) of one epoch, in an order fixed by `seed` and `epoch` alone.

    An identity's images are dealt out in groups of K; a last, short group is filled with random
    others of the same identity, so that every image is seen once per epoch or a little more.
    Batches of which fewer than P identities are left are dropped.
    """
    rng = np.random.default_rng([seed, epoch])
    groups = _groups_by_identity(labels, images, rng)
    # Draw identities in proportion to the groups they have left, so that none is left over alone.
    while len(groups) >= identities:
        names = np.array(sorted(groups))
        left = np.array([len(groups[n]) for n in names], float)
        chosen = rng.choice(names, size=identities, replace=False, p=left / left.sum())
        yield np.concatenate([groups[n].pop() for n in chosen])
        groups = {n: g for n, g in groups.items() if g}


def _groups_by_identity(
    labels: IntArray, images: int, rng: np.random.Generator
) -> dict[int, list[IntArray]]:
    order = np.argsort(labels, kind="stable")
    names, starts = np.unique(labels[order], return_index=True)
    groups: dict[int, list[IntArray]] = {}
    for name, members in zip(names, np.split(order, starts[1:]), strict=True):
        shuffled = rng.permutation(members)
        missing = -len(shuffled) % images
        filler = rng.choice(members, size=missing, replace=len(members) < missing)
        groups[int(name)] = list(np.concatenate([shuffled, filler]).reshape(-1, images))
    return groups


def batches_per_epoch(labels: IntArray, *, identities: int, images: int) -> int:
    """About how many batches an epoch has (the exact number depends on the draw)."""
    _, counts = np.unique(labels, return_counts=True)
    return max(1, int(np.ceil(counts / images).sum()) // identities)
