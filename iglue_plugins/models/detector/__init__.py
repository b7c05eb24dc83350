"""Object detectors as makers of regions: boxes, their features, classes and attributes."""
