"""`edge-reid embed`: the embedding of every image under some folders."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from edge_reid.cli.options import ModelOption, RuntimeOption, ThreadsOption
from edge_reid.core.errors import PhotoError, UsageError
from edge_reid.core.files import UNREADABLE_ZIP, check_replaceable, whole_file

if TYPE_CHECKING:
    from edge_reid.core.manifest import EmbeddingManifest
    from edge_reid.core.types import Image, Vectors
    from edge_reid.vision.embed import Embedder

BATCH = 32
READERS = 2
"""Threads that decode images while the model runs."""

_ARRAYS = {"names.npy", "embeddings.npy", "model_id.npy"}


def embed(
    paths: Annotated[list[str], typer.Argument(metavar="PATH", help="Images, or folders of them.")],
    out: Annotated[Path, typer.Option(help="The .npz to write.")],
    model: ModelOption = None,
    runtime: RuntimeOption = "auto",
    threads: ThreadsOption = 2,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Unreadable images are no failure.")
    ] = False,
) -> None:
    """Embed person crops, each image as a whole, into one file.

    The file holds `names` (N,), the paths as given, and `embeddings` (N, D), float32 rows of unit
    norm; files of a folder are sorted. Unreadable images are listed, left out, and make the exit
    code 1.
    """
    from edge_reid.cli.option_names import parse_options
    from edge_reid.core.config.vision_settings import ModelSettings
    from edge_reid.vision.embed import Embedder

    given = {"runtime": runtime, "threads": threads, "embedding": model}
    settings = parse_options(ModelSettings, given)
    names = find_images(paths)
    _check_out(out)
    embedder = Embedder(settings.embedding, runtime=settings.runtime, threads=settings.threads)
    good, vectors = _embed_all(names, embedder)
    if not good:
        raise PhotoError(
            f"expected images, got {len(names)} of which none can be read, named above; "
            f"{out} is not written"
        )
    _write(out, good, vectors, embedder.manifest.model_id)
    bad = len(names) - len(good)
    typer.echo(f"{out}: {len(good)} embeddings of {embedder.manifest.dimension} numbers")
    if bad and not skip_bad:
        raise PhotoError(
            f"{bad} of {len(names)} images could not be read, named above; "
            f"{out} holds the others; --skip-bad makes that no failure"
        )


def find_images(paths: Iterable[str]) -> list[str]:
    """Files as given, and the images in folders, sorted, without hidden ones; each once.

    Raises:
        UsageError: a path does not exist, or there is no image at all.
    """
    images: list[str] = []
    for path in paths:
        if os.path.isdir(path):  # noqa: PTH112 — as given, which Path would rewrite
            images += sorted(_images_under(path))
        elif os.path.exists(path):  # noqa: PTH110
            images.append(path)
        else:
            raise UsageError(f"{path}: expected a file or folder, got none; check the path")
    if not images:
        raise UsageError(f"{', '.join(paths)}: expected images, got none; give others")
    return list(dict.fromkeys(images))


def _images_under(folder: str) -> Iterator[str]:
    from edge_reid.vision.photo import PHOTO_SUFFIXES

    for where, inner, files in os.walk(folder):
        inner[:] = [name for name in inner if not name.startswith(".")]
        for name in files:
            if Path(name).suffix.lower() in PHOTO_SUFFIXES and not name.startswith("."):
                yield os.path.join(where, name)  # noqa: PTH118


def _embed_all(names: Sequence[str], embedder: Embedder) -> tuple[list[str], Vectors]:
    import numpy as np

    from edge_reid.cli.verb_progress import counting

    good: list[str] = []
    rows = [np.empty((0, embedder.manifest.dimension), np.float32)]
    batch: list[Image] = []
    with counting("embedding") as advance:
        for done, (name, outcome) in enumerate(_inputs(names, embedder.manifest), start=1):
            if isinstance(outcome, PhotoError):
                typer.echo(f"skipped: {outcome}", err=True)
            else:
                good.append(name)
                batch.append(outcome)
            if len(batch) == BATCH or done == len(names):
                rows.append(embedder.embed(batch))
                batch.clear()
            advance(done, len(names))
    return good, np.concatenate(rows)


def _inputs(
    names: Iterable[str], manifest: EmbeddingManifest
) -> Iterator[tuple[str, Image | PhotoError]]:
    """Each image at the model's size, or why it cannot be read, in order; made a few ahead."""
    from concurrent.futures import Future, ThreadPoolExecutor

    waiting: deque[tuple[str, Future[Image | PhotoError]]] = deque()
    with ThreadPoolExecutor(READERS) as pool:
        for name in names:
            waiting.append((name, pool.submit(_try_read, name, manifest)))
            if len(waiting) > BATCH:
                first, future = waiting.popleft()
                yield first, future.result()
        for name, future in waiting:
            yield name, future.result()


def _try_read(name: str, manifest: EmbeddingManifest) -> Image | PhotoError:
    """Read and resize an image in the thread, so that those that wait take little memory; the
    embedder resizes it again without a change.
    """
    from edge_reid.vision.photo import read_photo
    from edge_reid.vision.preprocess import to_input

    try:
        image = read_photo(Path(name)).image
    except PhotoError as error:
        return error
    crop: Image = to_input(image, manifest.input_height_px, manifest.input_width_px)[0]
    return crop


def _check_out(out: Path) -> None:
    if not out.parent.is_dir():
        raise UsageError(f"--out {out}: expected the folder {out.parent}, got none; make it first")
    check_replaceable(out, f"--out {out}", "what `edge-reid embed` wrote", _is_ours)


def _is_ours(file: BinaryIO) -> bool:
    from zipfile import ZipFile

    try:
        with ZipFile(file) as arrays:  # as every .npz is, and much else
            return _ARRAYS.issubset(arrays.namelist())
    except UNREADABLE_ZIP:
        return False


def _write(out: Path, names: Sequence[str], embeddings: Vectors, model_id: str) -> None:
    import numpy as np

    try:
        with whole_file(out) as file:
            np.savez(
                file, names=np.array(names, dtype=np.str_), embeddings=embeddings, model_id=model_id
            )
    except OSError as error:
        raise UsageError(f"--out {out}: cannot be written: {error.strerror}") from error
