"""Predictions, scores and their uncertainty."""
