"""Build the mini benchmark's assets from pinned npm packages: `python -m iglue_plugins.mini.build`.

    pictures.png     RGBA atlas of emoji pictures (Noto Emoji, from emoji-datasource-google)
    concepts.json    their names in 15 languages, and each language's list patterns (Unicode CLDR)
    unseen.png, unseen.json    the same of the concepts that only the split unseen has
    tokenizer/       a Unigram tokenizer with XLM-R's special tokens, trained on the benchmark's words
    licences/        Apache-2.0 (pictures), Unicode-3.0 (text)

The pre-trained encoder beside them is made by recipes/mini/pretrain.yaml.
"""

from __future__ import annotations

import argparse
import itertools
import json
import shutil
import tempfile
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from iglue_plugins.mini import ASSETS, ATLAS_COLUMNS, LANGUAGES, PICTURE_SIZE
from iglue_plugins.mini.concepts import (
    CONCEPTS,
    NEW_CONCEPTS,
    candidate_concepts,
    language_facts,
    select_concepts,
)
from iglue_plugins.mini.npm import PACKAGES, NpmPackage
from iglue_plugins.utils.errors import UserError

VOCABULARY_SIZE = 5000
UNSPELLED = "zh"  # most new names have characters of their own there, which the tokenizer lacks


def read_picture(emoji: NpmPackage, image: str) -> Image.Image:
    """Read the picture of an emoji.

    Args:
        emoji: The package emoji-datasource-google.
        image: The picture's file name.

    Returns:
        An RGBA picture of 64 x 64 pixels.
    """
    return Image.open(BytesIO(emoji.read(f"img/google/64/{image}"))).convert("RGBA").resize((PICTURE_SIZE,) * 2)


def shrink_picture(picture: Image.Image) -> NDArray[np.float32]:
    """Shrink a picture on a white background to 8 x 8 RGB pixels.

    Args:
        picture: An RGBA picture.

    Returns:
        (192,) float32 in [0, 1].
    """
    white = Image.new("RGBA", picture.size, "white")
    small = Image.alpha_composite(white, picture).convert("RGB").resize((8, 8), Image.Resampling.BOX)
    return np.asarray(small, dtype=np.float32).ravel() / np.float32(255)


