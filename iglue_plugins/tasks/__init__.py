"""The IGLUE tasks: their settings and facts, their examples, losses and scores."""
