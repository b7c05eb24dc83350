"""The arguments of transformers' Trainer, from a trainer's settings."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import TrainingArguments

from iglue_plugins.trainers.checkpoint_names import CHECKPOINTS
from iglue_plugins.trainers.precision import resolved_precision
from iglue_plugins.trainers.settings.base import TrainerSettings
from iglue_plugins.trainers.tracking import PROJECT, TrackedArguments, check_trackers, run_name


def training_arguments(
    settings: TrainerSettings, steps: int, schedule_steps: int, accumulation: int, seed: int, folder: Path
) -> TrainingArguments:
    """Make the arguments of transformers' Trainer.

    Args:
        settings: The settings of the trainer.
        steps: The number of optimizer steps.
        schedule_steps: The number of optimizer steps that the schedule of the learning rate spans.
        accumulation: The number of items of an optimizer step that this process sees.
        seed: The run's seed.
        folder: Where checkpoints go.

    Returns:
        The arguments.

    Raises:
        UserError: A tracker of `settings.report_to` is not installed.
    """
    check_trackers(settings.report_to)
    arguments = TrackedArguments(
        shown={"seed": seed, **settings.model_dump(mode="json", warnings=False)},
        output_dir=str(folder / CHECKPOINTS),
        max_steps=steps,
        per_device_train_batch_size=1,
        gradient_accumulation_steps=accumulation,
        learning_rate=settings.learning_rate,
        warmup_steps=round(settings.warmup * schedule_steps),
        lr_scheduler_type=settings.lr_scheduler,
        lr_scheduler_kwargs=settings.lr_scheduler_kwargs or None,
        weight_decay=settings.weight_decay,
        adam_beta1=settings.adam_betas[0],
        adam_beta2=settings.adam_betas[1],
        adam_epsilon=settings.adam_epsilon,
        max_grad_norm=settings.clip_norm,
        optim=settings.optim,
        optim_args=",".join(f"{key}={value}" for key, value in settings.optim_args.items()) or None,
        bf16=resolved_precision(settings.precision) == "bfloat16",
        use_cpu=not torch.cuda.is_available(),
        seed=seed,
        logging_steps=settings.log_every,
        save_steps=settings.save_every or steps,  # the last step is saved in any case
        save_total_limit=2,
        remove_unused_columns=False,
        label_names=[],
        disable_tqdm=True,
        dataloader_pin_memory=torch.cuda.is_available(),
        report_to=list(settings.report_to),
        run_name=run_name(folder),
        project=PROJECT,
        logging_nan_inf_filter=False,
        ddp_find_unused_parameters=True,  # a loss may leave a head unused
    )
    # With several GPUs in one process transformers would use torch's DataParallel, which splits an item.
    arguments._n_gpu = min(arguments.n_gpu, 1)
    return arguments
