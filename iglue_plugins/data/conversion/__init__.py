"""The conversion of region features of the IGLUE release to a store: sources, destination and writer."""
