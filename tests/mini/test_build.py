"""Building the assets: the choice of concepts, and that a rebuild gives the files that ship."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from transformers import AutoTokenizer

from iglue_plugins.mini import ASSETS, LANGUAGES, build, concepts
from iglue_plugins.mini.npm import PACKAGES, NpmPackage
from iglue_plugins.utils.errors import UserError


@pytest.fixture(scope="module")
def facts() -> dict:
    return json.loads((ASSETS / "concepts.json").read_text(encoding="utf-8"))


ENGLISH = {"2": "{0} and {1}", "start": "{0}, {1}", "middle": "{0}, {1}", "end": "{0}, and {1}"}


def concept(name: str, **names: str) -> dict:
    return {"names": dict.fromkeys(LANGUAGES, name) | names}


# The choice of concepts


@pytest.mark.parametrize(
    ("name", "is_plain"),
    [
        ("red hat", True),
        ("very old red hat", False),
        ("hat, red", False),
        ("T-shirt", False),
        ("3 hats", False),
        ("தொப்பி", True),
        ("帽子", True),
        ("l'hat", False),
        ("", False),
        ("hat and coat", False),
        ("sandy hat", True),
    ],
)
def test_a_plain_name_is_at_most_three_words_of_letters(name: str, is_plain: bool) -> None:
    assert concepts.is_plain_name(name, ENGLISH) is is_plain


def test_a_joint_without_spaces_is_found_too() -> None:
    assert not concepts.is_plain_name("沙发和灯", {"2": "{0}和{1}"})
    assert concepts.is_plain_name("sofa dan", {"2": "{0} dan {1}"})


def test_names_clash_if_one_contains_the_other_in_any_language() -> None:
    assert not concepts.names_clash(concept("cat"), concept("dog"))
    assert concepts.names_clash(concept("cat"), concept("Catfish"))
    assert concepts.names_clash(concept("cat", sw="paka"), concept("dog", sw="paka shume"))


def test_candidates_have_a_picture_and_a_plain_name_in_every_language() -> None:
    entry = {"category": "Objects", "has_img_google": True, "unified": "1F511", "image": "key.png"}

    class Emoji:
        def json(self, name: str) -> list[dict]:
            return [
                {**entry, "unified": "2702-FE0F", "image": "scissors.png"},
                entry,
                {**entry, "category": "Flags", "unified": "1F3F4"},
                {**entry, "has_img_google": False},
                {**entry, "unified": "1F512"},
                {**entry, "unified": "1F513"},
            ]

    annotations = {
        language: {
            "\u2702": {"tts": ["scissors"]},
            "🔑": {"tts": ["key"]},
            "🏴": {"tts": ["flag"]},
            "🔒": {"tts": ["lock"]},
            "🔓": {"tts": ["open lock"]},
        }
        for language in LANGUAGES
    }
    del annotations["sw"]["🔒"]
    annotations["ta"]["🔓"] = {"tts": ["lock: open"]}
    found = concepts.candidate_concepts(Emoji(), annotations, dict.fromkeys(LANGUAGES, {"list_patterns": ENGLISH}))
    assert [item["image"] for item in found] == ["scissors.png", "key.png"], "in the order of code points"
    assert found[0]["emoji"] == "\u2702" and found[0]["names"] == dict.fromkeys(LANGUAGES, "scissors")


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (["a", "b", "c", "d"], [0, 1, 3]),  # 0 is farthest from the mean, 1 from it, 3 from both
        (["a", "b", "c", "ab"], [0, 1, 2]),  # 3 clashes
    ],
)
def test_far_pictures_without_clashing_names_are_selected(names: list[str], chosen: list[int]) -> None:
    pictures = np.asarray([[0], [10], [9], [4]], dtype=np.float32)
    assert concepts.select_concepts([concept(name) for name in names], pictures, count=3) == chosen


def test_too_few_concepts_without_clashes() -> None:
    pictures = np.asarray([[0], [10], [9]], dtype=np.float32)
    with pytest.raises(UserError, match="only 2 concepts .* 3 are needed"):
        concepts.select_concepts([concept("a"), concept("b"), concept("bb")], pictures, count=3)


def test_further_concepts_look_and_are_called_otherwise_than_those_that_are_taken() -> None:
    pictures = np.asarray([[0], [10], [9], [4], [1]], dtype=np.float32)
    named = [concept(name) for name in ("a", "b", "c", "ab", "d")]
    assert concepts.select_concepts(named, pictures, count=2, taken=[0, 1]) == [2, 4], "3 clashes"
    assert concepts.select_concepts(named, pictures, count=1, taken=[0, 1], allowed=[2, 4]) == [2]
    assert concepts.select_concepts(named, pictures, count=1, taken=[1, 2]) == [0]
    with pytest.raises(UserError, match="only 1 concepts .* 2 are needed"):
        concepts.select_concepts(named, pictures, count=2, taken=[0, 1], allowed=[3, 4])


def test_a_name_is_spelled_if_the_tokenizer_knows_its_characters_beside_chinese() -> None:
    tokenizer = AutoTokenizer.from_pretrained(ASSETS / "tokenizer")
    assert build.is_spelled({"en": "hat", "zh": "獾"}, tokenizer)
    assert not build.is_spelled({"en": "hat", "ja": "獾"}, tokenizer)


def test_thumbnails_are_on_white() -> None:
    picture = Image.new("RGBA", (64, 64))
    picture.paste((255, 0, 0, 255), (0, 0, 8, 8))
    pixels = build.shrink_picture(picture).reshape(8, 8, 3)
    assert pixels.dtype == np.float32
    assert pixels[0, 0].tolist() == [1, 0, 0]
    assert (pixels.reshape(64, 3)[1:] == 1).all()


# The files that ship


def test_assets_are_small_and_carry_their_licences() -> None:
    assert sum(path.stat().st_size for path in ASSETS.rglob("*") if path.is_file()) < 10e6
    apache, unicode = ((ASSETS / "licences" / f"{name}.txt").read_text() for name in ("Apache-2.0", "Unicode-3.0"))
    assert "Apache License" in apache and "Version 2.0" in apache
    assert "UNICODE LICENSE V3" in unicode


def test_facts_name_the_pinned_packages(facts: dict) -> None:
    assert facts["sources"] == list(PACKAGES)
    assert len(facts["concepts"]) == concepts.CONCEPTS


def test_shipped_names_do_not_clash_and_are_plain(facts: dict) -> None:
    new = json.loads((ASSETS / "unseen.json").read_text(encoding="utf-8"))["concepts"]
    for part, count in ((facts["concepts"], concepts.CONCEPTS), (new, concepts.NEW_CONCEPTS)):
        assert [item["emoji"] for item in part] == sorted({item["emoji"] for item in part})
        assert len(part) == count
    shipped = facts["concepts"] + new
    assert all(
        concepts.is_plain_name(name, facts["languages"][language]["list_patterns"])
        for item in shipped
        for language, name in item["names"].items()
    )
    assert not any(concepts.names_clash(one, other) for i, one in enumerate(shipped) for other in shipped[:i])


def test_a_rebuilt_tokenizer_is_the_one_that_ships(facts: dict, tmp_path: Path) -> None:
    build.train_tokenizer(build.tokenizer_texts(facts)).save_pretrained(tmp_path)
    shipped = {path.name: path.read_bytes() for path in (ASSETS / "tokenizer").iterdir()}
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == shipped


def test_the_tokenizer_is_like_xlm_r_and_knows_every_text(facts: dict) -> None:
    tokenizer = AutoTokenizer.from_pretrained(ASSETS / "tokenizer")
    assert tokenizer.convert_tokens_to_ids(["<s>", "<pad>", "</s>", "<unk>", "<mask>"]) == [0, 1, 2, 3, 4]
    texts = build.tokenizer_texts(facts)
    for text, ids in zip(texts, tokenizer(texts).input_ids, strict=True):
        assert (ids[0], ids[-1]) == (0, 2)
        assert not {0, 1, 2, 3, 4} & set(ids[1:-1])
        assert tokenizer.decode(ids, skip_special_tokens=True) == unicodedata.normalize("NFKC", text)


@pytest.fixture
def cldr_misc(tmp_path: Path) -> NpmPackage:
    spec = next(spec for spec in PACKAGES if spec.startswith("cldr-misc-full@"))
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed")
    command = ["npm", "pack", "--silent", "--fetch-retries=0", spec]
    try:
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=60)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        pytest.skip(f"the npm registry gives no {spec}: {error}")
    return NpmPackage(spec, tmp_path)


def test_rebuilt_list_patterns_are_those_that_ship(cldr_misc: NpmPackage, facts: dict) -> None:
    assert {language: concepts.language_facts(cldr_misc, language) for language in LANGUAGES} == facts["languages"]
    assert cldr_misc.read("LICENSE") == (ASSETS / "licences" / "Unicode-3.0.txt").read_bytes()


# Errors


def test_a_damaged_download_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "emoji-datasource-google-16.0.0.tgz").write_bytes(b"not a tarball")
    with pytest.raises(UserError, match=r"emoji-datasource-google-16\.0\.0\.tgz: has sha512 .+; delete it"):
        NpmPackage("emoji-datasource-google@16.0.0", tmp_path)
    monkeypatch.setattr(shutil, "which", lambda name: name)
    arguments = ["build", "--output", str(tmp_path / "out"), "--downloads", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(SystemExit) as ended:
        build.main()
    assert ended.value.code == 2
    assert "has sha512" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_download_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = subprocess.CompletedProcess([], returncode=1)
    monkeypatch.setattr(subprocess, "run", lambda *args, **kwargs: failed)
    with pytest.raises(UserError, match="npm pack cldr-misc-full@48.2.0: failed with exit status 1; .+48.2.0.tgz"):
        NpmPackage("cldr-misc-full@48.2.0", tmp_path)


def test_without_npm(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(sys, "argv", ["build"])
    with pytest.raises(SystemExit) as ended:
        build.main()
    assert ended.value.code == 2
    assert "npm was not found; install Node.js to build the assets" in capsys.readouterr().err
