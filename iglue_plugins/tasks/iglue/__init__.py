"""The IGLUE tasks at full scale: examples from annotation files, regions from stores on disk."""
