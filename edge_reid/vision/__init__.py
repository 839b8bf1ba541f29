"""Frames to embeddings: capture, motion, detection, tracking, crops, preprocessing, inference."""
