"""Metrics and health of an agent, answered over HTTP while it runs."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

from edge_reid.agent.agent_parts import AgentParts
from edge_reid.agent.health import Health
from edge_reid.agent.metrics_server import MetricsServer
from edge_reid.agent.prometheus_collector import AgentCollector
from edge_reid.agent.run_report import RunReport
from edge_reid.core.config.agent_settings import AgentSettings
from edge_reid.core.config.listener_settings import MetricsSettings


def serve_metrics(
    settings: AgentSettings,
    parts: AgentParts,
    *,
    report: RunReport,
    notice: Callable[[str], None],
    stack: ExitStack,
) -> None:
    """Begin to answer, if the settings say so; the stack ends it.

    Raises:
        UsageError: the address is taken or is not of this host, or the token cannot be read.
    """
    if settings.metrics is None:
        return
    health = _health(parts, report, settings.metrics)
    server = stack.enter_context(MetricsServer(settings.metrics, AgentCollector(parts), health))
    notice(f"metrics: http://{settings.metrics.host}:{server.port}/metrics")
    if server.warning:
        notice(server.warning)


def _health(parts: AgentParts, report: RunReport, settings: MetricsSettings) -> Health:
    return Health(
        parts.cameras,
        parts.policies,
        beaten_s=lambda: report.beaten_s,
        alive_s=settings.alive_s,
        follows_gallery=parts.sync is not None,
    )
