"""Sharing what a run has trained: its model card, the files that leave this machine, and runs that come back."""
