"""Installs, upgrades, wedges and cuts a device under a real systemd, and says what it saw.

    under_systemd.py FOLDER             # kept between runs: a Debian, wheels; root and a network
    under_systemd.py FOLDER CHAPTER     # goes on from there

By hand, as root, with debootstrap and systemd-container; about fifteen minutes.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

ROOT = Path(__file__).resolve().parents[2]
TESTS = ROOT / "tests"
sys.path[:0] = [str(ROOT), str(TESTS), str(TESTS / "device")]

from support import real_bundles  # noqa: E402
from support.mjpeg_camera import STILL, MjpegCamera  # noqa: E402
from support.secured_broker import SecuredMosquitto  # noqa: E402
from systemd_device import SystemdBox  # noqa: E402

from edge_reid.agent import systemd  # noqa: E402
from edge_reid.agent.systemd import SystemdNotifier  # noqa: E402
from edge_reid.core.bundled_models import EMBEDDING, shipped_model  # noqa: E402
from edge_reid.core.manifest import load_embedding_manifest  # noqa: E402
from edge_reid.gallery.store import GalleryStore  # noqa: E402
from edge_reid.mqtt.subscriber import Subscriber  # noqa: E402
from edge_reid.release.channel import ReleaseChannel  # noqa: E402
from edge_reid.release.release_publication import RolloutPlan, publish  # noqa: E402
from edge_reid.signing.keys import SigningKey  # noqa: E402
from edge_reid.wire.payloads import AgentStatus, DeviceUpdate, Payload  # noqa: E402

P = TypeVar("P", bound=Payload)

UNIT = "edge-reid@gate.service"
PYTHON = "3.11"
DEPENDENCIES = "ai-edge-litert av numpy opencv-python-headless paho-mqtt cryptography lap pydantic"
MORE = "rich typer tomli zstandard pip prometheus-client"
CONFIG = """# of {version}
site = "lab"
camera = "gate"
agent = "gate-1"
gallery = "/var/lib/edge-reid/gallery-gate.db"
[source]
uri = "http://127.0.0.1:9/no-camera"
stall_timeout_s = 4
[models]
embedding = "/opt/edge-reid/current/models/{model}"
[mqtt]
url = "mqtts://127.0.0.1:8883"
[outbox]
path = "/var/lib/edge-reid/outbox-gate.db"
"""
UPDATE = """[update]
source = "/srv/depot"
public_key = "/etc/edge-reid/secrets/release-signing.pub"
"""
MUTE = Path(systemd.__file__).read_bytes()
MUTE += f"\n\n{SystemdNotifier.__name__}.beat = lambda self, status: None\n".encode()
DEAD = b'raise RuntimeError("a wheel for another processor")\n'


class Bundles:
    """Of real wheels, in the device's /srv."""

    def __init__(self, folder: Path, device: SystemdBox) -> None:
        self._folder = folder
        self._device = device
        self._wheels = folder / "wheels"
        self._gallery = folder / "gallery.db"
        if not self._wheels.exists():
            pip = [sys.executable, "-m", "pip", "--quiet"]
            only = ["--only-binary=:all:", f"--python-version={PYTHON}", "-d", self._wheels]
            wanted = f"{DEPENDENCIES} {MORE}".split()
            subprocess.run([*pip, "download", *only, *wanted], check=True)
        shutil.rmtree(folder / "ours", ignore_errors=True)  # an earlier release's wheel, too
        ours = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w"]
        subprocess.run([*ours, folder / "ours", ROOT], check=True)
        self._gallery.unlink(missing_ok=True)  # it may be of an earlier release's model
        manifest = load_embedding_manifest(shipped_model(EMBEDDING))
        GalleryStore.create(self._gallery, manifest.model_id, manifest.dimension).close()

    def make(
        self,
        version: str,
        replaced: dict[str, bytes] | None = None,
        *,
        camera: str = "gate",
        config: str = CONFIG,
        secrets: dict[str, bytes] | None = None,
    ) -> str:
        """Where its installer lies, as seen from in there."""
        real_bundles.unpack_into(
            self._device.root / "srv" / version,
            version,
            self._all_wheels(version, replaced),
            models=ROOT / "models",
            configs={camera: config.format(version=version, model=EMBEDDING)},
            secrets=secrets,
            gallery=self._gallery,
            python=PYTHON,
        )
        return f"/srv/{version}/install/install.py"

    def pack(
        self, version: str, key: SigningKey, config: str, replaced: dict[str, bytes] | None = None
    ) -> Path:
        """For all devices, to be published."""
        unpacked = real_bundles.unpack_into(
            self._folder / "to publish",
            version,
            self._all_wheels(version, replaced),
            models=ROOT / "models",
            configs={"gate-1/gate": config.format(version=version, model=EMBEDDING)},
            box=None,
            python=PYTHON,
        )
        return real_bundles.pack(unpacked, self._folder / f"{version}.tar.zst", key)

    def _all_wheels(self, version: str, replaced: dict[str, bytes] | None) -> list[Path]:
        own = next((self._folder / "ours").glob("edge_reid-*.whl"))
        wheel = real_bundles.as_version(own, version, self._folder / "versions", replaced)
        return [*self._wheels.glob("*.whl"), wheel]


