"""Pictures of a task's images: where they come from, and how they are read."""
