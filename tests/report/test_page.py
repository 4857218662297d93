"""What the page does with texts and paths; the page of a whole report is in test_report.py."""

from pathlib import Path

from vidjax.ladder import table as ladder_table
from vidjax.report import page
from vidjax.report.examples import Example, Map, Said


def test_a_page_needs_nothing_from_elsewhere():
    text = page.page("a < b", ["<h1>One</h1>", "<p>Two</p>"])
    assert "<title>a &lt; b</title>" in text and "<h1>One</h1><p>Two</p>" in text
    assert "http" not in text and "@import" not in text and "url(" not in text


def test_addresses_start_at_the_page_and_are_quoted():
    link = page.link(Path("runs/50%25 of #1/result.json"), Path("pages"), "a & b")
    assert link == '<a href="../runs/50%2525%20of%20%231/result.json">a &amp; b</a>'


def test_columns_are_sorted_by_numbers():
    row = {"title": "a & b", "group": "", "sees_order": True, "parameters": 1234567, "multiply-adds": None, "speed": {}}
    row |= {"on_features": False, "seconds": 90.0, "note": ""}
    row |= {"figures": {"": {"top1": {"mean": 0.5, "deviation": 0.01, "interval": [0.4, 0.6]}}}}
    content = {"parts": [""], "rungs": [row, row | {"parameters": None, "figures": {}}]}
    values = page.sort_values(ladder_table.columns(content), content["rungs"])
    assert values == {
        "rung": ["a &amp; b"] * 2,
        "top1 % [95 %]": ["50.0", ""],
        "parameters": [1234567, ""],
        "minutes": ["1.5", "1.5"],
    }


def test_figures_of_others_are_texts():
    rows = [{"method": "<b>", "set1": 98.3, "set2": None, "source": "x"}]
    table = page.published(rows)
    assert '<td class="text">&lt;b&gt;</td><td class="text">98.3</td><td class="text"></td>' in table


ROW = {"title": "<b>", "figures": {"": {"top1": {"mean": 0.5, "deviation": None, "interval": [0.25, 0.75]}}}}
ROW |= {"parameters": 1234, "multiply-adds": 2_000_000, "note": "", "speed": {}}


def test_details_of_a_rung():
    pictures = [page.Picture("AAAA", "set1: confusion of one run")]
    text = page.details("rung-1-2", 2, ROW | {"note": "a < b"}, pictures, "VIDEOS")
    assert text.startswith('<details id="rung-1-2"><summary>2. &lt;b&gt; ')
    assert "50.0 [25.0, 75.0], 1,234 parameters" in text and "<b>" not in text
    assert '<p class="wrong">a &lt; b</p>' in text and text.endswith("VIDEOS</details>")
    assert '<img src="data:image/png;base64,AAAA" alt="set1: confusion of one run">' in text
    missing = page.details("x", 1, ROW | {"figures": {}, "parameters": None, "multiply-adds": None}, [], "")
    assert "<img" not in missing and 'class="pictures"' not in missing


def test_what_was_said_of_videos():
    said = {"number": 7, "video": "data/<x>.avi", "true": "a", "predicted": "b", "score": 0.625}
    streams = [Map("spatial", "spatial/conv4", "CCCC"), Map("temporal", "temporal/conv4", "DDDD")]
    examples = [Example(said, "BBBB", streams), Example({**said, "predicted": "a"})]
    found = Said("the 2 folds of runs/x", [Path("runs/x/fold_0/predictions.csv")], [(said, None)] * 12, True)
    text = page.videos(found, examples, ["No <frames>"], Path("."))
    assert "What the 2 folds of runs/x said of 12 videos, the most confident mistakes first" in text
    assert text.count("No &lt;frames&gt;") == 1 and text.count("taken for") == 1
    assert "number 7, &lt;x&gt;.avi" in text and "(62.5 %)" in text
    rows = ["BBBB", "spatial stream<", "CCCC", "temporal stream<", "DDDD", "spatial stream: spatial/conv4, temporal"]
    assert [text.index(row) for row in rows] == sorted(text.index(row) for row in rows)
    assert "Each stream has a scale of its own" in text and "In grey: frames" in text
    assert '<a href="runs/x/fold_0/predictions.csv">fold_0/predictions.csv</a>' in text

    alone = page.videos(found, [Example(said, "BBBB", [Map("", "layer3_1", "CCCC")])], [], Path("."))
    assert "(Grad-CAM, layer3_1). In grey: frames" in alone and "stream" not in alone


def test_the_sources_of_numbers():
    assert "speed" not in page.sources_text([ROW]) and "config.json" in page.sources_text([ROW])
    with_speed = page.sources_text([ROW, ROW | {"speed": {"forward clips/s": 2.0}}])
    assert "speed is from speed.json, of a fusion from those of its members" in with_speed
