"""The IGLUE tasks."""
