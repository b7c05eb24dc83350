"""Which languages are candidates and targets, and what is said of texts and of what is missing."""

from __future__ import annotations

import pytest
from datasets import Dataset

from iglue_plugins.advice import typology, uncertainty
from iglue_plugins.advice.advisor import advise
from iglue_plugins.advice.table import sentences
from iglue_plugins.utils.errors import UserError

WORDS = {"de": "ja nein", "fr": "oui non", "es": "sí no", "ru": "да нет", "ta": "ஆம்"}


class Words:
    """A task whose languages have a text for each word, some only in the test split, and one none at all."""

    name = "words"
    languages = ("en", *WORDS, "sw")
    source_language = "en"
    training_splits = {"auxiliary": "auxiliary"}
    max_text_length = 8
    tested = ("ta",)

    def available_splits(self):
        return iter([("test", language, (None,)) for language in self.tested])

    def load(self, split, language, shots=None):
        if (split == "auxiliary") == (language in self.tested) or language not in WORDS:
            raise UserError(f"no {split} in {language}")
        return Dataset.from_dict({"text": WORDS[language].split()})


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uncertainty, "RESAMPLES", 20)
    monkeypatch.setattr(typology, "is_installed", lambda: False)


def test_languages_without_auxiliary_data_are_targets_only() -> None:
    advice = advise(Words(), ("en",), "no tokenizer", targets=("ta", "de"))
    assert [ranking.target for ranking in advice.rankings] == ["ta", "de"]
    assert {c.language for c in advice.rankings[0].candidates} == {"de", "fr", "es", "ru"}
    assert {c.language for c in advice.rankings[1].candidates} == {"fr", "es", "ru"}
    said = list(sentences(advice))
    assert (
        "'sw' is left out: task words: there are no texts in 'sw' (no auxiliary in sw); give its data, or leave it out."
    ) in said
    assert "'ta' is no candidate: no auxiliary in ta." in said
    assert not any("no candidate" in note for note in advise(Words(), ("en",), "none", candidates=("de", "fr")).notes)
    assert "Texts in ta are those of the test split, without their labels." in said


def test_what_english_has_taught_is_not_said_of_another_source() -> None:
    class Shipped(Words):
        name = "mini/xvnli"

    english, german = (advise(Shipped(), (source,), "no tokenizer", targets=("fr",)) for source in ("en", "de"))
    assert english.matrices == ("the matrix that ships for the task",) and english.unit == "points"
    assert german.matrices == () and german.unit == "standard deviations"
    assert "the matrix that ships is of source en, and is left out" in german.notes
    assert "en" not in {c.language for c in english.rankings[0].candidates}


def test_targets_of_all_are_those_with_two_candidates() -> None:
    (ranking,) = advise(Words(), ("en",), "no tokenizer", candidates=("de", "fr")).rankings
    assert (ranking.target, {c.language for c in ranking.candidates}) == (None, {"de", "fr"})
    with pytest.raises(UserError, match="--candidates: for no target of the task are there two candidates"):
        advise(Words(), ("en",), "no tokenizer", candidates=("de",))


def test_candidates_and_targets_need_data() -> None:
    with pytest.raises(UserError, match=r"--candidates: .* has no auxiliary examples in 'ta' \(no auxiliary in ta\);"):
        advise(Words(), ("en",), "no tokenizer", candidates=("de", "ta"))
    with pytest.raises(UserError, match="there are no texts in 'sw'"):
        advise(Words(), ("en",), "no tokenizer", targets=("sw",))
    only_tested = Words()
    only_tested.tested = tuple(WORDS)
    with pytest.raises(
        UserError, match=r"task words: .* no auxiliary examples in any language \(no auxiliary in de\);"
    ):
        advise(only_tested, ("en",), "no tokenizer")
    only_tested.tested, only_tested.languages = (), ("en", "sw")
    with pytest.raises(UserError, match="there are no texts in 'sw'"):
        advise(only_tested, ("en",), "no tokenizer")
