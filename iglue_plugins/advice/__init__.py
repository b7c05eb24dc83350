"""Advice on which auxiliary language to meta-train on, learned from finished sweeps."""
