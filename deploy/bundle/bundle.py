"""A bundle: everything that a kind of device, or one device, needs to run without a network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from deploy.bundle.bundle_writer import Content, listing, write_bundle
from deploy.bundle.first_gallery import FirstGallery, first_gallery
from deploy.bundle.lock import Lock, choose, read_lock
from deploy.bundle.own_wheel import own_wheel
from deploy.bundle.sbom import Model, sbom
from deploy.bundle.wheel import Wheel, check_closure
from deploy.bundle.wheel_models import models_inside, wheel_for_site
from deploy.bundle.wheelhouse import Wheelhouse
from deploy.site.credentials import certificate_files, secrets_of
from deploy.site.site import Site
from deploy.site.targets import RuntimeChoice, Target
from edge_reid.core.bundled_models import is_shipped
from edge_reid.core.errors import BundleError, UsageError
from edge_reid.core.manifest import (
    EmbeddingManifest,
    load_detector_manifest,
    load_embedding_manifest,
    manifest_path,
)
from edge_reid.core.progress import StageProgress, of_stage
from edge_reid.core.stream_url import has_login
from edge_reid.release.bundle_file import verify
from edge_reid.release.bundle_manifest import GALLERY, BundleManifest
from edge_reid.signing.keys import SigningKey, read_public_key
from edge_reid.signing.model_signature import sign_model, signature_path

Contents = dict[str, Content]

_DEPLOY = Path(__file__).resolve().parents[1]
_COPIED_FOLDERS = ("systemd", "install")
_PACKAGES: dict[RuntimeChoice, str] = {
    "litert": "ai-edge-litert",
    "tflite-runtime": "tflite-runtime",
}


@dataclass(frozen=True, slots=True)
class BundleRequest:
    """Which bundle is wanted."""

    site: Site
    target: Target
    out: Path
    lock: Path
    """Which wheels; written if it is not there."""
    cache: Path
    """Where fetched wheels are kept."""
    device: str | None = None
    """With its secrets; None: all devices of that target, without any."""
    runtime: RuntimeChoice = "litert"
    key: SigningKey | None = None
    wheel: Path | None = None
    """Ours; None: built from the checkout."""
    version: str | None = None
    """What the release is called; None: as our wheel."""


def make_bundle(
    request: BundleRequest, progress: StageProgress = lambda *_: None
) -> BundleManifest:
    """Make a bundle, and read it back.

    Args:
        request: what is wanted.
        progress: told how far it is.

    Raises:
        UsageError: the request contradicts itself, or the site's file.
        EdgeReidError: a file that it needs is missing, wrong, or not to be had; one line each.
    """
    _check(request)
    contents = _configuration(request) | _units_and_installer()
    models, known = _models(request)
    embeddings = request.site.embeddings
    manifests = [load_embedding_manifest(file) for file in embeddings]
    shipped = [file.name for file in embeddings if is_shipped(file)]
    model_id = manifests[0].model_id
    if request.device and request.site.files.gallery:
        gallery = _gallery(request, manifests)
        contents[GALLERY], model_id = Content(gallery.body), gallery.model_id
    with own_wheel(request.wheel) as whole, wheel_for_site(whole, shipped, request.key) as ours:
        wheels = _wheels(request, ours, progress)
        known += models_inside(ours).values()
        version = request.version or str(ours.version)
        contents["sbom.cdx.json"] = Content(sbom(ours.name, version, request.target, wheels, known))
        contents |= models
        contents |= {f"wheels/{wheel.path.name}": Content(wheel.path) for wheel in wheels}
        manifest = BundleManifest(
            version=version,
            target=request.target.name,
            python=request.target.python,
            machine=request.target.machine,
            device=request.device,
            site=request.site.site,
            model_id=model_id,
            files=listing(contents),
        )
        write_bundle(request.out, manifest, contents, request.key, of_stage("writing", progress))
    return verify(
        request.out, request.key.public if request.key else None, of_stage("reading back", progress)
    )


def _check(request: BundleRequest) -> None:
    target = request.target
    if request.runtime not in target.runtimes:
        raise UsageError(
            f"runtime {request.runtime}: expected {' or '.join(target.runtimes)} for "
            f"{target.name}: there is no other for Python {target.python}"
        )
    if request.device and (its := request.site.target_of(request.device)) != target.name:
        raise UsageError(
            f"device {request.device}: expected target {its} as the site's file says, got "
            f"{target.name}"
        )
    for agent in (agent for name in _devices(request) for agent in request.site.agents(name)):
        if agent.settings.models.runtime not in {"auto", request.runtime}:
            raise UsageError(
                f"agent {agent.name}: its models.runtime is {agent.settings.models.runtime}, "
                f"the bundle is for {request.runtime}; give that as --runtime"
            )
    if request.device is None:
        _refuse_logins(request)


def _refuse_logins(request: BundleRequest) -> None:
    agents = (agent for name in _devices(request) for agent in request.site.agents(name))
    cameras = [camera for agent in agents for camera in agent.settings.cameras.items()]
    for key in ("uri", "detect_uri"):
        named = [name for name, each in cameras if has_login(getattr(each.source, key) or "")]
        if named:
            raise UsageError(
                f"source.{key} of {', '.join(named)}: expected no login in a bundle for all "
                "devices, which anybody may read; make one for each device, with --device"
            )


def _devices(request: BundleRequest) -> list[str]:
    """Whose configuration goes into the bundle."""
    if request.device:
        return [request.device]
    site = request.site
    names = [name for name in sorted(site.devices) if site.target_of(name) == request.target.name]
    if not names:
        raise UsageError(
            f"target {request.target.name}: the site's file has no device of that kind; "
            "give the target of one"
        )
    return names


def _configuration(request: BundleRequest) -> Contents:
    agents = [(name, agent) for name in _devices(request) for agent in request.site.agents(name)]
    if request.device is None:
        return {
            **{
                f"config/{name}/{agent.path.name}": Content(agent.text.encode())
                for name, agent in agents
            },
            **_certificates(request),
        }
    secrets = secrets_of(request.site, request.device)
    return {
        **{f"config/{agent.path.name}": Content(agent.text.encode()) for _, agent in agents},
        **{f"config/secrets/{path.name}": Content(body) for path, body in secrets.items()},
    }


def _certificates(request: BundleRequest) -> Contents:
    """Of agents, for devices that have the key already; they are no secret, as the key is."""
    found = {
        f"config/{name}/{there.name}": path
        for name in _devices(request)
        for there, path in certificate_files(request.site, name).items()
    }
    return {there: Content(path) for there, path in found.items() if path.exists()}


def _units_and_installer() -> Contents:
    """As they lie in deploy/."""
    return {
        str(path.relative_to(_DEPLOY)): Content(path)
        for folder in _COPIED_FOLDERS
        for path in (_DEPLOY / folder).rglob("*")
        if path.is_file() and path.suffix != ".md" and "__pycache__" not in path.parts
    }


def _models(request: BundleRequest) -> tuple[Contents, list[Model]]:
    """Those that configurations name by their paths; others are inside our wheel."""
    detectors = request.site.detectors(_devices(request))
    named = request.site.embeddings if request.site.names_embedding else ()
    known: list[Model] = [*map(load_detector_manifest, detectors)]
    known += map(load_embedding_manifest, named)
    models = (*detectors, *named)
    if twice := sorted(
        name for name, times in Counter(m.stem for m in models).items() if times > 1
    ):
        raise UsageError(f"models: expected files of different names, got two of {twice[0]}")
    files = [file for model in models for file in (model, manifest_path(model))]
    contents = {f"models/{file.name}": Content(file) for file in files}
    if request.key:
        contents |= dict(_signature(model, request.key) for model in models)
    return contents, known


def _signature(model: Path, key: SigningKey) -> tuple[str, Content]:
    signature = sign_model(manifest_path(model).read_bytes(), key)
    return f"models/{signature_path(model).name}", Content(signature)


def _gallery(request: BundleRequest, embeddings: Sequence[EmbeddingManifest]) -> FirstGallery:
    site, device = request.site, request.device or ""
    syncs = {agent.settings.gallery_sync is not None for agent in site.agents(device)}
    if len(syncs) > 1 or site.files.gallery is None:
        raise UsageError("files.gallery: either all agents of a device sync theirs, or none does")
    public = site.files.gallery_public_key
    key = read_public_key(public) if syncs == {True} and public else None
    model_ids = [embedding.model_id for embedding in embeddings]
    return first_gallery(site.files.gallery, model_ids, key)


def _wheels(request: BundleRequest, ours: Wheel, progress: StageProgress) -> list[Wheel]:
    others = frozenset(_PACKAGES.values()) - {_PACKAGES[request.runtime]}
    needs = list(_requirements(request, ours, others))
    lock = _lock(request, needs, progress)
    house = Wheelhouse(request.cache)
    fetched = house.fetch(lock, request.target, of_stage("wheels", progress))
    wheels = [ours, *fetched]
    _check_needs(needs, wheels, request.lock)
    check_closure(wheels, request.target, without=others)
    return wheels


def _requirements(request: BundleRequest, ours: Wheel, others: frozenset[str]) -> Iterator[str]:
    """What our wheel needs there with one runtime, and with the page if an agent has one; and pip,
    which a device may lack.
    """
    extras = {"tflite-runtime": request.runtime == "tflite-runtime", "web": _has_page(request)}
    wanted = [extra for extra, is_wanted in extras.items() if is_wanted] or [""]
    needs = [need for extra in wanted for need in ours.requirements(request.target, extra)]
    for need in needs:
        need.marker = None
    yield from dict.fromkeys(str(need) for need in needs if need.name not in others)
    yield "pip"


def _has_page(request: BundleRequest) -> bool:
    agents = (agent for name in _devices(request) for agent in request.site.agents(name))
    return any(agent.settings.web is not None for agent in agents)


def _check_needs(needs: Sequence[str], wheels: Sequence[Wheel], lock: Path) -> None:
    """Raise BundleError if a wheel that is needed here is not among them."""
    have = {wheel.name for wheel in wheels}
    names = {canonicalize_name(Requirement(need).name) for need in needs}
    if missing := sorted(names - have):
        raise BundleError(
            f"lock {lock}: expected {', '.join(missing)} in it, as the site asks for it now, "
            "got none; delete the lock file to choose anew"
        )


def _lock(request: BundleRequest, needs: list[str], progress: StageProgress) -> Lock:
    if request.lock.exists():
        return read_lock(request.lock, request.target, request.runtime)
    lock = choose(needs, request.target, request.runtime, of_stage("choosing wheels", progress))
    try:
        request.lock.write_text(lock.text, encoding="utf-8")
    except OSError as error:
        raise BundleError(
            f"lock {request.lock}: cannot be written: {error.strerror}; give another --lock"
        ) from error
    return lock
