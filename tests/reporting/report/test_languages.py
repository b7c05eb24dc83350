import pytest

from iglue_plugins.reporting.report.languages import direction, language_tag


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("ar", "rtl"), ("he", "rtl"), ("ur", "rtl"), ("fa", "rtl"), ("pa-Arab", "rtl"), ("uz_Arab_AF", "rtl"),
        ("tr", "ltr"), ("zh", "ltr"), ("ja", "ltr"), ("ur-Latn", "ltr"), ("", "ltr"), ("\u202e", "ltr"),
    ],
)  # fmt: skip
def test_direction(code: str, expected: str) -> None:
    assert direction(code) == expected


@pytest.mark.parametrize(
    ("code", "tag"),
    [("tr", "tr"), ("pt_BR", "pt-BR"), ("zh-Hant", "zh-Hant"), ('x" onclick="', ""), ("mean of all", "")],
)
def test_tag(code: str, tag: str) -> None:
    assert language_tag(code) == tag
