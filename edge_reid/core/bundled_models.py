"""Paths of the shipped models: inside the wheel, or beside the package in a checkout."""

from __future__ import annotations

from pathlib import Path

DETECTOR = "nanodet_g_person_512x288.tflite"
DETECTORS = (
    "nanodet_g_person_320x192.tflite",
    DETECTOR,
    "person_detection_0201_384x384.tflite",
    "person_detection_0201_640x640.tflite",
)
"""All that are shipped."""
EMBEDDING = "person_reid_mobilenetv2_192x96_int8.tflite"
SMALLER_EMBEDDING = "person_reid_mobilenetv2_160x80_int8.tflite"
"""For devices on which embedding takes most of the time."""
CHECKPOINT = "person_reid_mobilenetv2.weights.npz"
"""The float weights behind `EMBEDDING`, which fine-tuning starts from."""

_PACKAGE = Path(__file__).resolve().parents[1]


def shipped_model(name: str) -> Path:
    """Path of a shipped model, whether or not the file is there."""
    inside_wheel = _PACKAGE / "models" / name
    return inside_wheel if inside_wheel.exists() else _PACKAGE.parent / "models" / name
