"""Detectors of objects, which make regions of pictures."""
