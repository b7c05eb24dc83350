"""Examples, region features, batches and episodes."""
