"""How texts of a language are set on a page."""

from __future__ import annotations

import re

RIGHT_TO_LEFT_SCRIPTS = {"adlm", "arab", "aran", "hebr", "nkoo", "rohg", "syrc", "thaa"}  # ISO 15924
RIGHT_TO_LEFT = {"ar", "arc", "ary", "arz", "azb", "ckb", "dv", "fa", "he", "iw", "ks", "nqo", "pnb", "ps", "sd", "syr"}
RIGHT_TO_LEFT |= {"ug", "ur", "yi"}
TAG = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*")


def language_tag(code: str) -> str:
    """Return the value of HTML's attribute `lang` for a language; "" (unknown) for a code that is no language tag.

    Args:
        code: The language's code, such as "tr", "zh-Hant" or "pt_BR".
    """
    tag = code.replace("_", "-")
    return tag if TAG.fullmatch(tag) else ""


def direction(code: str) -> str:
    """Return the direction in which a language is written, "rtl" or "ltr", judging by its script or by itself.

    Args:
        code: The language's code.
    """
    language, *subtags = language_tag(code).lower().split("-")
    scripts = [subtag for subtag in subtags if len(subtag) == 4 and subtag.isalpha()]
    is_right_to_left = scripts[0] in RIGHT_TO_LEFT_SCRIPTS if scripts else language in RIGHT_TO_LEFT
    return "rtl" if is_right_to_left else "ltr"
