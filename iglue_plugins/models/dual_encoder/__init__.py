"""Dual encoders from pixels: SigLIP, CLIP and their relatives, with the task heads of this package."""
