"""Frames from files, cameras and streams."""
