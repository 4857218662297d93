"""Tests of texts and paths in the page; test___main__.py tests whole pages."""

import os
import re
from pathlib import Path

import pytest

from vidjax.ladder import table as ladder_table
from vidjax.report import page, segments
from vidjax.report.examples import Example, Map, Predictions

SUMMARY = {"mean": 0.5, "deviation": None, "interval": [0.25, 0.75]}
ROW = {"title": "<b>", "figures": {"": {"top1": SUMMARY}}, "group": "", "sees_order": True, "on_features": False}
ROW |= {"parameters": 1234, "multiply-adds": 2_000_000, "seconds": 90.0, "note": "", "speed": {}}


def test_a_page_is_self_contained():
    text = page.page("a < b", [page.Html("<h1>One</h1>"), page.Html("<p>Two</p>")])
    assert text.startswith("<!DOCTYPE html>") and text.endswith("</html>")
    assert "<title>a &lt; b</title>" in text and "<h1>One</h1>\n<p>Two</p>" in text
    assert "http" not in text and "@import" not in text and "url(" not in text and "$" not in text


def test_all_values_are_escaped():
    assert page.fill("link", address='"&', text=["<i>", page.Html("<b>")]) == '<a href="&quot;&amp;">&lt;i&gt;\n<b></a>'
    assert page.fill("note", text="$text") == '<p class="wrong">$text</p>'  # filled once
    assert page.optional("note", text="") == ""
    for name, part in page.PARTS.items():
        names = part.get_identifiers()
        text = page.fill(name, **dict.fromkeys(names, '<&">'))
        assert text.count("&lt;&amp;&quot;&gt;") >= len(names) and '<&">' not in text, name
    with pytest.raises(KeyError, match="text"):
        page.fill("note")


def test_paths_that_are_not_utf8():
    path = os.fsdecode(b"caf\xe9.mp4")
    assert page.fill("note", text=path) == page.fill("note", text="caf?.mp4")
    assert 'href="caf%E9.mp4"' in page.link(Path(path), Path("."), "video")


def test_addresses_are_relative_to_the_page_and_quoted():
    link = page.link(Path("runs/50%25 of #1/result.json"), Path("pages"), "a & b")
    assert link == '<a href="../runs/50%2525%20of%20%231/result.json">a &amp; b</a>'


def test_columns_are_sorted_by_numbers():
    row = {**ROW, "title": "a & b", "parameters": 1234567, "multiply-adds": None}
    row["figures"] = {"": {"top1": {"mean": 0.5, "deviation": 0.01, "interval": [0.4, 0.6]}}}
    content = {"parts": [""], "rungs": [row, row | {"parameters": None, "figures": {}}]}
    values = page.sort_values(ladder_table.columns(content), content["rungs"])
    assert values == {
        "rung": ["a & b"] * 2,
        "top1 % [95 %]": ["50.0", ""],
        "parameters": [1234567, ""],
        "minutes": ["1.5", "1.5"],
    }


def test_the_section_of_a_ladder():
    published = [{"method": "<b>", "set1": 98.3, "set2": None, "source": "x"}]
    content = {"title": "a < b", "parts": [""], "rungs": [ROW, {**ROW, "sees_order": False}], "chosen": {}}
    content |= {"machines": ["2 cores"], "published": published}
    files = [{Path("runs/a/result.json"): "seed_0", Path("runs/a/speed.json"): "speed"}, {}]
    arguments = [["rung-1-1", "rung-1-2"], files, [page.Html("<svg>")], [page.Html("RUNGS")], Path(".")]
    text = page.section(content, *arguments)
    assert "<h1>a &lt; b</h1>" in text and "Speed of batches in memory: 2 cores." in text and text.endswith("RUNGS")
    rows = re.findall(r'<tr class="(\w*)"><td class="" data-value="(\d)"><a href="#(.*?)">', text)
    assert rows == [("", "1", "rung-1-1"), ("blind", "2", "rung-1-2")]
    assert '<td class="name" data-value="&lt;b&gt;">&lt;b&gt;</td>' in text
    assert '<a href="runs/a/result.json">seed_0</a>\n<a href="runs/a/speed.json">speed</a></td>' in text
    assert (
        ">&lt;b&gt;</td>\n" + '<td class="text" data-value="98.3">98.3</td>\n<td class="text" data-value=""></td>'
        in text
    )
    assert "<svg>" in text and "Accuracy against compute" in text and "<strong>" not in text

    text = page.section(content | {"published": []}, *arguments[:2], [], [], Path("."))
    assert "Published by others" not in text and "Accuracy against compute" not in text


