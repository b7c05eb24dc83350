"""The trainers that ship with the package; importing this registers them."""

from iglue_plugins.trainers import contrastive_adaptation, few_shot, finetune, pretrain, xvl_maml

__all__ = ["contrastive_adaptation", "few_shot", "finetune", "pretrain", "xvl_maml"]
