"""Devices of one site that take releases by themselves, and whoever publishes them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from support import real_bundles as parcels
from support.device_root import HERE, DeviceRoot, Outcome

from edge_reid.core.config import MqttSettings
from edge_reid.mqtt.broker import Broker
from edge_reid.release.channel import ReleaseChannel
from edge_reid.release.release_head import RolloutGroup
from edge_reid.release.release_publication import PublishedRelease, RolloutPlan, publish
from edge_reid.signing.keys import SigningKey

CONFIG = """# for {version}
site = "lab"
camera = "gate"
agent = "{name}"
gallery = "/var/lib/edge-reid/gallery.db"
[source]
uri = "rtsp://127.0.0.1:9/none"
[mqtt]
url = "{url}"
[update]
source = "{depot}"
public_key = "{public_key}"
least_serial = {least_serial}
"""


class FollowingBox(DeviceRoot):
    """One that has 1.0 from a bundle of its own."""

    __test__ = False

    def __init__(self, folder: Path, fleet: Fleet, name: str) -> None:
        root = folder / name
        root.mkdir()
        super().__init__(root, fleet.pip, folder / f"bundles of {name}")
        self.name = name
        self._fleet = fleet
        own = parcels.unpack_into(
            folder / f"first of {name}",
            "1.0",
            fleet.wheels("1.0"),
            configs={"gate": fleet.config(self, "1.0")},
            secrets={"agent.key": b"secret", "release-signing.pub": fleet.public_key.read_bytes()},
            box=name,
        )
        outcome = self.install(own)
        assert outcome.code == 0, outcome.said

    @property
    def stock(self) -> Path:
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
        self.devices: dict[str, FollowingBox] = {}
        self.least_serial = 0
        """That configurations name."""

    def add(self, name: str) -> FollowingBox:
        self.devices[name] = FollowingBox(self._folder, self, name)
        return self.devices[name]

    def wheels(self, version: str, behaviour: str = "well") -> list[Path]:
        program = (HERE / "small_agent.py").read_text()
        program = program.replace("{version}", version).replace("{behaviour}", behaviour)
        folder = self._folder / "wheels" / behaviour
        made = list(folder.glob(f"edge_reid-{version}-*.whl"))  # one version is one wheel
        return [self.pip, *(made or [parcels.small_wheel(folder, version, program)])]

    def config(self, device: FollowingBox, version: str) -> str:
        public_key = device.root / "etc/edge-reid/secrets/release-signing.pub"
        return CONFIG.format(
            version=version,
            name=device.name,
            url=self._url,
            depot=self.depot,
            public_key=public_key,
            least_serial=self.least_serial,
        )

    def bundle(self, version: str, behaviour: str = "well", **claims: str) -> Path:
        """For all devices, without anybody's secrets."""
        configs = {f"{it.name}/gate": self.config(it, version) for it in self.devices.values()}
        folder = parcels.unpack_into(
            self._folder / version,
            version,
            self.wheels(version, behaviour),
            configs=configs,
            box=None,
            **claims,
        )
        return parcels.pack(folder, self._folder / f"{version}.tar.zst", self.key)

    def publish(
        self, *bundles: Path, groups: dict[str, tuple[str, ...]] | None = None, soak_s: float = 0
    ) -> PublishedRelease:
        order = tuple(RolloutGroup(name=name, agents=each) for name, each in (groups or {}).items())
        with self.line() as line:
            return publish(bundles, RolloutPlan("lab", order, soak_s), self.key, self.depot, line)

    def line(self) -> ReleaseChannel:
        settings = MqttSettings.model_validate({"url": self._url})
        return ReleaseChannel(Broker.from_settings(settings), settings.root, "lab")
