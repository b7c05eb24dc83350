"""Pictures of a report in a browser: docs/report.png, docs/report_examples.png and docs/report_narrow.png.

    iglue compare recipes/mini/xvnli/finetune.yaml recipes/mini/xvnli/xvl_maml.yaml --seeds 0,1,2
    iglue report recipes/mini/xvnli/finetune.yaml recipes/mini/xvnli/xvl_maml.yaml --seeds 0,1,2
    PYTHONPATH=tests/helpers python benchmarks/report_pictures.py report/index.html

It needs Chromium, and fonts with the letters of 15 languages, such as Debian's fonts-noto-core and fonts-noto-cjk.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from chromium import Tab, chromium_tab, find_chromium

DOCS = Path(__file__).parents[1] / "docs"
WIDE, NARROW = 1440, 390  # pixels


def top(tab: Tab, selector: str) -> float:
    return tab.run(f"document.querySelector('{selector}').getBoundingClientRect().top + scrollY")


def take(tab: Tab, name: str, y: float, width: float, height: float) -> None:
    path = DOCS / name
    tab.screenshot(path, x=0, y=y, width=width, height=height)
    print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", type=Path)
    page = parser.parse_args().page
    executable = find_chromium()
    if executable is None:
        parser.error("there is no Chromium")
    with chromium_tab(executable) as tab:
        tab.open(page, WIDE)
        take(tab, "report.png", 0, WIDE, 1750)
        tab.choose("#language", "ar")
        tab.click('input[value="b"]')
        tab.click("#next")
        tab.run("scrollTo(0, 0)")
        take(tab, "report_examples.png", top(tab, "#examples") - 20, WIDE, 820)
        tab.open(page, NARROW)
        take(tab, "report_narrow.png", top(tab, "#task-mini-xvnli") - 20, NARROW, 1500)


if __name__ == "__main__":
    main()
