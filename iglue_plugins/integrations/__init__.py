"""Adapters to other evaluation harnesses; nothing else in the package imports them."""