def test_the_table_names_the_conventions_of_runs_that_label_frames():
    content = {"title": "x", "parts": [""], "chosen": {}, "machines": [], "published": []}
    of_frames = {**ROW, "segments": {"": {"F1@50 %": [0.25, 0.75]}}}
    for rows, wilson, pooled in (([ROW], True, False), ([of_frames], False, True), ([ROW, of_frames], True, True)):
        arguments = ["a"] * len(rows), [{}] * len(rows), [], [], Path(".")
        text = page.section({**content, "rungs": rows}, *arguments)
        assert ("(Wilson)" in text, "pooled over the videos" in text) == (wilson, pooled)
    assert '<td class="" data-value="50.0">50.0 ± 35.4</td>' in text


def test_segments_of_a_rung():
    found = segments.Found("the 2 folds of x", [Path("x/fold_0/segments.csv")], {"a": {}, "b": {}}, "s", ["a <b>"])
    of_classes = [segments.OfClass("a <b>", 4, 6, [1.0, 2.0])]
    text = page.segments_of(found, of_classes, [page.Picture("AAAA", "timeline")], Path("."))
    assert "Segments of the 2 folds of x for 2 videos" in text and "at least 10 %" in text
    assert '<td class="name" data-value="a &lt;b&gt;">a &lt;b&gt;</td>' in text
    assert '<div class="wide"><img src="data:image/png;base64,AAAA" alt="timeline"></div>' in text
    assert '<a href="x/fold_0/segments.csv">fold_0/segments.csv</a>' in text


def test_details_of_a_rung():
    pictures = [page.Picture("AAAA", "set1: confusion of one run")]
    text = page.rung("rung-1-2", 2, ROW | {"note": "a < b"}, pictures, page.Html("VIDEOS"))
    assert text.startswith('<details id="rung-1-2"><summary>2. &lt;b&gt; ')
    assert "50.0 [25.0, 75.0], 1,234 parameters" in text and "<b>" not in text
    assert '<p class="wrong">a &lt; b</p>' in text and text.endswith("VIDEOS\n</details>")
    assert '<img src="data:image/png;base64,AAAA" alt="set1: confusion of one run">' in text
    of_frames = {"": {"frame accuracy %": [0.5], "edit %": [0.25], "F1@50 %": [0.125]}}
    text = page.rung("x", 1, ROW | {"segments": of_frames}, [], page.Html())
    assert "frame accuracy 50.0 %, edit 25.0 %, F1@50 12.5 %, 1,234 parameters" in text and "[25.0" not in text
    missing = page.rung("x", 1, ROW | {"figures": {}, "parameters": None, "multiply-adds": None}, [], page.Html())
    assert "<img" not in missing and 'class="pictures"' not in missing


def test_details_of_a_rung_name_its_dial():
    text = page.rung("rung_1", 1, {**ROW, "dial": "speed"}, [], page.Html(""))
    assert "&lt;b&gt;, speed" in text


def test_predictions_for_videos():
    row = {"number": 7, "video": "data/<x>.avi", "true": "a", "predicted": "b", "score": 0.625}
    streams = [Map("spatial", "Grad-CAM of conv4", "CCCC"), Map("temporal", "Grad-CAM of conv5", "DDDD")]
    examples = [Example(row, "BBBB", streams), Example({**row, "predicted": "a"})]
    found = Predictions("the 2 folds of runs/x", [Path("runs/x/fold_0/predictions.csv")], [(row, None)] * 12, True)
    text = page.videos(found, examples, ["No <frames>"], Path("."))
    assert "Predictions of the 2 folds of runs/x for 12 videos, most confident mistakes first" in text
    assert text.count("No &lt;frames&gt;") == 1 and text.count(", predicted <") == 1
    assert "video 7, &lt;x&gt;.avi" in text and "(62.5 %)" in text
    parts = ["BBBB", "spatial stream<", "CCCC", "temporal stream<", "DDDD", "spatial stream: Grad-CAM of conv4, "]
    assert [text.index(part) for part in parts] == sorted(text.index(part) for part in parts)
    assert "Each row has its own scale. Grey: frames" in text and "rollout" not in text
    assert '<a href="runs/x/fold_0/predictions.csv">fold_0/predictions.csv</a>' in text

    alone = page.videos(found, [Example(row, "BBBB", [Map("", "Grad-CAM of layer3_1", "CCCC")])], [], Path("."))
    assert "(Grad-CAM of layer3_1)." in alone and "stream" not in alone
    tokens = [Map("", "Grad-CAM of norm1", "CCCC"), Map("", "attention rollout", "DDDD")]
    both = page.videos(found, [Example(row, "BBBB", tokens)], [], Path("."))
    assert "(Grad-CAM of norm1, attention rollout)." in both and "rollout does not depend on the class." in both
