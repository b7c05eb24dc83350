"""Dual encoders of a few thousand random weights, saved as the hub has the real ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedModel, PreTrainedTokenizerFast

SIDE = 16  # pixels of a picture
PATCH = 8
TEXT = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
VISION = {**TEXT, "image_size": SIDE, "patch_size": PATCH}
SPECIAL = ["<s>", "<pad>", "<unk>", "</s>"]  # CLIP takes the id 2 of an end for a mistake in old configurations


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """Make a tokenizer whose tokens are the bytes of a text between <s> and </s>."""
    pieces = [*SPECIAL, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    tokenizer = Tokenizer(models.BPE({piece: i for i, piece in enumerate(pieces)}, [], unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="<pad>"
    )


def gemma_tokenizer() -> PreTrainedTokenizerFast:
    """Make a tokenizer as SigLIP 2's with patches of any number: it puts letters in small ones, and adds no end."""
    pieces = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "\u2581", *(f"<0x{byte:02X}>" for byte in range(256))]
    pieces += [chr(ord("a") + i) for i in range(26)]
    return transformers.Siglip2Tokenizer(vocab={piece: i for i, piece in enumerate(pieces)}, merges=[])


def config_of(name: str, vocabulary: int, end: int) -> transformers.PretrainedConfig:
    """Make the configuration of a tiny dual encoder.

    Args:
        name: Its type of model, or 'xlm-roberta+dinov2'.
        vocabulary: The number of token ids.
        end: The id of the token that ends a text.
    """
    text: dict[str, Any] = {**TEXT, "vocab_size": vocabulary, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": end}
    causal = {**text, "max_position_embeddings": 40}
    if name == "siglip":
        return transformers.SiglipConfig(text_config={**causal, "projection_size": 16}, vision_config=VISION)
    if name == "siglip2":
        vision = {key: value for key, value in VISION.items() if key != "image_size"} | {"num_patches": 16}
        return transformers.Siglip2Config(text_config={**causal, "projection_size": 16}, vision_config=vision)
    if name in ("clip", "metaclip_2"):
        cls = transformers.CLIPConfig if name == "clip" else transformers.MetaClip2Config
        return cls(text_config=causal, vision_config=VISION, projection_dim=12)
    if name == "altclip":
        roberta = {**text, "max_position_embeddings": 42, "type_vocab_size": 1, "project_dim": 14}
        return transformers.AltCLIPConfig(text_config=roberta, vision_config=VISION, projection_dim=12)
    if name == "chinese_clip":
        bert = {**causal, "type_vocab_size": 2}
        return transformers.ChineseCLIPConfig(text_config=bert, vision_config=VISION, projection_dim=12)
    assert name == "xlm-roberta+dinov2"
    return transformers.VisionTextDualEncoderConfig.from_vision_text_configs(
        dinov2_config(), xlm_roberta_config(vocabulary, end), projection_dim=12
    )


def xlm_roberta_config(vocabulary: int, end: int) -> transformers.XLMRobertaConfig:
    """Make the configuration of a tiny XLM-R."""
    ids = {"vocab_size": vocabulary, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": end}
    return transformers.XLMRobertaConfig(**TEXT, **ids, max_position_embeddings=42, type_vocab_size=1)


def dinov2_config() -> transformers.Dinov2Config:
    """Make the configuration of a tiny DINOv2."""
    vision = {key: value for key, value in VISION.items() if key != "intermediate_size"}
    return transformers.Dinov2Config(**vision, mlp_ratio=2)


MODELS = {
    "siglip": "SiglipModel",
    "siglip2": "Siglip2Model",
    "clip": "CLIPModel",
    "metaclip_2": "MetaClip2Model",
    "altclip": "AltCLIPModel",
    "chinese_clip": "ChineseCLIPModel",
    "xlm-roberta+dinov2": "VisionTextDualEncoderModel",
}


def image_settings(name: str) -> dict[str, Any]:
    """Return the preprocessor_config.json of a dual encoder."""
    if name == "siglip2":
        return {"image_processor_type": "Siglip2ImageProcessor", "patch_size": PATCH, "max_num_patches": 12}
    kind = "SiglipImageProcessor" if name == "siglip" else "CLIPImageProcessor"
    kind = "ChineseCLIPImageProcessor" if name == "chinese_clip" else kind
    settings: dict[str, Any] = {"image_processor_type": kind, "size": {"height": SIDE, "width": SIDE}}
    if name != "siglip":
        settings |= {"size": {"shortest_edge": SIDE}, "crop_size": {"height": SIDE, "width": SIDE}}
    return settings


def save_tiny(
    name: str, folder: Path, tokenizer: PreTrainedTokenizerFast | None = None, seed: int = 0
) -> PreTrainedModel:
    """Save a tiny dual encoder with its tokenizer and image processor.

    Args:
        name: One of MODELS.
        folder: Where it is saved.
        tokenizer: Its tokenizer; default: one of bytes.
        seed: The seed of its weights.

    Returns:
        The model, in evaluation mode.
    """
    tokenizer = tokenizer or (gemma_tokenizer() if name == "siglip2" else byte_tokenizer())
    torch.manual_seed(seed)
    model_class: Callable[..., PreTrainedModel] = getattr(transformers, MODELS[name])
    model = model_class(config_of(name, len(tokenizer), tokenizer.eos_token_id)).eval()
    with torch.no_grad():
        for parameter in model.parameters():  # biases and a scale that differ from 0 and 1
            parameter.add_(0.1 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    save_image_processor(name, folder)
    return model


def save_image_processor(name: str, folder: Path) -> None:
    """Write the preprocessor_config.json of a dual encoder."""
    (folder / "preprocessor_config.json").write_text(json.dumps(image_settings(name)))
