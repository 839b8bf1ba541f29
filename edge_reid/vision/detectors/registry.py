"""Every family of detectors, by the name that a manifest calls it as its `decoder`."""

from __future__ import annotations

from collections.abc import Mapping

from edge_reid.vision.detectors.family import FamilyMaker
from edge_reid.vision.detectors.nanodet_family import nanodet_family
from edge_reid.vision.detectors.ssd_family import ssd_family
from edge_reid.vision.detectors.yolox_family import yolox_family

FAMILIES: Mapping[str, FamilyMaker] = {
    "nanodet": nanodet_family,
    "ssd": ssd_family,
    "yolox": yolox_family,
}
