"""From a recipe to a finished run: its folder, its record, and the runner."""