def say(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)


def installed(device: SystemdBox) -> tuple[str, str]:
    """The version that runs, and whose configuration it has."""
    version = device.run("edge-reid", "--version").split()[1]
    return version, device.run("head", "-1", "/etc/edge-reid/gate.toml").split()[-1]


def first_installation(device: SystemdBox, bundles: Bundles) -> None:
    device.run("python3", bundles.make("1.0.0"))
    assert installed(device) == ("1.0.0", "1.0.0")
    assert device.property(UNIT, "StatusText") == "waiting for the camera"
    status = device.run("cat", f"/proc/{device.property(UNIT, 'MainPID')}/status")
    say(", ".join(it for it in status.splitlines() if it.startswith(("VmRSS", "Seccomp:", "CapE"))))
    size = device.run("du", "-sm", "/opt/edge-reid/releases/1.0.0").split()[0]
    exposure = device.run("systemd-analyze", "security", UNIT).splitlines()[-1]
    say(f"{size} MB installed; {exposure}")


def the_same_again(device: SystemdBox, bundles: Bundles) -> None:
    began = device.property(UNIT, "MainPID")
    assert "nothing to do" in device.run("python3", "/srv/1.0.0/install/install.py")
    assert device.property(UNIT, "MainPID") == began


def an_upgrade(device: SystemdBox, bundles: Bundles) -> None:
    device.run("python3", bundles.make("1.1.0"))
    assert installed(device) == ("1.1.0", "1.1.0")


def a_release_that_dies(device: SystemdBox, bundles: Bundles) -> None:
    script = bundles.make("1.2.0", {"edge_reid/agent/app.py": DEAD})
    told = device.run("python3", script, may_fail=True)
    say(told.splitlines()[-1])
    assert f"{UNIT.removesuffix('.service')}: was not well within 120 s: " in told, told
    assert installed(device) == ("1.1.0", "1.1.0")
    device.wait(UNIT, "SubState", "running", 60)


def a_release_that_is_never_ready(device: SystemdBox, bundles: Bundles) -> None:
    script = bundles.make("1.3.0", {"edge_reid/agent/systemd.py": MUTE})
    told = device.run("python3", script, "--patience", "40", may_fail=True)
    assert "was not well within 40 s: activating start, " in told, "it is to start, and be mute"
    assert installed(device) == ("1.1.0", "1.1.0")
    device.wait(UNIT, "SubState", "running", 60)


def a_power_cut_in_an_upgrade(device: SystemdBox, bundles: Bundles) -> None:
    script = bundles.make("1.4.0", {"edge_reid/agent/app.py": DEAD})
    device.run("systemd-run", "--unit=installer", "--collect", "python3", script)
    plan = device.root / "opt/edge-reid/upgrade/plan.json"
    while not (
        plan.exists() and (device.root / "opt/edge-reid/current").readlink().name == "1.4.0"
    ):
        time.sleep(0.1)
    time.sleep(5)
    say("power cut, on trial with 1.4.0")
    device.cut_power()
    device.boot()
    say(f"ready {device.wait(UNIT, 'SubState', 'running', 120):.0f} s after systemd was")
    assert installed(device) == ("1.1.0", "1.1.0")
    assert not plan.exists()


