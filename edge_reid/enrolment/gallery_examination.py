"""A gallery as its doctor sees it, by the limits of the agent that decides by it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from edge_reid.core.config.decide_settings import DecideSettings
from edge_reid.core.config.vision_settings import EmbedSettings
from edge_reid.core.manifest import EmbeddingManifest
from edge_reid.core.progress import Progress, no_progress
from edge_reid.core.types import Template
from edge_reid.gallery.complaints import Complaints
from edge_reid.gallery.findings import Bars, Finding
from edge_reid.gallery.gallery_doctor import examine
from edge_reid.matching.gallery_thresholds import GalleryThresholds


def bars_for(
    templates: Sequence[Template],
    manifest: EmbeddingManifest,
    decide: DecideSettings | None = None,
) -> Bars:
    """Threshold and margin of an agent with these templates, and what the model was measured on.

    Args:
        templates: all in use.
        manifest: of their model.
        decide: rules of the agent; None: those by default.
    """
    rules = decide or DecideSettings()
    templates_each = tuple(Counter(template.identity for template in templates).values())
    return Bars(
        threshold=GalleryThresholds.of(manifest).threshold(rules.target_fpir, templates_each),
        margin=rules.min_margin,
        genuine=manifest.least_genuine,
        quality=EmbedSettings().min_quality,
    )


def examine_gallery(
    templates: Sequence[Template],
    manifest: EmbeddingManifest,
    decide: DecideSettings | None = None,
    *,
    complaints: Sequence[Complaints] = (),
    progress: Progress = no_progress,
) -> tuple[Finding, ...]:
    """Faults of a gallery, the gravest first. Args as of `bars_for` and `examine`."""
    bars = bars_for(templates, manifest, decide)
    return examine(templates, bars, complaints=complaints, progress=progress)


def reasons_to_disable(findings: Sequence[Finding]) -> Mapping[int, str]:
    """By `template_id`, why the gallery does better without it."""
    return {
        template_id: f"{finding.kind.value}: {finding.reason}"
        for finding in findings
        if finding.disable
        for template_id in finding.template_ids
    }
