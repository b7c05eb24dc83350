"""The trainers' names, facts and settings; their implementations are imported when they are needed."""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel

from iglue_plugins.registry import trainers
from iglue_plugins.trainers.settings.contrastive_adaptation import ContrastiveAdaptationSettings
from iglue_plugins.trainers.settings.finetune import FewShotSettings, FinetuneSettings
from iglue_plugins.trainers.settings.pretrain import PretrainSettings
from iglue_plugins.trainers.settings.xvl_maml import XVLMAMLSettings
from iglue_plugins.trainers.spec import TrainerSpec


@trainers.register("finetune")
class FinetuneSpec(TrainerSpec):
    """Fine-tuning on the source language's training examples."""

    Settings: ClassVar[type[BaseModel]] = FinetuneSettings
    implementation = "iglue_plugins.trainers.finetune:Finetune"


@trainers.register("auxiliary_finetune")
class AuxiliaryFinetuneSpec(TrainerSpec):
    """Fine-tuning of the English model on the auxiliary languages' labelled examples."""

    Settings: ClassVar[type[BaseModel]] = FinetuneSettings
    starts_from = "finetune"
    trains_on = "auxiliary"
    implementation = "iglue_plugins.trainers.finetune:AuxiliaryFinetune"


@trainers.register("few_shot")
class FewShotSpec(TrainerSpec):
    """Fine-tuning of a model for each target language on a few examples of it."""

    Settings: ClassVar[type[BaseModel]] = FewShotSettings
    starts_from = "finetune"
    trains_on = "target"
    implementation = "iglue_plugins.trainers.few_shot:FewShot"


@trainers.register("xvl_maml")
class XVLMAMLSpec(TrainerSpec):
    """Meta-training of the English model on the auxiliary languages."""

    Settings: ClassVar[type[BaseModel]] = XVLMAMLSettings
    starts_from = "finetune"
    trains_on = "auxiliary"
    implementation = "iglue_plugins.trainers.xvl_maml:XVLMAML"


@trainers.register("contrastive_adaptation")
class ContrastiveAdaptationSpec(TrainerSpec):
    """Adaptation at test time by contrastive steps on a language's unlabelled images and texts."""

    Settings: ClassVar[type[BaseModel]] = ContrastiveAdaptationSettings
    starts_from = "finetune"
    trains_on = "target"
    implementation = "iglue_plugins.trainers.contrastive_adaptation:ContrastiveAdaptation"


@trainers.register("pretrain")
class PretrainSpec(TrainerSpec):
    """Pre-training on captions in many languages."""

    Settings: ClassVar[type[BaseModel]] = PretrainSettings
    implementation = "iglue_plugins.trainers.pretrain:Pretrain"
