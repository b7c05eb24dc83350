"""Helpers that know nothing of the package: errors, files, progress bars, processes, threads, YAML."""
