"""Other harnesses, served from here; none of them is imported, or needed, until it asks."""