def make_atlas(pictures: list[Image.Image]) -> Image.Image:
    """Put pictures of 64 x 64 pixels into rows of one RGBA picture.

    Args:
        pictures: The pictures.

    Returns:
        The atlas, `ATLAS_COLUMNS` pictures wide.
    """
    rows = -(-len(pictures) // ATLAS_COLUMNS)
    sheet = Image.new("RGBA", (ATLAS_COLUMNS * PICTURE_SIZE, rows * PICTURE_SIZE))
    for i, picture in enumerate(pictures):
        sheet.paste(picture, (i % ATLAS_COLUMNS * PICTURE_SIZE, i // ATLAS_COLUMNS * PICTURE_SIZE))
    return sheet


def train_tokenizer(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """Train a Unigram tokenizer like XLM-R's: the same special tokens and ids, metaspace pieces, and `<s> text </s>`.

    Args:
        texts: The texts to train on.

    Returns:
        The tokenizer, the same at every call.
    """
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=VOCABULARY_SIZE, special_tokens=special, unk_token="<unk>", show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    # The trainer iterates over hash maps, so its scores differ a little between builds. Rounding and sorting them, with
    # one score for all single characters, makes builds agree.
    pieces = json.loads(tokenizer.to_str())["model"]["vocab"][len(special) :]
    floor = round(min(score for piece, score in pieces if len(piece) > 1), 4)
    pieces = [(piece, round(score, 4) if len(piece) > 1 else floor) for piece, score in pieces]
    pieces.sort(key=lambda item: (-item[1], item[0]))
    tokenizer.model = models.Unigram([(token, 0.0) for token in special] + pieces, special.index("<unk>"))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        cls_token="<s>",
        pad_token="<pad>",
        eos_token="</s>",
        sep_token="</s>",
        unk_token="<unk>",
        mask_token="<mask>",
        model_max_length=80,
    )


def tokenizer_texts(facts: dict[str, Any]) -> list[str]:
    """Make texts that hold every part of the benchmark's texts: names, list patterns, categories and question marks.

    Args:
        facts: The content of concepts.json.

    Returns:
        The texts.
    """
    texts = []
    for language, language_data in facts["languages"].items():
        names = [concept["names"][language] for concept in facts["concepts"]]
        patterns = itertools.cycle(language_data["list_patterns"].values())
        for name, next_name in zip(names, names[1:] + names[:1], strict=True):
            texts.append(next(patterns).format(name, next_name))
        texts += [label + language_data["question_mark"] for label in language_data["categories"].values()]
    return texts


def is_spelled(names: dict[str, str], tokenizer: PreTrainedTokenizerFast) -> bool:
    """Tell whether a tokenizer knows all characters of a concept's names, in all languages but `UNSPELLED`.

    Args:
        names: The names by language.
        tokenizer: The tokenizer.

    Returns:
        Whether it knows them.
    """
    texts = [name for language, name in names.items() if language != UNSPELLED]
    return not any(tokenizer.unk_token_id in ids for ids in tokenizer(texts).input_ids)


def write_concepts(
    folder: Path, name: str, pictures: str, facts: dict[str, Any], chosen: list[tuple[dict[str, Any], Image.Image]]
) -> None:
    """Write concepts and the atlas of their pictures.

    Args:
        folder: The folder of the assets.
        name: The name of the JSON file.
        pictures: The name of the atlas.
        facts: What the JSON file has besides.
        chosen: The concepts and their pictures.
    """
    make_atlas([picture for _, picture in chosen]).save(folder / pictures, optimize=True)
    facts = {"sources": list(PACKAGES), **facts, "concepts": [concept for concept, _ in chosen]}
    (folder / name).write_text(json.dumps(facts, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def build(folder: Path, downloads: Path) -> None:
    """Write all assets but the pre-trained encoder.

    Args:
        folder: The folder of the assets.
        downloads: The folder of the npm packages, which are downloaded if they are not there.

    Raises:
        UserError: A package cannot be downloaded or is damaged.
    """
    emoji, annotated, misc = (NpmPackage(spec, downloads) for spec in PACKAGES)
    annotations = {
        language: annotated.json(f"annotations/{language}/annotations.json")["annotations"]["annotations"]
        for language in LANGUAGES
    }
    languages = {language: language_facts(misc, language) for language in LANGUAGES}
    concepts = candidate_concepts(emoji, annotations, languages)
    pictures = [read_picture(emoji, concept.pop("image")) for concept in concepts]
    small = np.stack([shrink_picture(picture) for picture in pictures])
    chosen = select_concepts(concepts, small, CONCEPTS)
    facts = {"languages": languages, "concepts": [concepts[i] for i in chosen]}
    tokenizer = train_tokenizer(tokenizer_texts(facts))
    spelled = [i for i, concept in enumerate(concepts) if is_spelled(concept["names"], tokenizer)]
    new = select_concepts(concepts, small, NEW_CONCEPTS, taken=chosen, allowed=spelled)
    folder.mkdir(parents=True, exist_ok=True)
    for name, atlas, others, positions in (
        ("concepts.json", "pictures.png", {"languages": languages}, chosen),
        ("unseen.json", "unseen.png", {}, new),
    ):
        write_concepts(folder, name, atlas, others, [(concepts[i], pictures[i]) for i in positions])
    tokenizer.save_pretrained(folder / "tokenizer")
    (folder / "licences").mkdir(exist_ok=True)
    (folder / "licences" / "Unicode-3.0.txt").write_bytes(misc.read("LICENSE"))
    apache = (ASSETS / "licences" / "Apache-2.0.txt").read_bytes()  # the picture package names it only
    (folder / "licences" / "Apache-2.0.txt").write_bytes(apache)


def main() -> None:
    """Build the assets as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=ASSETS)
    parser.add_argument("--downloads", type=Path, help="folder of the npm packages (default: a temporary folder)")
    arguments = parser.parse_args()
    if shutil.which("npm") is None:
        parser.error("npm was not found; install Node.js to build the assets (the committed ones need nothing)")
    with tempfile.TemporaryDirectory() as temporary:
        downloads = arguments.downloads or Path(temporary)
        downloads.mkdir(parents=True, exist_ok=True)
        try:
            build(arguments.output, downloads)
        except UserError as error:
            parser.error(str(error))


if __name__ == "__main__":
    main()
