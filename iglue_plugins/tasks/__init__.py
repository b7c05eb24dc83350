"""The IGLUE tasks; importing this registers them."""

from iglue_plugins.tasks import full_scale

__all__ = ["full_scale"]
