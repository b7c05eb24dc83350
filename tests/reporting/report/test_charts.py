import re
from xml.etree import ElementTree

from matplotlib.figure import Figure

from iglue_plugins.reporting.report.charts import chart


def draw() -> Figure:
    figure = Figure(figsize=(6, 4))
    axes = figure.add_subplot()
    axes.plot([1, 2], [3, 4], color="#0072B2")
    axes.set_title("<script>alert(1)</script> & x")
    return figure


def test_an_element_without_anything_from_outside() -> None:
    svg = chart(draw, "name")
    assert svg is not None
    root = ElementTree.fromstring(svg)
    assert root.tag.endswith("svg")
    assert "<script" not in svg
    assert "&lt;script&gt;" in svg
    assert "matplotlib.org" not in svg
    assert root.get("style") == "min-width: 468px"


def test_text_has_the_page_s_color_and_bars_keep_theirs() -> None:
    svg = str(chart(draw, "name"))
    assert "currentColor" in svg
    assert "#0072b2" in svg
    assert "#010203" not in svg


def test_ids_are_those_of_the_chart_and_the_same_each_time() -> None:
    one, again, other = chart(draw, "one"), chart(draw, "one"), chart(draw, "other")
    assert one == again
    ids = [set(re.findall(r'\bid="([^"]+)"', str(svg))) for svg in (one, other)]
    assert not ids[0] & ids[1]
    assert all(f'"#{name}"' not in str(one) or name in ids[0] for name in re.findall(r'"#([^"]+)"', str(one)))
    for name in re.findall(r"url\(#([^)]+)\)", str(one)):
        assert name in ids[0]


def test_no_figure() -> None:
    assert chart(lambda: None, "name") is None