def an_installer_killed_in_an_upgrade(device: SystemdBox, bundles: Bundles) -> None:
    """No boot: the next start of the agent, which keeps failing, takes the upgrade back."""
    script = bundles.make("1.5.0", {"edge_reid/agent/app.py": DEAD})
    device.run("systemd-run", "--unit=installer", "--collect", "python3", script)
    plan = device.root / "opt/edge-reid/upgrade/plan.json"
    while not (
        plan.exists() and (device.root / "opt/edge-reid/current").readlink().name == "1.5.0"
    ):
        time.sleep(0.1)
    time.sleep(5)
    device.run("systemctl", "kill", "--signal=KILL", "installer.service")
    deadline_s = time.monotonic() + 120
    while plan.exists():
        assert time.monotonic() < deadline_s, "nobody took it back"
        time.sleep(0.5)
    device.wait(UNIT, "SubState", "running", 60)
    assert installed(device) == ("1.1.0", "1.1.0")


def a_wedged_agent(device: SystemdBox, bundles: Bundles) -> None:
    agent = device.property(UNIT, "MainPID")
    device.run("sh", "-c", f"kill -STOP {agent}")
    took_s = device.wait(UNIT, "NRestarts", str(int(device.property(UNIT, "NRestarts")) + 1), 150)
    device.wait(UNIT, "SubState", "running", 120)
    assert device.property(UNIT, "MainPID") != agent
    say(f"stopped dead, started anew after {took_s:.0f} s")


def an_idle_agent(device: SystemdBox, bundles: Bundles) -> None:
    agent = device.property(UNIT, "MainPID")
    time.sleep(100)
    assert device.property(UNIT, "MainPID") == agent, "idle for longer than the watchdog waits"


def a_camera_that_is_renamed(device: SystemdBox, bundles: Bundles) -> None:
    """Its agent stops for good; a power cut on trial brings it back, in that very boot."""
    renamed = CONFIG.replace('"gate"', '"door"').replace("-gate.db", "-door.db")
    script = bundles.make("1.5.1", camera="door", config=renamed)
    device.run("systemd-run", "--unit=installer", "--collect", "python3", script)
    door = "edge-reid@door.service"
    device.wait(door, "SubState", "running", 120)
    assert (device.property(UNIT, "ActiveState"), device.is_enabled(UNIT)) == ("inactive", False)
    device.cut_power()
    device.boot()
    device.wait(UNIT, "SubState", "running", 120)
    assert (device.property(door, "ActiveState"), device.is_enabled(door)) == ("inactive", False)
    device.run("python3", script)
    assert (device.property(UNIT, "ActiveState"), device.is_enabled(UNIT)) == ("inactive", False)
    device.run("python3", bundles.make("1.5.2"))
    assert installed(device) == ("1.5.2", "1.5.2")


class Post:
    """A camera, a broker with the shipped TLS and access rules, and the login of the device
    there.
    """

    def __init__(self, folder: Path, camera: MjpegCamera) -> None:
        self.broker = SecuredMosquitto(folder)
        self.broker.start()
        config = CONFIG.replace("http://127.0.0.1:9/no-camera", camera.url)
        self.config = config.replace("127.0.0.1:8883", f"127.0.0.1:{self.broker.port}")
        login = self.broker.login("gate-1")
        names = {"ca_file": "ca.crt", "cert_file": "agent.crt", "key_file": "agent.key"}
        self.secrets = {file: login[setting].read_bytes() for setting, file in names.items()}

    def wait_for(self, topic: str, payload: type[P], **expected: str) -> P:
        """The first message there with these fields."""
        deadline_s = time.monotonic() + 300
        filters = [f"edge-reid/lab/agents/gate-1/{topic}"]
        with Subscriber(self.broker.broker_for("desk"), filters) as subscriber:
            while time.monotonic() < deadline_s:
                if received := subscriber.receive(1):
                    found = payload.model_validate_json(received.body)
                    say(f"{topic}: {received.body.decode()}")
                    if all(getattr(found, name) == value for name, value in expected.items()):
                        return found
        raise AssertionError(f"{topic}: did not come")


