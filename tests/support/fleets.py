"""Devices of one site that take releases by themselves, and whoever publishes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from support import real_bundles
from support.device_root import HERE, DeviceRoot, Outcome

from edge_reid.core.config.broker_settings import MqttSettings
from edge_reid.mqtt.broker import Broker
from edge_reid.release.channel import ReleaseChannel
from edge_reid.release.release_head import RolloutGroup
from edge_reid.release.release_publication import PublishedRelease, RolloutPlan, publish
from edge_reid.signing.keys import SigningKey

CONFIG = """# for {version}
site = "lab"
agent = "{agent}"
gallery = "/var/lib/edge-reid/gallery-{unit}.db"
{cameras}
[mqtt]
url = "{url}"
[update]
source = "{depot}"
public_key = "{public_key}"
least_serial = {least_serial}
"""


ONLY_CAMERA = """camera = "{name}"
[source]
uri = "rtsp://127.0.0.1:9/{name}"
"""
ONE_OF_SEVERAL = """[cameras.{name}.source]
uri = "rtsp://127.0.0.1:9/{name}"
"""


@dataclass(frozen=True)
class FollowingAgent:
    """An agent of such a device."""

    name: str
    cameras: tuple[str, ...]

    @property
    def tables(self) -> str:
        """Its cameras, as a configuration has them."""
        form = ONE_OF_SEVERAL if len(self.cameras) > 1 else ONLY_CAMERA
        return "".join(form.format(name=camera) for camera in self.cameras)


class FollowingDevice(DeviceRoot):
    """One that has 1.0 from a bundle of its own."""

    __test__ = False

    def __init__(
        self, folder: Path, fleet: Fleet, name: str, agents: Mapping[str, FollowingAgent]
    ) -> None:
        root = folder / name
        root.mkdir()
        super().__init__(root, fleet.pip, folder / f"bundles of {name}")
        self.name = name
        self.agents = agents
        """As bundles have them, by the names of their units."""
        self._fleet = fleet
        own = real_bundles.unpack_into(
            folder / f"first of {name}",
            "1.0",
            fleet.wheels("1.0"),
            configs=fleet.configs(self, "1.0"),
            secrets={"agent.key": b"secret", "release-signing.pub": fleet.public_key.read_bytes()},
            box=name,
        )
        outcome = self.install(own)
        assert outcome.code == 0, outcome.said

    @property
    def downloads(self) -> Path:
        return self.root / "var/lib/edge-reid-update"

    def fetch(self) -> Outcome:
        return self._fleet.run("release", "fetch", "--root", self.root)

    def take(self) -> Outcome:
        """What the path unit does when something lies ready."""
        return self._fleet.run("release", "install", "--root", self.root)


class Fleet:
    """The site, its depot and its key."""

    def __init__(self, folder: Path, pip: Path, url: str, run: Callable[..., Outcome]) -> None:
        self._folder = folder
        self._url = url
        self.pip = pip
        self.run = run
        self.depot = folder / "depot"
        self.depot.mkdir(parents=True)
        self.key = SigningKey.generate()
        _, self.public_key = self.key.write(folder / "keys", "release")
        self.devices: dict[str, FollowingDevice] = {}
        self.least_serial = 0
        """That configurations name."""

    def add(self, name: str, agents: Mapping[str, FollowingAgent] | None = None) -> FollowingDevice:
        """A device; with one camera, if nothing else is said."""
        given = agents or {"gate": FollowingAgent(name, ("gate",))}
        self.devices[name] = FollowingDevice(self._folder, self, name, given)
        return self.devices[name]

    def wheels(self, version: str, behaviour: str = "well") -> list[Path]:
        program = (HERE / "small_agent.py").read_text()
        program = program.replace("{version}", version).replace("{behaviour}", behaviour)
        folder = self._folder / "wheels" / behaviour
        made = list(folder.glob(f"edge_reid-{version}-*.whl"))  # one version is one wheel
        return [self.pip, *(made or [real_bundles.small_wheel(folder, version, program)])]

    def configs(self, device: FollowingDevice, version: str) -> dict[str, str]:
        """Of all agents of a device, by the names of their units."""
        public_key = device.root / "etc/edge-reid/secrets/release-signing.pub"
        return {
            unit: CONFIG.format(
                version=version,
                agent=agent.name,
                unit=unit,
                cameras=agent.tables,
                url=self._url,
                depot=self.depot,
                public_key=public_key,
                least_serial=self.least_serial,
            )
            for unit, agent in device.agents.items()
        }

    def bundle(self, version: str, behaviour: str = "well", **claims: str) -> Path:
        """For all devices, without anybody's secrets."""
        configs = {
            f"{device.name}/{unit}": text
            for device in self.devices.values()
            for unit, text in self.configs(device, version).items()
        }
        folder = real_bundles.unpack_into(
            self._folder / version,
            version,
            self.wheels(version, behaviour),
            configs=configs,
            box=None,
            **claims,
        )
        return real_bundles.pack(folder, self._folder / f"{version}.tar.zst", self.key)

    def publish(
        self, *bundles: Path, groups: dict[str, tuple[str, ...]] | None = None, soak_s: float = 0
    ) -> PublishedRelease:
        order = tuple(RolloutGroup(name=name, agents=each) for name, each in (groups or {}).items())
        with self.channel() as channel:
            return publish(
                bundles, RolloutPlan("lab", order, soak_s), self.key, self.depot, channel
            )

    def channel(self) -> ReleaseChannel:
        settings = MqttSettings.model_validate({"url": self._url})
        return ReleaseChannel(Broker.from_settings(settings), settings.root, "lab")
