"""The choice of the mini benchmark's concepts: emoji that look different and have a plain name in every language."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iglue_plugins.mini import LANGUAGES
from iglue_plugins.mini.npm import NpmPackage
from iglue_plugins.utils.errors import UserError

CATEGORY_LABELS = {  # the picture set's category: the key of CLDR's localized label
    "Animals & Nature": "animals_nature",
    "Food & Drink": "food_drink",
    "Objects": "objects",
    "Travel & Places": "travel_places",
    "Activities": "activities",
}
CONCEPTS = 120
NEW_CONCEPTS = 24  # that no training split has
MAX_WORDS = 3


def language_facts(cldr: NpmPackage, language: str) -> dict[str, Any]:
    """Read a language's list patterns, question mark and category labels.

    Args:
        cldr: The package cldr-misc-full.
        language: The language's code.

    Returns:
        The facts as concepts.json holds them: `list_patterns`, `question_mark` and `categories`.
    """

    def section(file: str, key: str) -> dict[str, Any]:
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
    """Tell whether a name is at most three words of letters and marks, and cannot be mistaken for a part of a list.

    Args:
        name: The name.
        list_patterns: The list patterns of the name's language.

    Returns:
        Whether it is plain.
    """
    joints = {pattern.removeprefix("{0}").removesuffix("{1}") for pattern in list_patterns.values()}
    return (
        0 < len(name.split()) <= MAX_WORDS
        and not any(joint in name for joint in joints)
        and all(unicodedata.category(character)[0] in "LM" or character == " " for character in name)
    )


def candidate_concepts(
    emoji: NpmPackage, annotations: dict[str, dict[str, Any]], languages: dict[str, dict[str, Any]]
) -> list[dict[str, Any]]:
    """List the emoji that have a picture and a plain name in every language.

    Args:
        emoji: The package emoji-datasource-google.
        annotations: By language, CLDR's annotations of each emoji.
        languages: By language, the facts from `language_facts`.

    Returns:
        Concepts with `emoji`, `category`, `image` and `names` by language, in the order of their code points.
    """
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


def names_clash(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Tell whether in some language one name contains the other, so that a text could mean either.

    Args:
        one: A concept.
        other: Another concept.

    Returns:
        Whether their names clash.
    """
    pairs = ((one["names"][language].casefold(), other["names"][language].casefold()) for language in LANGUAGES)
    return any(a in b or b in a for a, b in pairs)


def select_concepts(
    concepts: list[dict[str, Any]],
    pictures: NDArray[np.float32],
    count: int = CONCEPTS,
    taken: Collection[int] = (),
    allowed: Collection[int] | None = None,
) -> list[int]:
    """Select concepts that look different, by greedy farthest-point selection, and whose names do not clash.

    The first one is the picture farthest from the mean picture, or from those that are taken.

    Args:
        concepts: The candidates.
        pictures: (concepts, 192) float32, their pictures of 8 x 8 RGB pixels.
        count: How many to select.
        taken: Positions of concepts that are selected already; the others look and are called otherwise.
        allowed: Positions of concepts that can be selected; default: all.

    Returns:
        Positions of the selected concepts without those that are taken, sorted.

    Raises:
        UserError: There are too few concepts whose names do not clash.
    """
    left = set(range(len(concepts)) if allowed is None else allowed) - set(taken)
    distance = np.linalg.norm(pictures - pictures.mean(0), axis=1)
    if taken:
        distance = np.min([np.linalg.norm(pictures - pictures[i], axis=1) for i in taken], axis=0)
    chosen: list[int] = []
    while len(chosen) < count:
        if not left:
            raise UserError(f"only {len(chosen)} concepts have names that do not clash, but {count} are needed")
        best = max(sorted(left), key=lambda i: distance[i])
        left.remove(best)
        if any(names_clash(concepts[best], concepts[i]) for i in (*taken, *chosen)):
            continue
        distance_to_best = np.linalg.norm(pictures - pictures[best], axis=1)
        distance = np.minimum(distance, distance_to_best) if taken or chosen else distance_to_best
        chosen.append(best)
    return sorted(chosen)
