"""Runs: the runner that makes one from a recipe, its folder, its fingerprint and its record."""
