"""Types, errors, geometry, configuration and manifests: what every other room may import."""
