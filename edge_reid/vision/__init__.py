"""Frames to embeddings: motion, detection, tracking, crops, preprocessing, inference."""
