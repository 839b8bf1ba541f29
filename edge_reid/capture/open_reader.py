"""Chooses who reads a camera, and gives up the decoder's rights on the way."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from edge_reid.capture.camera_order import CameraOrder, is_pipeline
from edge_reid.capture.picture import CannotReadError, PictureReader
from edge_reid.capture.relay import Relay, Secure, is_relayed, speaks_tls
from edge_reid.capture.rights import Needs, give_up_rights

_READ_TIMEOUT_S = 3600.0
"""Of FFmpeg behind a relay: the agent ends a decoder that shows nothing."""


@dataclass(frozen=True, slots=True)
class OpenedReader:
    """A reader, in a process that has given up its rights."""

    reader: PictureReader
    relay: Relay | None = None
    """Between it and a network camera."""
    unenforced: str | None = None
    """Which rights this machine could not take away; None: it could."""


def open_reader(order: CameraOrder) -> OpenedReader:
    """The reader of a camera. All that it imports, and what must be open, is there before rights
    are given up; threads are started afterwards, since each gives them up for itself.

    Raises:
        ValueError: the address is none.
        CannotReadError: what the camera takes is not installed.
    """
    if is_pipeline(order.uri):
        return _of_pipeline(order)
    if order.uri.startswith("picamera:"):
        return _of_picamera(order)
    if "://" not in order.uri:
        return _of_device(order)
    if is_relayed(order.uri) and not order.allow_redirects:
        return _of_relayed_stream(order)
    return _of_stream(order)


def _of_pipeline(order: CameraOrder) -> OpenedReader:
    from edge_reid.capture.opencv_reader import OpenCvReader, has_gstreamer  # noqa: PLC0415

    if not has_gstreamer():
        raise CannotReadError(
            order.camera,
            "expected an OpenCV that was built with GStreamer, this one was not (those from PyPI"
            " never are); use the one of JetPack or Debian (python3-opencv)",
        )
    return OpenedReader(OpenCvReader(order), unenforced=give_up_rights(Needs(is_confined=False)))


def _of_picamera(order: CameraOrder) -> OpenedReader:
    from edge_reid.capture.picamera_reader import PicameraReader  # noqa: PLC0415

    try:
        reader = PicameraReader(order)
    except ImportError:
        raise CannotReadError(
            order.camera,
            "expected picamera2 to be installed; apt install python3-picamera2, and make the"
            " environment with --system-site-packages",
        ) from None
    return OpenedReader(reader, unenforced=give_up_rights(Needs(is_confined=False)))


def _of_device(order: CameraOrder) -> OpenedReader:
    from edge_reid.capture.opencv_reader import OpenCvReader, device_paths  # noqa: PLC0415

    needs = Needs(devices=device_paths(order.uri))
    return OpenedReader(OpenCvReader(order), unenforced=give_up_rights(needs))


def _of_relayed_stream(order: CameraOrder) -> OpenedReader:
    from edge_reid.capture.av_reader import AvReader  # noqa: PLC0415 - only it takes PyAV

    relay = Relay(order.uri, _secure_of(order), order.stall_timeout_s, order.camera)
    needs = Needs(ports=(relay.target.port, relay.port), files=_files(order))
    unenforced = give_up_rights(needs)
    relay.start()
    reader = AvReader(order, relay.url, _READ_TIMEOUT_S, lambda: relay.is_waiting)
    return OpenedReader(reader, relay, unenforced)


def _secure_of(order: CameraOrder) -> Secure | None:
    """None: the camera speaks no TLS, and its decoder does without two megabytes of libraries."""
    if not speaks_tls(order.uri):
        return None
    from edge_reid.capture.camera_tls import CameraTls  # noqa: PLC0415 - only it takes ssl

    return CameraTls(order.camera, order.ca_file, order.tls_fingerprint).secured


def _of_stream(order: CameraOrder) -> OpenedReader:
    from edge_reid.capture.av_reader import AvReader  # noqa: PLC0415 - only it takes PyAV

    port = urlsplit(order.uri).port
    ports = None if order.allow_redirects or port is None else (port,)
    unenforced = give_up_rights(Needs(ports=ports, files=_files(order)))
    reader = AvReader(order, order.uri, order.stall_timeout_s, lambda: False)
    return OpenedReader(reader, unenforced=unenforced)


def _files(order: CameraOrder) -> tuple[str, ...]:
    return (order.ca_file,) if order.ca_file else ()
