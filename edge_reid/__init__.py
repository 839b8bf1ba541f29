"""edge-reid: person re-identification that runs on the camera box."""

__version__ = "0.5.0"
