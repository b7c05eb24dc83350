"""Processors: how texts and images become the inputs of a model."""
