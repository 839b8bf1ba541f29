"""The Mosquitto of a site as a spoke of a hub, both as shipped."""

from __future__ import annotations

from pathlib import Path

from support.secured_broker import SecuredMosquitto, certs


class Spoke(SecuredMosquitto):
    """With a CA of its own; certs.py of the hub has written how it gets there."""

    def __init__(self, folder: Path, hub: SecuredMosquitto, site: str) -> None:
        super().__init__(folder)
        code, _, complaint = certs(hub.pki, f"bridge {site} --site {site}")
        assert code == 0, complaint
        own = hub.pki / "clients" / site
        bridge = own.with_suffix(".conf").read_text()
        for old, new in (
            ("address HUB", f"address localhost:{hub.port}"),
            ("/etc/mosquitto/edge-reid/hub-ca.crt", str(hub.pki / "ca.crt")),
            ("/etc/mosquitto/edge-reid/bridge.crt", str(own.with_suffix(".crt"))),
            ("/etc/mosquitto/edge-reid/bridge.key", str(own.with_suffix(".key"))),
            ("restart_timeout 1 30", "restart_timeout 1"),
        ):
            assert old in bridge
            bridge = bridge.replace(old, new)
        self._config.write_text(f"{self._config.read_text()}\n{bridge}")