@contextmanager
def a_post() -> Iterator[Post]:
    with TemporaryDirectory() as name, MjpegCamera(STILL) as camera:
        post = Post(Path(name), camera)
        try:
            yield post
        finally:
            post.broker.stop()


def online(device: SystemdBox, bundles: Bundles) -> None:
    """A key from LoadCredential."""
    with a_post() as post:
        device.run("python3", bundles.make("1.6.0", config=post.config, secrets=post.secrets))
        assert installed(device) == ("1.6.0", "1.6.0")
        assert device.property(UNIT, "StatusText") == "watching"
        status = post.wait_for("status", AgentStatus, state="online")
        assert status.version == "1.6.0"
        key = device.run("stat", "-c", "%U %a", "/etc/edge-reid/secrets/agent.key")
        assert key == "edge-reid 600"


def over_the_air(device: SystemdBox, bundles: Bundles) -> None:
    """Fetched by a user, installed by root; and a release that dies is taken back and told."""
    key = SigningKey.generate()
    with a_post() as post, TemporaryDirectory() as name:
        _, public_key = key.write(Path(name), "release")
        config = post.config + UPDATE
        secrets = post.secrets | {"release-signing.pub": public_key.read_bytes()}
        device.run("python3", bundles.make("1.7.0", config=config, secrets=secrets))
        for unit in ("edge-reid-fetch.timer", "edge-reid-install.path"):
            assert device.property(unit, "ActiveState") == "active", unit
        line = ReleaseChannel(post.broker.broker_for("depot"), "edge-reid", "lab")
        for version, replaced, state in (
            ("1.8.0", None, "current"),
            ("1.9.0", {"edge_reid/agent/app.py": DEAD}, "taken-back"),
        ):
            bundle = bundles.pack(version, key, config, replaced)
            with line:
                done = publish(
                    [bundle], RolloutPlan("lab", (), 0), key, device.root / "srv/depot", line
                )
            say(f"published {version}: {done.new} new files, {done.new_bytes / 1e6:.1f} MB")
            began_s = time.monotonic()
            device.run("systemctl", "start", "--no-block", "edge-reid-fetch.service")
            report = post.wait_for("update", DeviceUpdate, wanted=version, state=state)
            say(f"{state} {time.monotonic() - began_s:.0f} s after it was looked for")
            assert report.release == "1.8.0"
            assert installed(device) == ("1.8.0", "1.8.0")
            device.wait(UNIT, "SubState", "running", 60)
        fetched = device.run("stat", "-c", "%U", "/var/lib/edge-reid-update/files")
        assert fetched == "edge-reid"


def a_read_only_root(device: SystemdBox, bundles: Bundles) -> None:
    device.run("mount", "--bind", "/var/lib/edge-reid", "/var/lib/edge-reid")
    device.run("mount", "-o", "remount,bind,ro", "/")
    assert "Read-only file system" in device.run("touch", "/etc/x", may_fail=True)
    device.run("systemctl", "restart", UNIT)
    device.wait(UNIT, "SubState", "running", 120)


STORY: tuple[Callable[[SystemdBox, Bundles], None], ...] = (
    *(first_installation, the_same_again, an_upgrade, an_idle_agent, a_wedged_agent),
    *(a_release_that_dies, a_release_that_is_never_ready, an_installer_killed_in_an_upgrade),
    *(a_power_cut_in_an_upgrade, a_camera_that_is_renamed, online, over_the_air),
    a_read_only_root,
)


def main(folder: Path, beginning: str = "first_installation") -> None:
    device = SystemdBox(folder / "root")
    device.make()
    chapters = [chapter.__name__ for chapter in STORY]
    if beginning == chapters[0]:
        for left in ("opt/edge-reid", "etc/edge-reid", "var/lib/edge-reid"):
            subprocess.run(["rm", "-rf", device.root / left], check=True)
    bundles = Bundles(folder, device)
    device.boot()
    try:
        for chapter in STORY[chapters.index(beginning) :]:
            say(chapter.__name__.replace("_", " "))
            chapter(device, bundles)
    finally:
        device.cut_power()
    say("all well")


main(Path(sys.argv[1]), *sys.argv[2:])
