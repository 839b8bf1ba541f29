"""edge-reid: person re-identification that runs on the camera device."""

__version__ = "0.14.0"
