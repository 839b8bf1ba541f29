"""Mistakes in how the cameras of an agent are written down, a line each."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import PurePath

_ADDRESS = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?:[^/?#]*@)?(?P<host>[^/?#:]*|\[[^]]*\])"
    r"(?::(?P<port>\d+))?(?P<rest>.*)",
    re.IGNORECASE | re.DOTALL,
)
_PORTS = {"rtsp": "554", "rtsps": "322", "http": "80", "https": "443"}


def form_mistakes(camera: str | None, *, has_source: bool, names: Collection[str]) -> Iterator[str]:
    """What is wrong with the form: `camera` and `[source]`, or tables `[cameras.NAME]`.

    Args:
        camera: the name of the only camera; None: none is given.
        has_source: whether there is a section `[source]`.
        names: of the tables.
    """
    is_given = {"camera": camera is not None, "source": has_source}
    if names:
        remedy = (
            f"write [cameras.{camera or 'NAME'}] with source.uri for each camera, also for a "
            "single one"
        )
        for key in (key for key, given in is_given.items() if given):
            yield f"{key}: should not stand beside [cameras.NAME]; {remedy}"
        return
    remedy = "write camera and [source] for one camera, or [cameras.NAME] for each of several"
    for key in (key for key, given in is_given.items() if not given):
        yield f"{key}: is missing; {remedy}"


def likeness_mistakes(names: Collection[str], uris: Mapping[str, str]) -> Iterator[str]:
    """Cameras that are one camera, or that nobody can tell apart.

    Args:
        names: of the cameras.
        uris: their streams, by the keys under which they stand: `gate.source.uri`.
    """
    for first, other in _alike({key: _what_it_opens(uri) for key, uri in uris.items()}):
        camera = first.partition(".")[0]
        yield f"cameras.{other}: is that of {camera} too; each camera needs its own"
    for first, other in _alike({name: name.replace("_", "-") for name in names}):
        yield f"cameras.{other}: should differ from {first} by more than - and _; rename one"


def _alike(keys: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Each name whose key an earlier name has, behind that."""
    first: dict[str, str] = {}
    for name, key in keys.items():
        if key in first:
            yield first[key], name
        first.setdefault(key, name)


def _what_it_opens(uri: str) -> str:
    """The same text for the same camera or file, whoever logs in.

    >>> _what_it_opens("RTSP://me:secret@Gate:554/1"), _what_it_opens("2")
    ('rtsp://gate:554/1', '/dev/video2')
    """
    if uri.isdecimal():
        return f"/dev/video{int(uri)}"
    address = _ADDRESS.fullmatch(uri)
    if address is None:
        return str(PurePath(uri))
    scheme = address["scheme"].lower()
    port = address["port"] or _PORTS.get(scheme, "")
    return f"{scheme}://{address['host'].lower()}:{port}{address['rest'].rstrip('/')}"
