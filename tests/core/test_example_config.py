"""The configuration that ships as an example is one."""

from pathlib import Path

from edge_reid.core.config.settings_file import load_settings

EXAMPLE = Path(__file__).parents[2] / "deploy" / "agent.toml"


def test_the_example_is_valid():
    settings = load_settings(EXAMPLE, {})
    assert settings.camera == "gate"
    assert settings.outbox_path == EXAMPLE.parent / "outbox.db"
