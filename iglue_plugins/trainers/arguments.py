"""The arguments of transformers' Trainer, from a trainer's settings."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import TrainingArguments

from iglue_plugins.trainers.settings.base import TrainerSettings


def training_arguments(
    settings: TrainerSettings, steps: int, schedule_steps: int, accumulation: int, seed: int, folder: Path
) -> TrainingArguments:
    """Make the arguments of transformers' Trainer.

    Args:
        settings: The settings of the trainer.
        steps: The number of optimizer steps.
        schedule_steps: The optimizer step at which the learning rate would reach 0.
        accumulation: The number of items of an optimizer step that this process sees.
        seed: The run's seed.
        folder: Where checkpoints go.

    Returns:
        The arguments.
    """
    bf16 = settings.precision == "bfloat16" or (
        settings.precision == "auto" and torch.cuda.is_available() and torch.cuda.is_bf16_supported()
    )
    arguments = TrainingArguments(
        output_dir=str(folder / "checkpoints"),
        max_steps=steps,
        per_device_train_batch_size=1,
        gradient_accumulation_steps=accumulation,
        learning_rate=settings.learning_rate,
        warmup_steps=round(settings.warmup * schedule_steps),
        lr_scheduler_type="linear",
        weight_decay=settings.weight_decay,
        adam_epsilon=1e-6,
        max_grad_norm=settings.clip_norm,
        optim="adamw_torch_fused",
        bf16=bf16,
        use_cpu=not torch.cuda.is_available(),
        seed=seed,
        logging_steps=settings.log_every,
        save_steps=settings.save_every,
        save_total_limit=2,
        remove_unused_columns=False,
        label_names=[],
        disable_tqdm=True,
        dataloader_pin_memory=torch.cuda.is_available(),
        report_to=["tensorboard"],
        logging_nan_inf_filter=False,
        ddp_find_unused_parameters=True,  # a loss may leave a head unused
    )
    # With several GPUs in one process transformers would use torch's DataParallel, which splits an item.
    arguments._n_gpu = min(arguments.n_gpu, 1)
    return arguments
