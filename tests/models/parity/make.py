"""Write tiny random VOLTA models, and what VOLTA computes with them, for tests/models/test_parity.py.

Usage: python make.py CHECKOUT [OUTPUT]. CHECKOUT is the folder of an e-bug/iglue checkout that holds the package
`volta`; OUTPUT is the folder that gets one folder per model, by default the folder of this script. See README.md.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

SEED = 20
HIDDEN, INTERMEDIATE, POOLED, CLASSIFIER = 16, 28, 20, 24
HEADS, LAYERS, WORDS, POSITIONS, FEATURES, ANSWERS = 4, 2, 40, 12, 12, 7
TEXT_LENGTHS, REGION_COUNTS, LABELS = [8, 5, 3, 6], [6, 4, 1, 5], [0, 1, 2, 1]
SPREAD = 0.3  # standard deviation of every weight and bias

TASKS = {
    "TASK19": {"type": "VL-tri-classifier", "num_labels": 3},
    "TASK15": {"type": "VL-classifier-GQA", "num_labels": ANSWERS},
    "TASK12": {"type": "VL-binary-classifier", "num_labels": 2},
    "TASK8": {"type": "VL-logit", "num_labels": 1},
}
KINDS: dict[str, dict[str, Any]] = {
    "xuniter": {"model": "roberta", "image_embeddings": "uniter", "pad_token_id": 1, "type_vocab_size": 1,
                "num_locs": 5, "add_global_imgfeat": "first", "fusion_method": "mul"},
    "uc2": {"model": "roberta", "image_embeddings": "uc2", "pad_token_id": 1, "type_vocab_size": 2, "num_locs": 7,
            "add_global_imgfeat": None, "fusion_method": "text", "layer_norm_eps": 1e-5},
    "muniter": {"image_embeddings": "uniter", "type_vocab_size": 2, "num_locs": 5, "add_global_imgfeat": "first",
                "fusion_method": "mul"},
}  # fmt: skip


def configuration(kind: str) -> dict[str, Any]:
    """The configuration of a model under VOLTA's keys."""
    attention, feed_forward = list(range(0, 2 * LAYERS, 2)), list(range(1, 2 * LAYERS, 2))
    sizes = {"hidden_size": HIDDEN, "intermediate_size": INTERMEDIATE, "num_attention_heads": HEADS,
             "pooler_size": POOLED, "hidden_act": "gelu", "hidden_dropout_prob": 0.1,
             "attention_probs_dropout_prob": 0.1, "initializer_range": 0.02}  # fmt: skip
    return {
        **sizes, **{f"v_{key}": value for key, value in sizes.items()},
        "vocab_size": WORDS, "max_position_embeddings": POSITIONS, "v_feature_size": FEATURES,
        "clf_hidden_size": CLASSIFIER, "visual_target_weights": {"0": 1.0},
        **{f"{pair}_attn_sublayers": attention for pair in ("tt", "tv", "vt", "vv")},
        "t_ff_sublayers": feed_forward, "v_ff_sublayers": feed_forward,
        "shared_sublayers": sorted(attention + feed_forward), "single_ln_sublayers": sorted(attention + feed_forward),
        **{f"sublayer2{side}{size}": {} for side in ("", "v_")
           for size in ("attn_hidden_size", "num_attention_heads", "intermediate_size")},
        "bert_layer2attn_sublayer": {str(layer): number for layer, number in enumerate(attention)},
        "bert_layer2ff_sublayer": {str(layer): number for layer, number in enumerate(feed_forward)},
        **KINDS[kind],
    }  # fmt: skip


def draw_inputs(config: Any, generator: torch.Generator) -> dict[str, Tensor]:
    """A padded batch; the features of padded regions are random too, so that only the mask keeps them out."""
    rows, tokens, regions = len(LABELS), max(TEXT_LENGTHS), max(REGION_COUNTS)
    attention_mask = (torch.arange(tokens) < torch.tensor(TEXT_LENGTHS)[:, None]).long()
    words = torch.randint(2, WORDS, (rows, tokens), generator=generator)
    return {
        "input_ids": torch.where(attention_mask == 1, words, config.pad_token_id),
        "attention_mask": attention_mask,
        "region_features": torch.randn(rows, regions, FEATURES, generator=generator),
        "region_locations": torch.rand(rows, regions, config.num_locs, generator=generator),
        "region_mask": (torch.arange(regions) < torch.tensor(REGION_COUNTS)[:, None]).long(),
        "labels.TASK19": torch.tensor(LABELS),
    }


def compute(model: Any, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """What VOLTA's BertForVLTasks returns, and the gradients of its loss for TASK19."""
    given = [inputs[name] for name in ("input_ids", "region_features", "region_locations")]
    masks = {"attention_mask": inputs["attention_mask"], "image_attention_mask": inputs["region_mask"]}
    names = ("text_hidden", "region_hidden", "text_pooled", "region_pooled")
    outputs = {name: value for name, value in zip(names, model.bert(*given, **masks)) if value is not None}
    outputs |= {f"logits.{task}": model(*given, task, **masks)[0] for task in TASKS}
    targets = F.one_hot(inputs["labels.TASK19"], 3).float()
    loss = torch.nn.BCEWithLogitsLoss(reduction="mean")(outputs["logits.TASK19"], targets)
    loss.backward()
    gradients = {f"grad.{name}": getattr(model.bert.embeddings, name).weight.grad
                 for name in ("word_embeddings", "image_embeddings")}  # fmt: skip
    return outputs | {"loss.TASK19": loss.reshape(1)} | gradients


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("output", type=Path, nargs="?", default=Path(__file__).parent)
    arguments = parser.parse_args()
    sys.path.insert(0, str(arguments.checkout))
    from volta.config import BertConfig
    from volta.encoders import BertForVLTasks

    torch.set_num_threads(1)
    for number, kind in enumerate(KINDS):
        generator = torch.Generator().manual_seed(SEED + number)
        folder = arguments.output / kind
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text(json.dumps(configuration(kind), indent=1) + "\n", encoding="utf-8")
        model = BertForVLTasks(BertConfig.from_json_file(str(folder / "config.json")), TASKS, list(TASKS)).eval()
        for name, parameter in model.named_parameters():
            is_norm_weight = parameter.dim() == 1 and name.endswith(".weight")
            parameter.data.normal_(float(is_norm_weight), SPREAD, generator=generator)
        torch.save(model.state_dict(), folder / "pytorch_model.bin")
        inputs = draw_inputs(model.config, generator)
        found = {name: value.detach().contiguous() for name, value in compute(model, inputs).items()}
        save_file(inputs | found, folder / "expected.safetensors")


if __name__ == "__main__":
    main()
