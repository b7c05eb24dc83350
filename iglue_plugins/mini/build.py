"""Build the mini benchmark's assets from pinned npm packages: `python -m iglue_plugins.mini.build`.

    pictures.png     RGBA atlas of emoji pictures (Noto Emoji, from emoji-datasource-google)
    concepts.json    their names in 15 languages, and each language's list patterns (Unicode CLDR)
    tokenizer/       a Unigram tokeniser with XLM-R's special tokens, trained on the benchmark's words
    licences/        Apache-2.0 (pictures), Unicode-3.0 (text)

The pre-trained encoder beside them is made by recipes/mini/pretrain.yaml.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import itertools
import json
import shutil
import subprocess
import tarfile
import tempfile
import unicodedata
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from iglue_plugins.mini import ASSETS, ATLAS_COLUMNS, LANGUAGES, PICTURE_SIZE
from iglue_plugins.utils.errors import UserError

PACKAGES = {  # name@version: the registry's integrity string
    "emoji-datasource-google@16.0.0": "ZRexfzs7MVoLnmzZmNsO4TKhnAJp5D++Vm6PpUpH/jEQQlemp3l88CjZ+DoZ2faM9R4QxZkOPJCoT8DlPhfQ3A==",
    "cldr-annotations-full@48.2.0": "DV7A+rEcgUSNTRsVGNGqBZRmAkGfwhGHO5Q1dRwzBoBnVrHWp804JP7/QJdEc66iHmx3+zLWVIMCFLm0lW7PUQ==",
    "cldr-misc-full@48.2.0": "dSc2Tr53dQcUGwsTinamEeoP2YXOhQrIZ+SyeuUrv4MzJOSjT/Q0qkSmX11ZwfcTbYSkIqbrgALQLhAm1yf5fA==",
}
CATEGORY_LABELS = {  # the picture set's category: the key of CLDR's localised label
    "Animals & Nature": "animals_nature",
    "Food & Drink": "food_drink",
    "Objects": "objects",
    "Travel & Places": "travel_places",
    "Activities": "activities",
}
CONCEPTS = 120
VOCABULARY_SIZE = 5000
MAX_WORDS = 3


class NpmPackage:
    """A pinned package's tarball, fetched once into `folder` with `npm pack` and checked against its integrity."""

    def __init__(self, spec: str, folder: Path) -> None:
        name, version = spec.rsplit("@", 1)
        path = folder / f"{name}-{version}.tgz"
        if not path.exists():
            npm = subprocess.run(["npm", "pack", "--silent", spec], cwd=folder, stdout=subprocess.DEVNULL)
            if npm.returncode:
                raise UserError(f"npm pack {spec}: found exit status {npm.returncode}, expected {path}")
        content = path.read_bytes()
        found = base64.b64encode(hashlib.sha512(content).digest()).decode()
        if found != PACKAGES[spec]:
            raise UserError(f"{path}: found sha512 {found}, expected {PACKAGES[spec]}; delete it and build again")
        self._archive = tarfile.open(fileobj=BytesIO(content))

    def read(self, name: str) -> bytes:
        return self._archive.extractfile(f"package/{name}").read()

    def json(self, name: str) -> dict:
        return json.loads(self.read(name))


def language_facts(cldr: NpmPackage, language: str) -> dict:
    """A language's list patterns, question mark and category labels, as CLDR writes them."""

    def section(file: str, key: str) -> dict:
        return cldr.json(f"main/{language}/{file}.json")["main"][language][key]

    patterns = section("listPatterns", "listPatterns")["listPattern-type-standard"]
    punctuation = section("characters", "characters")["punctuation"]
    labels = section("characterLabels", "characterLabels")
    # The full-width mark goes with the ideographic comma; Korean's punctuation lists it too, but does not use it.
    marks = ("؟", "？") if "、" in patterns["2"] + patterns["start"] else ("؟",)
    return {
        "list_patterns": {part: patterns[part] for part in ("2", "start", "middle", "end")},
        "question_mark": next((mark for mark in marks if mark in punctuation), "?"),
        "categories": {category: labels[key] for category, key in CATEGORY_LABELS.items()},
    }


def is_plain_name(name: str, list_patterns: dict[str, str]) -> bool:
    """At most three words of letters and marks, with nothing that could be mistaken for a part of a list."""
    joints = {pattern.removeprefix("{0}").removesuffix("{1}") for pattern in list_patterns.values()}
    return (
        0 < len(name.split()) <= MAX_WORDS
        and not any(joint in name for joint in joints)
        and all(unicodedata.category(c)[0] in "LM" or c == " " for c in name)
    )


def candidate_concepts(emoji: NpmPackage, annotations: dict[str, dict], languages: dict[str, dict]) -> list[dict]:
    """Pictures that have a plain name in every language, in the order of their code points."""
    concepts = []
    for entry in emoji.json("emoji.json"):
        if entry["category"] not in CATEGORY_LABELS or not entry["has_img_google"]:
            continue
        character = "".join(chr(int(code, 16)) for code in entry["unified"].split("-") if code != "FE0F")
        names = {language: annotations[language].get(character, {}).get("tts", [""])[0] for language in LANGUAGES}
        if all(is_plain_name(name, languages[language]["list_patterns"]) for language, name in names.items()):
            concepts.append(
                {"emoji": character, "category": entry["category"], "image": entry["image"], "names": names}
            )
    return sorted(concepts, key=lambda concept: concept["emoji"])


