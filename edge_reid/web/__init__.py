"""The live page of a device, for a browser."""
