"""Several runs: comparisons, sweeps, and where they are launched."""
