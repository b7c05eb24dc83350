"""Pairs a second and copies of the encoder at base size, against the layout of the reference toolkit, on one thread.

    python benchmarks/encoder.py [--rounds 5] [--layers 12]

The reference layout: texts padded to 80 tokens, query, key and value as three projections, text and regions attending
to each other in separate blocks joined before an explicit softmax, and a GELU written out with erf. It has our weights
and gives our outputs, which is checked. 'copies' counts the tensors that a forward copies, clones or converts; of ours
all are biases, with which a CPU's linear layer begins. Texts are of 14 tokens on average, as XVNLI's; an image has 36
regions and the global one. Seconds are those that the process computes, so that other programs hardly count.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from iglue_plugins.models.configuration import XUniterConfig
from iglue_plugins.models.uniter import XUniterForVisionAndLanguage
from iglue_plugins.utils.bfloat16 import multiplies_bfloat16
from iglue_plugins.utils.memory import keep_memory

BATCH, REGIONS, PADDED = 16, 37, 80
COPIES = {"aten::copy_", "aten::contiguous", "aten::clone", "aten::_to_copy"}
Batch = dict[str, Tensor]


def make_batch(config: XUniterConfig) -> Batch:
    """Ids int64 (16, longest), regions float32 (16, 37, D)."""
    generator = torch.Generator().manual_seed(0)
    lengths = torch.randint(8, 21, (BATCH,), generator=generator)
    longest = int(lengths.max())
    mask = (torch.arange(longest) < lengths[:, None]).long()
    ids = torch.randint(5, config.vocab_size, mask.shape, generator=generator).where(mask.bool(), config.pad_token_id)
    return {
        "input_ids": ids,
        "attention_mask": mask,
        "region_features": torch.rand(BATCH, REGIONS, config.region_feature_size, generator=generator),
        "region_locations": torch.rand(BATCH, REGIONS, config.region_location_size, generator=generator),
        "region_mask": torch.ones(BATCH, REGIONS, dtype=torch.long),
    }


def padded(batch: Batch, padding: int) -> Batch:
    """The batch with its texts padded to 80 tokens."""
    more = PADDED - batch["input_ids"].shape[1]
    return {
        **batch,
        "input_ids": functional.pad(batch["input_ids"], (0, more), value=padding),
        "attention_mask": functional.pad(batch["attention_mask"], (0, more)),
    }


def gelu(x: Tensor) -> Tensor:
    return x * 0.5 * (1.0 + torch.erf(x / math.sqrt(2.0)))


class ReferenceLayout:
    """The model's forward pass as the reference toolkit lays it out."""

    def __init__(self, model: XUniterForVisionAndLanguage) -> None:
        self.model, self.encoder = model, model.encoder

    def __call__(self, batch: Batch) -> Tensor:
        encoder = self.encoder
        text = encoder.text_embeddings(batch["input_ids"], batch["attention_mask"])
        regions = encoder.region_embeddings(batch["region_features"], batch["region_locations"], encoder._region_type())
        masks = [(1.0 - batch[name].float())[:, None, None] * -10000.0 for name in ("attention_mask", "region_mask")]
        for layer in encoder.layers:
            text, regions = self._layer(layer, text, regions, masks)
        pooled = encoder.text_pooler(text[:, 0]).relu() * encoder.region_pooler(regions[:, 0]).relu()
        return self.model.head(pooled)

    def _layer(self, layer, text: Tensor, regions: Tensor, masks: list[Tensor]) -> tuple[Tensor, Tensor]:
        parts = [self._projections(layer, hidden) for hidden in (text, regions)]
        attended = []
        for query, _, _ in parts:
            scores = [
                query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1]) + mask
                for (_, key, _), mask in zip(parts, masks, strict=True)
            ]
            weights = torch.cat(scores, -1).softmax(-1).split([score.shape[-1] for score in scores], -1)
            context = sum(weight @ value for weight, (_, _, value) in zip(weights, parts, strict=True))
            attended.append(context.transpose(1, 2).contiguous().flatten(2))
        return tuple(
            self._feed_forward(layer, hidden, context)
            for hidden, context in zip((text, regions), attended, strict=True)
        )

    def _projections(self, layer, hidden: Tensor) -> list[Tensor]:
        weights, biases = (getattr(layer.query_key_value, name).chunk(3) for name in ("weight", "bias"))
        return [
            functional.linear(hidden, weight, bias).unflatten(-1, (layer.heads, -1)).transpose(1, 2)
            for weight, bias in zip(weights, biases, strict=True)
        ]

    def _feed_forward(self, layer, hidden: Tensor, context: Tensor) -> Tensor:
        hidden = layer.attention_norm(hidden + layer.attention_output(context))
        return layer.output_norm(hidden + layer.output(gelu(layer.intermediate(hidden))))


def interleaved(variants: dict[str, Callable[[], Tensor]], rounds: int) -> dict[str, float]:
    """Median seconds that each variant computes."""
    taken: dict[str, list[float]] = {name: [] for name in variants}
    for round_ in range(rounds + 1):
        for name, run in variants.items():
            began = time.process_time()
            run()
            if round_:  # the first one warms up
                taken[name].append(time.process_time() - began)
    return {name: statistics.median(seconds) for name, seconds in taken.items()}


def copies(run: Callable[[], Tensor]) -> int:
    with torch.profiler.profile() as profile:
        run()
    return sum(event.name in COPIES for event in profile.events())


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--layers", type=int, default=12)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    keep_memory()
    torch.manual_seed(0)
    config = XUniterConfig(num_hidden_layers=arguments.layers, head="classifier", num_labels=3)
    model = XUniterForVisionAndLanguage(config).eval()
    low = XUniterForVisionAndLanguage(config).eval().to(torch.bfloat16)
    low.load_state_dict(model.state_dict())
    batch = make_batch(config)
    long, reference = padded(batch, config.pad_token_id), ReferenceLayout(model)
    variants = {
        "reference layout, padded to 80": lambda: reference(long),
        "reference layout, padded to the longest": lambda: reference(batch),
        "ours, float32, padded to 80": lambda: model(**long),
        "ours, float32": lambda: model(**batch),
    }
    if multiplies_bfloat16("cpu"):
        variants |= {"ours, bfloat16, padded to 80": lambda: low(**long), "ours, bfloat16": lambda: low(**batch)}
    else:
        print("no bfloat16: this processor has no instructions for it, and emulating them is slower than float32")
    print(
        f"{config.num_hidden_layers} layers of {config.hidden_size}, batch {BATCH}, texts of 8 to 20 tokens, "
        f"one thread; largest difference from the reference layout's logits: "
        f"{(model(**batch) - reference(long)).abs().max():.1e}"
    )
    seconds = interleaved(variants, arguments.rounds)
    first = next(iter(seconds.values()))
    for name, median in seconds.items():
        print(f"{name:42} {BATCH / median:6.1f} pairs/s {first / median:6.2f} {copies(variants[name]):6} copies")


if __name__ == "__main__":
    main()
