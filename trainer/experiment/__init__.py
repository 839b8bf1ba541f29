"""Experiments of the literature, repeated over many random draws."""
