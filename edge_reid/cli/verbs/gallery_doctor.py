"""`edge-reid gallery doctor`: which templates do harm, and who is enrolled twice."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from shlex import join
from typing import TYPE_CHECKING, Annotated

import typer

from edge_reid.cli.options import (
    DEFAULT_GALLERY,
    GalleryModelOption,
    GalleryOption,
    JsonArrayOption,
    TargetFpirOption,
    storable,
)

if TYPE_CHECKING:
    from edge_reid.gallery.findings import Finding

SHOWN = 40
"""Findings printed; `--json` gives all."""


def doctor(
    path: GalleryOption = DEFAULT_GALLERY,
    fix: Annotated[
        bool,
        typer.Option("--fix", help="Disable the harmful templates; `restore` enables them."),
    ] = False,
    only: Annotated[
        list[int] | None,
        typer.Option(
            metavar="TEMPLATE",
            callback=storable,
            help="With --fix: only the template of this number. Repeatable.",
        ),
    ] = None,
    target_fpir: TargetFpirOption = None,
    as_json: JsonArrayOption = False,
    model: GalleryModelOption = None,
) -> None:
    """Find misfiled and bad photos, and people enrolled twice.

    Nothing is deleted and nobody is merged: --fix only disables templates, and only where it is
    clear whose they are.
    """
    from edge_reid.cli.option_names import parse_options
    from edge_reid.cli.verb_progress import counting
    from edge_reid.core.config.decide_settings import DecideSettings
    from edge_reid.core.manifest import load_embedding_manifest
    from edge_reid.enrolment.gallery_examination import examine_gallery, reasons_to_disable
    from edge_reid.gallery.gallery_model import model_of_gallery
    from edge_reid.gallery.store import GalleryStore

    chosen = _chosen(only, fix=fix)
    decide = parse_options(DecideSettings, {"target_fpir": target_fpir})
    manifest = load_embedding_manifest(model or model_of_gallery(path))
    with GalleryStore.open(path, model_id=manifest.model_id) as store:
        templates = store.templates()
        with counting("comparing templates") as progress:
            findings = examine_gallery(
                templates, manifest, decide, complaints=store.complaints(), progress=progress
            )
        reasons = dict(reasons_to_disable(findings))
        if chosen is not None:
            _check_proposed(chosen, reasons)
            reasons = {template_id: reasons[template_id] for template_id in chosen}
        if fix and reasons:
            store.disable(reasons)
    if as_json:
        _print_json(findings)
        return
    photos = {each.template_id: each.photo_name for each in templates}
    _print(findings, path, photos, genuine_known=bool(manifest.genuine_quantiles))
    typer.echo(_summary(len(templates), len(findings), reasons, path, fix=fix))


def _chosen(only: list[int] | None, *, fix: bool) -> frozenset[int] | None:
    from edge_reid.core.errors import UsageError

    if only and not fix:
        raise UsageError("--only: expected with --fix, got it alone; give both")
    return frozenset(only) if only else None


def _check_proposed(chosen: Collection[int], proposed: Collection[int]) -> None:
    from edge_reid.core.errors import UsageError

    if strange := sorted(set(chosen) - set(proposed)):
        raise UsageError(
            f"--only: expected templates that the doctor would disable, got "
            f"{', '.join(map(str, strange))}; without --fix it shows which"
        )


def _print(
    findings: Sequence[Finding],
    path: Path,
    photos: Mapping[int | None, str | None],
    *,
    genuine_known: bool,
) -> None:
    for finding in findings[:SHOWN]:
        typer.echo(f"{_subject(finding, photos)}: {_what(finding)}\n    {finding.reason}")
        typer.echo(f"    → {_remedy(finding, path)}")
    if len(findings) > SHOWN:
        typer.echo(f"… and {len(findings) - SHOWN} more; --json shows all")
    if not genuine_known:
        typer.echo(
            "note: the model's manifest has no genuine_quantiles, so outliers and two people under "
            "one name were not looked for"
        )


def _subject(finding: Finding, photos: Mapping[int | None, str | None]) -> str:
    from edge_reid.core.foreign_text import shown
    from edge_reid.gallery.findings import Kind

    def template(template_id: int, whose: str | None) -> str:
        name = photos.get(template_id)
        return f"template {template_id} of {whose}{f' ({shown(name)})' if name else ''}"

    first = template(finding.template_ids[0], finding.identity)
    match finding.kind:
        case Kind.ONE_PERSON:
            return f"{finding.identity} and {finding.other}"
        case Kind.TWO_PEOPLE:
            return finding.identity
        case Kind.SAME_PHOTO:
            return f"{first} and {template(finding.other_template_ids[0], finding.other)}"
        case _:
            return first


def _what(finding: Finding) -> str:
    from edge_reid.gallery.findings import Kind

    whose = f" ({finding.other})" if finding.kind is Kind.TAKEN_FOR_ANOTHER else ""
    return f"{finding.kind.value}{whose}"


def _remedy(finding: Finding, path: Path) -> str:
    """What to do; where only somebody who knows the people can tell, both ways out."""
    from edge_reid.gallery.findings import Kind

    def command(verb: str, *names: str | None, templates: Sequence[int] = ()) -> str:
        numbers = [word for each in templates for word in ("--template", str(each))]
        words = ["edge-reid", "gallery", verb, *map(str, names), *numbers, "--gallery", str(path)]
        return join(words)

    one, two, ids = finding.identity, finding.other, finding.template_ids
    if finding.disable:
        return "--fix disables it"
    match finding.kind:
        case Kind.ONE_PERSON:
            return f"if so: {command('merge', one, two)}"
        case Kind.TWO_PEOPLE:
            return f"if so: {command('rename', one, 'NEW NAME', templates=ids)}"
        case Kind.SAME_PHOTO:
            return (
                f"if it shows {two}: {command('remove', one, templates=ids)}\n"
                f"    → if {one}: {command('remove', two, templates=finding.other_template_ids)}"
            )
        case Kind.TAKEN_FOR_ANOTHER:
            return (
                f"if it shows {two}: {command('rename', one, two, templates=ids)}\n"
                f"    → if {one}, look at the photos of {two}: {command('show', two)}"
            )
        case _:
            return f"look at the photo; if it is bad: {command('remove', one, templates=ids)}"


def _summary(
    templates: int, findings: int, reasons: Collection[int], path: Path, *, fix: bool
) -> str:
    if not findings:
        return f"{path}: {templates} templates, all well"
    done = "were disabled" if fix else "would be disabled by --fix"
    back = "; `edge-reid gallery restore` enables them" if fix and reasons else ""
    return f"{path}: {templates} templates, {findings} findings, {len(reasons)} {done}{back}"


def _print_json(findings: Sequence[Finding]) -> None:
    from dataclasses import asdict

    from edge_reid.cli.output import print_json

    rows = [asdict(each) | {"kind": each.kind.name.lower()} for each in findings]
    print_json(rows)
