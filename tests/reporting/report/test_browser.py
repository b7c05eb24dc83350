"""The page of a report in a real browser, headless."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from chromium import Tab, chromium_tab, find_chromium
from reported_runs import make_ranked_rows, make_rows

from iglue_plugins.experiments.report import report

# The contrast (WCAG 2) of every text that is seen, with the colors behind it laid on each other.
CONTRASTS = """
(() => {
  const parse = (text) => {
    const [red, green, blue, alpha = 1] = text.match(/[\\d.]+/g).map(Number);
    return [red, green, blue, alpha];
  };
  const channel = (value) => (value <= 0.03928 * 255 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4);
  const luminance = ([red, green, blue]) => 0.2126 * channel(red) + 0.7152 * channel(green) + 0.0722 * channel(blue);
  const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3]));
  const behind = (element) => {
    const layers = [];
    for (let each = element; each; each = each.parentElement) {
      layers.push(parse(getComputedStyle(each).backgroundColor));
    }
    return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255]);
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = [];
  for (let text = texts.nextNode(); text; text = texts.nextNode()) {
    const element = text.parentElement;
    if (!text.data.trim() || !element.checkVisibility({opacityProperty: true, visibilityProperty: true})) continue;
    if (element.closest(".unseen, .skip, figure svg, option")) continue;
    const style = getComputedStyle(element), below = behind(element);
    const [one, other] = [luminance(over(parse(style.color), below)), luminance(below)];
    found.push([(Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05), text.data.trim().slice(0, 40)]);
  }
  return found;
})()
"""
WIDER_THAN_THE_PAGE = """
[...document.querySelectorAll("body *")]
  .filter((e) => !e.closest(".scroll, #list") && e.getBoundingClientRect().right > innerWidth + 0.5)
  .map((e) => e.outerHTML.slice(0, 80))
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    make_rows(folder / "labels")
    make_ranked_rows(folder / "ranks")
    return report([folder / "labels", folder / "ranks"], [0], "test", (), folder / "page")


@pytest.fixture(scope="module")
def tab() -> Iterator[Tab]:
    executable = find_chromium()
    if executable is None:
        pytest.skip("there is no Chromium; install Debian's package chromium")
    with chromium_tab(executable) as tab:
        yield tab


def text_of(tab: Tab, selector: str) -> str:
    return tab.run(f"document.querySelector({selector!r}).innerText")


def check_silence(tab: Tab) -> None:
    """The page has said nothing on the console, and has asked for nothing but itself and what is inside it."""
    tab.run("0")
    assert tab.named("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded") == []
    asked = [event["request"]["url"].partition(":")[0] for event in tab.named("Network.requestWillBeSent")]
    assert set(asked) <= {"file", "data"}
    assert asked.count("file") == 1
    assert tab.named("Page.javascriptDialogOpening") == []


@pytest.mark.parametrize("width", [1440, 390])
def test_clicks_through_the_examples(tab: Tab, page: Path, width: int) -> None:
    tab.open(page, width)
    assert text_of(tab, "#position") == "1 of 16"
    assert "only finetune is right 4" in " ".join(text_of(tab, ".who").split())
    tab.click("#next")
    assert text_of(tab, "#position") == "2 of 16"
    for key, position in (("j", 3), ("ArrowRight", 4), ("k", 3), ("ArrowLeft", 2)):
        tab.press(key)
        assert text_of(tab, "#position") == f"{position} of 16"
    tab.click('input[value="b"]')
    assert text_of(tab, "#position") == "1 of 12"
    tab.choose("#language", "ar")
    assert text_of(tab, "#position") == "1 of 3"
    tab.choose("#label", tab.run("document.querySelector('#label').options[1].value"))
    assert text_of(tab, "#position") == "1 of 1"
    tab.choose("#task", "1")
    assert not tab.run("document.querySelector('#label-filter').checkVisibility()")
    tab.click('input[value="any"]')
    tab.run("document.querySelector('#list').focus()")
    tab.press("End")
    assert "right image: rank 1 (similarity 0.05)" in text_of(tab, ".answer:first-child")
    assert "right image: not among the first 10 (similarity 0.05)" in text_of(tab, ".answer:last-child")
    assert tab.run("document.querySelectorAll('.answer:first-child .ranks .own').length") == 1
    check_silence(tab)


