"""The trainers that ship with the package; importing this registers them."""

from iglue_plugins.trainers import finetune, pretrain, xvl_maml

__all__ = ["finetune", "pretrain", "xvl_maml"]
