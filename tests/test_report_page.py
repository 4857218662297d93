"""What the page does with texts and paths; the page of a whole report is in test_report.py."""

from pathlib import Path

from vidjax import report_page


def test_a_page_needs_nothing_from_elsewhere():
    text = report_page.page("a < b", ["<h1>One</h1>", "<p>Two</p>"])
    assert "<title>a &lt; b</title>" in text and "<h1>One</h1><p>Two</p>" in text
    assert "http" not in text and "@import" not in text and "url(" not in text


def test_addresses_start_at_the_page_and_are_quoted():
    link = report_page.link(Path("runs/50%25 of #1/result.json"), Path("pages"), "a & b")
    assert link == '<a href="../runs/50%2525%20of%20%231/result.json">a &amp; b</a>'


def test_columns_are_sorted_by_numbers():
    row = {"title": "a & b", "group": "", "sees_order": True, "parameters": 1234567, "multiply-adds": None, "speed": {}}
    row |= {"on_features": False, "seconds": 90.0, "note": ""}
    row |= {"figures": {"": {"top1": {"mean": 0.5, "deviation": 0.01, "interval": [0.4, 0.6]}}}}
    content = {"parts": [""], "rungs": [row, row | {"parameters": None, "figures": {}}]}
    values = report_page.sort_values(content, ["rung", "top1 % [95 %]", "parameters", "minutes"])
    assert values == {
        "rung": ["a &amp; b"] * 2,
        "top1 % [95 %]": ["50.0", ""],
        "parameters": [1234567, ""],
        "minutes": ["1.5", "1.5"],
    }


def test_figures_of_others_are_texts():
    rows = [{"method": "<b>", "set1": 98.3, "set2": None, "source": "x"}]
    table = report_page.published(rows)
    assert '<td class="text">&lt;b&gt;</td><td class="text">98.3</td><td class="text"></td>' in table