def test_the_list_obeys_the_keyboard(tab: Tab, page: Path) -> None:
    tab.open(page, 1440)
    tab.run("document.querySelector('#list').focus()")
    for key, position in (("ArrowDown", 2), ("End", 16), ("ArrowUp", 15), ("Home", 1)):
        tab.press(key)
        assert text_of(tab, "#position") == f"{position} of 16"
    assert tab.run("document.querySelector('[aria-selected=true]').id") == "example-0"
    tab.run("document.querySelector('#language').focus()")
    tab.press("j")
    assert text_of(tab, "#position") == "1 of 16"


def test_texts_are_set_as_their_languages_are(tab: Tab, page: Path) -> None:
    tab.open(page, 1440)
    for language, direction in (("ar", "rtl"), ("zh", "ltr")):
        tab.choose("#language", language)
        words = "document.querySelector('#card .words')"
        assert tab.run(f"[{words}.lang, {words}.dir, getComputedStyle({words}).direction]") == [
            language, direction, direction,
        ]  # fmt: skip


def test_text_of_data_is_shown_and_not_obeyed(tab: Tab, page: Path) -> None:
    tab.open(page, 1440)
    tab.choose("#language", "en")
    assert "</script><script>alert(1)</script><img src=x onerror=alert(2)>" in text_of(tab, "#card .words")
    assert tab.run("document.querySelectorAll('img:not([src^=\"data:image/webp\"])').length") == 0
    check_silence(tab)


def test_two_rows_are_never_the_same(tab: Tab, page: Path) -> None:
    tab.open(page, 1440)
    tab.choose("#row-a", "1")
    assert tab.run("document.querySelector('#row-b').value") == "0"
    assert "only xvl_maml is right 12" in " ".join(text_of(tab, ".who").split())


@pytest.mark.parametrize("javascript", [True, False])
def test_nothing_is_wider_than_a_narrow_screen(tab: Tab, page: Path, javascript: bool) -> None:
    tab.open(page, 390, javascript=javascript)
    assert tab.run(WIDER_THAN_THE_PAGE) == []
    assert tab.run("document.documentElement.scrollWidth <= innerWidth")
    table = "document.querySelector('#task-mini-xvnli').parentElement.querySelector('.scroll')"
    assert tab.run(f"{table}.scrollWidth > {table}.clientWidth")
    cell = f"{table}.querySelector('tbody th')"
    assert tab.run(f"({table}.scrollLeft = 200, {cell}.getBoundingClientRect().left)") == pytest.approx(16, abs=1)


@pytest.mark.parametrize("dark", [False, True])
def test_contrast(tab: Tab, page: Path, dark: bool) -> None:
    tab.open(page, 1440, dark=dark)
    tab.run("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    contrasts = tab.run(CONTRASTS)
    assert len(contrasts) > 200
    assert [(ratio, text) for ratio, text in contrasts if ratio < 4.5] == []


def test_tables_without_javascript(tab: Tab, page: Path) -> None:
    tab.open(page, 1440, javascript=False)
    assert "The examples need JavaScript" in text_of(tab, "#browser")
    assert not tab.run("document.querySelector('#tool').checkVisibility()")
    rows = tab.run("[...document.querySelectorAll('.scores tbody tr')].map((row) => row.innerText.split(/\\s+/)[0])")
    assert rows[:4] == ["finetune", "xvl_maml"] * 2
    assert tab.run("document.querySelectorAll('figure svg').length") == 3
    check_silence(tab)
