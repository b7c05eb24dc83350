"""A SigLIP with random weights, its processor, and generated photographs, for the benchmarks of dual encoders."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, SiglipConfig, SiglipImageProcessorPil

from iglue_plugins.data.processors.pixels import PixelProcessor
from iglue_plugins.models.dual_encoder.configuration import DualEncoderConfig
from iglue_plugins.models.dual_encoder.model import DualEncoder

WORDS, TOKENS, PATCH, SIDE = 4000, 64, 16, 224


def make_model(hidden: int, layers: int) -> DualEncoder:
    """A SigLIP whose towers have this width and depth, that scores pairs; 768 and 12 are base size."""
    torch.manual_seed(0)
    size = {
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": hidden // 64,
        "intermediate_size": 4 * hidden,
    }
    text = {"vocab_size": WORDS, "max_position_embeddings": TOKENS, "projection_size": hidden}
    text |= {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 1}
    vision = {"image_size": SIDE, "patch_size": PATCH}
    encoder = SiglipConfig(text_config=size | text, vision_config=size | vision)
    model = DualEncoder(DualEncoderConfig(encoder_config=encoder, head="image_text_matching", num_labels=1))
    return model.to("cuda" if torch.cuda.is_available() else "cpu").eval()


def make_processor() -> PixelProcessor:
    """Texts are numbers of words, padded to 64 tokens without a mask as for SigLIP; pictures become 224 x 224."""
    words = {"<pad>": 0, "<unk>": 1, **{str(number): number for number in range(2, WORDS)}}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>")
    image_processor = SiglipImageProcessorPil(size={"height": SIDE, "width": SIDE})
    return PixelProcessor(fast, image_processor, max_text_length=TOKENS, padded_length=TOKENS)


def captions(count: int) -> list[str]:
    """Different texts of 8 to 28 words."""
    draw = np.random.default_rng(0)
    return [" ".join(map(str, draw.integers(2, WORDS, size=draw.integers(8, 29)))) for _ in range(count)]


def photograph(number: int, width: int = 500, height: int = 375) -> Image.Image:
    """Soft patches of color with noise, of which a JPEG of quality 90 takes about as much as of a photograph."""
    draw = np.random.default_rng(number)
    patches = Image.fromarray(draw.integers(0, 256, (12, 16, 3), dtype=np.uint8))
    pixels = np.asarray(patches.resize((width, height), Image.Resampling.BICUBIC), dtype=np.float32)
    noise = draw.normal(0, 8, (height, width, 1)).astype(np.float32)
    return Image.fromarray((pixels + noise).clip(0, 255).astype(np.uint8))
