"""`edge-reid gallery strangers`: unknown people whom a device remembers, or those of a site."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_reid.cli.broker_options import BrokerLogin, takes_login, topic_name
from edge_reid.cli.options import DEFAULT_STRANGERS, JsonArrayOption, StrangersOption

if TYPE_CHECKING:
    from edge_reid.consumers.fleet import FleetMember
    from edge_reid.consumers.stranger_erasures import SiteStrangers
    from edge_reid.strangers.stranger import Stranger


@takes_login()
def strangers(
    path: StrangersOption = DEFAULT_STRANGERS,
    forget: Annotated[
        list[str] | None,
        typer.Option(metavar="ANON", help="Overwrite this one now. Repeatable."),
    ] = None,
    forget_all: Annotated[
        bool, typer.Option("--forget-all", help="With --site: overwrite everybody.")
    ] = False,
    site: Annotated[
        str | None,
        typer.Option(
            "--site", help="All devices of this site that share strangers, as a commander."
        ),
    ] = None,
    timeout: Annotated[
        float,
        typer.Option(min=0, metavar="SECONDS", help="With --site: how long to wait for receipts."),
    ] = 30.0,
    as_json: JsonArrayOption = False,
    *,
    login: BrokerLogin,
) -> None:
    """Show unknown people whom a device remembers. Where, when, how often, and until when."""
    from edge_reid.core.errors import UsageError

    if site is not None and as_json:
        raise UsageError("--json, --site: do not go together; `edge-reid fleet --json` has both")
    if site is not None:
        _of_site(login, topic_name("--site", site), forget, timeout, everybody=forget_all)
        return
    if forget_all:
        raise UsageError("--forget-all: goes with --site; of one device, delete its file")
    _of_device(path, forget or (), as_json=as_json)


def _of_device(path: Path, forget: Sequence[str], *, as_json: bool) -> None:
    from edge_reid.strangers.heard_purge import HEARD_FILES
    from edge_reid.strangers.stranger_store import StrangerStore

    if forget:
        with StrangerStore.open(path) as store:
            for name in forget:
                store.forget(name)
                typer.echo(f"{name}: forgotten, and overwritten in the file", err=as_json)
        if any(path.parent.glob(HEARD_FILES)):
            typer.echo("other devices may have them still: --site erases everywhere", err=True)
        if not as_json:
            return
    people = _remembered(path)
    if as_json:
        _print_json(people)
    else:
        _print_table(people)


def _remembered(path: Path) -> tuple[Stranger, ...]:
    """All of a file, which is written to only where somebody is due to be forgotten."""
    import time

    from edge_reid.strangers.stranger_store import StrangerStore

    with StrangerStore.open_to_read(path) as store:
        people = store.strangers()
    if all(each.forgotten_utc_s > time.time() for each in people):
        return people
    with StrangerStore.open(path) as store:
        return store.strangers()


def _of_site(
    login: BrokerLogin,
    site: str,
    forget: Sequence[str] | None,
    timeout_s: float,
    *,
    everybody: bool,
) -> None:
    from edge_reid.consumers.stranger_erasures import SiteStrangers, receipt_lines
    from edge_reid.core.errors import UsageError
    from edge_reid.mqtt.connection import connect
    from edge_reid.signing.certified_envelope import CertificateAuthority, CertifiedKey

    if forget and everybody:
        raise UsageError("--forget, --forget-all: do not go together; leave one out")
    if not (login.ca_file and login.cert_file and login.key_file):
        raise UsageError(
            "--site: expected --ca-file, --cert-file and --key-file of a commander, got not all of "
            "them; devices obey its signature"
        )
    for name in forget or ():
        _check_name(name)
    key = CertifiedKey.read(login.cert_file, login.key_file)
    authority = CertificateAuthority.read(login.ca_file)
    connection = connect(login.broker())
    try:
        known = SiteStrangers(connection, login.root, site, key=key, authority=authority)
        known.read()
        if forget or everybody:
            _erase(known, forget, timeout_s)
        else:
            _print_sharing(known, site)
        for receipts in known.receipts:
            for line in receipt_lines(receipts):
                typer.echo(line)
        connection.close()
    finally:
        connection.abort()


def _check_name(name: str) -> None:
    import re

    from edge_reid.core.anonymous_names import STRANGER_PATTERN
    from edge_reid.core.errors import UsageError

    if not re.fullmatch(STRANGER_PATTERN, name):
        raise UsageError(f"--forget: expected a name such as anon-3fa2c1-12, got {name!r}")


def _erase(known: SiteStrangers, names: Sequence[str] | None, timeout_s: float) -> None:
    """Order it, and wait for the devices that are there."""
    from rich.console import Console

    erasure = known.order(names or None)
    with Console(stderr=True).status("waiting for the devices") as status:
        for receipts in known.follow(erasure, timeout_s):
            here = [member for member in receipts.waiting if _is_here(member)]
            status.update(f"done by {len(receipts.done)}, waiting for {len(here)} that are online")
            if not here:
                return


def _is_here(member: FleetMember) -> bool:
    return member.presence(datetime.now(timezone.utc)) == "online"


def _print_sharing(known: SiteStrangers, site: str) -> None:
    from edge_reid.cli.output import print_table

    rows = []
    for member in known.sharing:
        state = member.status and member.status.strangers
        if state:
            counts = map(str, (state.shared, state.heard, state.refused))
            rows.append((member.name, member.presence(datetime.now(timezone.utc)), *counts))
    print_table(("agent", "state", "shares", "has of others", "refused"), rows)
    typer.echo(f"{site}: {len(rows)} {'agent shares' if len(rows) == 1 else 'agents share'}")


def _print_json(people: Sequence[Stranger]) -> None:
    from edge_reid.cli.output import print_json

    rows = [
        {
            "stranger": each.name,
            "camera": each.camera,
            "times_seen": each.times_seen,
            "first_seen_utc_s": each.first_seen_utc_s,
            "last_seen_utc_s": each.last_seen_utc_s,
            "forgotten_utc_s": each.forgotten_utc_s,
        }
        for each in people
    ]
    print_json(rows)


def _print_table(people: Sequence[Stranger]) -> None:
    from edge_reid.cli.output import print_table

    rows = []
    for each in sorted(people, key=lambda person: person.last_seen_utc_s, reverse=True):
        moments = (each.first_seen_utc_s, each.last_seen_utc_s, each.forgotten_utc_s)
        rows.append((each.name, f"{each.times_seen} ×", each.camera, *map(_when, moments)))
    titles = ("stranger", "seen", "camera", "first seen", "last seen", "forgotten")
    print_table(titles, rows)
    typer.echo(f"{len(people)} {'person' if len(people) == 1 else 'people'} remembered, all UTC")


def _when(utc_s: float) -> str:
    return datetime.fromtimestamp(utc_s, timezone.utc).strftime("%m-%d %H:%M:%S")
