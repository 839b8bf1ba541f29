"""Home Assistant's core with MQTT alone, run by its own Python: FOLDER BROKER_PORT HTTP_PORT.

Whenever anything changes it prints one line of JSON: `devices` by name, and `states` by entity with
their attributes.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from pathlib import Path

from homeassistant import auth, bootstrap, loader  # type: ignore[import-not-found]
from homeassistant.config_entries import (  # type: ignore[import-not-found]
    SOURCE_USER,
    ConfigEntries,
    ConfigEntry,
)
from homeassistant.core import HomeAssistant  # type: ignore[import-not-found]
from homeassistant.helpers import device_registry  # type: ignore[import-not-found]
from homeassistant.setup import async_setup_component  # type: ignore[import-not-found]


async def start(folder: Path, broker_port: int, http_port: int) -> HomeAssistant:
    folder.mkdir()
    (folder / "configuration.yaml").touch()
    home = HomeAssistant(str(folder))
    home.config.skip_pip = True
    loader.async_setup(home)
    home.config_entries = ConfigEntries(home, {})
    await bootstrap.async_load_base_functionality(home)
    home.auth = await auth.auth_manager_from_config(home, [{"type": "homeassistant"}], [])
    web = {"http": {"server_port": http_port, "server_host": ["127.0.0.1"]}}
    for name in ("http", "homeassistant"):
        assert await async_setup_component(home, name, web)
    await home.config_entries.async_add(
        ConfigEntry(
            version=1,
            minor_version=2,
            domain="mqtt",
            title="broker",
            data={"broker": "127.0.0.1", "port": broker_port},
            options={},
            source=SOURCE_USER,
            unique_id=None,
            discovery_keys={},
            subentries_data=None,
        )
    )
    await home.async_start()
    return home


def picture(home: HomeAssistant) -> str:
    states = {
        state.entity_id: {"state": state.state, **state.attributes}
        for state in home.states.async_all()
    }
    devices = sorted(device.name for device in device_registry.async_get(home).devices.values())
    return json.dumps({"devices": devices, "states": states}, default=str, sort_keys=True)


async def main() -> None:
    home = await start(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
    shown = ""
    while True:
        if (now := picture(home)) != shown:
            shown = now
            print(shown, flush=True)
        await asyncio.sleep(0.1)


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    asyncio.run(main())