def names_clash(one: dict, other: dict) -> bool:
    """True if in some language one name stands inside the other, so that a text could mean either."""
    pairs = ((one["names"][language].casefold(), other["names"][language].casefold()) for language in LANGUAGES)
    return any(a in b or b in a for a, b in pairs)


def select(concepts: list[dict], pictures: np.ndarray, count: int = CONCEPTS) -> list[int]:
    """Greedy farthest-point selection on 8 x 8 pixels: look-alikes and clashing names are left out.

    pictures: float32 (concepts, 192). Starts from the picture farthest from the mean picture.
    """
    distance = np.linalg.norm(pictures - pictures.mean(0), axis=1)
    chosen: list[int] = []
    while len(chosen) < count:
        best = int(distance.argmax())
        if distance[best] == -np.inf:
            raise UserError(f"found {len(chosen)} concepts whose names do not clash, expected {count}")
        clash = any(names_clash(concepts[best], concepts[i]) for i in chosen)
        if not clash:
            distance_to_best = np.linalg.norm(pictures - pictures[best], axis=1)
            distance = (
                np.minimum(distance, distance_to_best)
                if chosen
                else np.where(distance == -np.inf, distance, distance_to_best)
            )
            chosen.append(best)
        distance[best] = -np.inf
    return sorted(chosen)


def read_picture(emoji: NpmPackage, image: str) -> Image.Image:
    return Image.open(BytesIO(emoji.read(f"img/google/64/{image}"))).convert("RGBA").resize((PICTURE_SIZE,) * 2)


def thumbnail(picture: Image.Image) -> np.ndarray:
    """The picture on white, 8 x 8 RGB, as float32 (192,) in [0, 1]."""
    white = Image.new("RGBA", picture.size, "white")
    small = Image.alpha_composite(white, picture).convert("RGB").resize((8, 8), Image.Resampling.BOX)
    return np.asarray(small, dtype=np.float32).ravel() / 255


def atlas(pictures: list[Image.Image]) -> Image.Image:
    rows = -(-len(pictures) // ATLAS_COLUMNS)
    sheet = Image.new("RGBA", (ATLAS_COLUMNS * PICTURE_SIZE, rows * PICTURE_SIZE))
    for i, picture in enumerate(pictures):
        sheet.paste(picture, (i % ATLAS_COLUMNS * PICTURE_SIZE, i // ATLAS_COLUMNS * PICTURE_SIZE))
    return sheet


def train_tokenizer(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """A Unigram tokeniser shaped like XLM-R's: same special tokens and ids, same metaspace pieces, `<s> text </s>`."""
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=VOCABULARY_SIZE, special_tokens=special, unk_token="<unk>", show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    # The trainer goes through hash maps: round, level the single characters and sort, so that builds agree.
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


def tokenizer_texts(facts: dict) -> list[str]:
    """What the benchmark's texts are made of: every name joined by every part of its language's list pattern."""
    texts = []
    for language, own in facts["languages"].items():
        names = [concept["names"][language] for concept in facts["concepts"]]
        for part, name, other in zip(itertools.cycle(own["list_patterns"].values()), names, names[1:] + names[:1]):
            texts.append(part.format(name, other))
        texts += [label + own["question_mark"] for label in own["categories"].values()]
    return texts


def build(folder: Path, downloads: Path) -> None:
    """Write all assets but the pre-trained encoder into `folder`, with npm tarballs kept in `downloads`."""
    emoji, annotated, misc = (NpmPackage(spec, downloads) for spec in PACKAGES)
    annotations = {
        language: annotated.json(f"annotations/{language}/annotations.json")["annotations"]["annotations"]
        for language in LANGUAGES
    }
    languages = {language: language_facts(misc, language) for language in LANGUAGES}
    concepts = candidate_concepts(emoji, annotations, languages)
    pictures = [read_picture(emoji, concept.pop("image")) for concept in concepts]
    chosen = select(concepts, np.stack([thumbnail(picture) for picture in pictures]))
    folder.mkdir(parents=True, exist_ok=True)
    atlas([pictures[i] for i in chosen]).save(folder / "pictures.png", optimize=True)
    facts = {
        "sources": list(PACKAGES),
        "languages": languages,
        "concepts": [concepts[i] for i in chosen],
    }
    (folder / "concepts.json").write_text(json.dumps(facts, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    train_tokenizer(tokenizer_texts(facts)).save_pretrained(folder / "tokenizer")
    (folder / "licences").mkdir(exist_ok=True)
    (folder / "licences" / "Unicode-3.0.txt").write_bytes(misc.read("LICENSE"))
    apache = (ASSETS / "licences" / "Apache-2.0.txt").read_bytes()  # the picture package only refers to it
    (folder / "licences" / "Apache-2.0.txt").write_bytes(apache)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=ASSETS)
    parser.add_argument("--downloads", type=Path, help="keep the npm tarballs here (default: a temporary folder)")
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
