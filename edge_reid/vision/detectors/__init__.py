"""Families of person detectors, one file each: how their models are fed, and how they are read."""
