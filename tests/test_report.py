import base64
import html.parser
import json
import re
import shutil
import urllib.parse

import cv2
import numpy as np
import pytest

from tests import ladder_files
from vidjax import predictions, report


class Page(html.parser.HTMLParser):
    """The cells of each table, the addresses in attributes, the ids, and what is opened without being closed."""

    VOID = ("meta", "img", "br")

    def __init__(self, path):
        super().__init__()
        self.rows, self.addresses, self.ids, self.open, self.images = [], [], set(), [], []
        self.text = path.read_text()
        self.feed(self.text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.ids.add(attributes.get("id"))
        self.addresses += [attributes[name] for name in ("href", "src", "action") if name in attributes]
        if tag == "img":
            self.images.append(attributes["src"])
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.rows and {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data


def test_the_page_of_a_run(tiny_run, tmp_path, monkeypatch, capsys):
    out = tmp_path / "pages/run.html"
    report.main([str(tiny_run.workdir), "--out", str(out), "--examples", "3"])
    assert "Wrote" in capsys.readouterr().out
    page = Page(out)
    assert not page.open
    outside = [urllib.parse.unquote(x) for x in page.addresses if not x.startswith(("#", "data:"))]
    assert [(out.parent / address).resolve() for address in outside] == [(tiny_run.workdir / "result.json").resolve()]
    assert not re.search(r"(src|href)=.?https?:|@import|url\(", page.text)
    assert {x[1:] for x in page.addresses if x.startswith("#rung")} <= page.ids

    head, row = page.rows[:2]
    row = dict(zip(head, row, strict=True))
    result = json.loads((tiny_run.workdir / "result.json").read_text())
    assert row["top1 % [95 %]"].startswith(f"{100 * result['top1']:.1f} [")
    assert row["reversed %"] == f"{100 * result['top1_reversed']:.1f}"
    assert row["parameters"] == f"{result['num_params']:,}"

    said = predictions.read(tiny_run.workdir)
    wrong = [x for x in said if x["true"] != x["predicted"]]
    assert len(said) == 8 and wrong == said[: len(wrong)]
    assert [x["score"] for x in wrong] == sorted((x["score"] for x in wrong), reverse=True)
    assert page.text.count("taken for") == min(3, len(wrong))
    assert f"number {wrong[0]['number']}, " in page.text
    # curves, confusion, 3 mistakes and 1 that is right at most, two of them with where it looked
    assert len(page.images) == 2 + min(3, len(wrong)) + min(1, 8 - len(wrong)) + bool(wrong) + (len(wrong) < 8)


def test_of_a_run_whose_records_and_checkpoints_are_gone(tiny_run, tmp_path):
    shutil.copytree(tiny_run.workdir, tmp_path / "run", ignore=shutil.ignore_patterns("checkpoints"))
    config = json.loads((tmp_path / "run/config.json").read_text())
    config["config"]["dataset"] = "nowhere"
    (tmp_path / "run/config.json").write_text(json.dumps(config))
    report.main([str(tmp_path / "run"), "--out", str(tmp_path / "page.html")])
    assert "taken for" in (page := Page(tmp_path / "page.html")).text and len(page.images) == 2


def test_the_page_of_a_ladder(tiny_run, tmp_path):
    """Two rungs of which one failed; names that would be code if they were not escaped."""
    workdir = tmp_path / "ladder"
    shutil.copytree(tiny_run.workdir, workdir / "pool/seed_0")
    figure = {"mean": 0.5, "deviation": None, "interval": [0.2, 0.8]}
    described = {"title": "<script>alert(1)</script>", "group": "a & b", "sees_order": False, "speed": {}}
    described |= {"parameters": 10, "multiply-adds": 2000, "seconds": 0.0, "on_features": False}
    rows = [
        {**described, "name": "pool", "figures": {"": {"top1": figure}}, "note": "", "runs": ["pool/seed_0"]},
        {**described, "name": "other", "figures": {}, "note": "ended by SIGKILL", "runs": []},
    ]
    content = {"title": "Ladder", "parts": [""], "rungs": rows, "chosen": {}, "published": []}
    content["machines"] = ["2 of a CPU"]
    (workdir / "ladder.json").write_text(json.dumps(content))
    report.main([str(workdir), "--out", str(tmp_path / "page.html"), "--no_maps"])
    page = Page(tmp_path / "page.html")
    assert "<script>alert" not in page.text and "<svg" in page.text and "2 of a CPU" in page.text
    assert page.rows[1][2] == "50.0 [20.0, 80.0]" and page.rows[2][1] == "<script>alert(1)</script>"
    assert "ended by SIGKILL" in page.rows[2]


def test_several_runs_are_one_table(tiny_run, tmp_path):
    other = tmp_path / "50%25 of #1" / tiny_run.workdir.name
    shutil.copytree(tiny_run.workdir, other)
    report.main([str(tiny_run.workdir), str(other), "--out", str(tmp_path / "page.html"), "--no_maps"])
    page = Page(tmp_path / "page.html")
    assert [row[1] for row in page.rows] == ["rung", str(tiny_run.workdir), str(other)]
    assert {"rung-1-1", "rung-1-2"} <= page.ids and {"#rung-1-1", "#rung-1-2"} <= set(page.addresses)
    assert all((tmp_path / urllib.parse.unquote(x)).exists() for x in page.addresses if x.endswith(".json"))


def test_predictions_of_other_videos_get_no_frames(tiny_run, tmp_path):
    shutil.copytree(tiny_run.workdir, tmp_path / "run")
    path = tmp_path / "run/predictions.csv"
    path.write_text(path.read_text().replace("/test/", "/val/"))
    report.main([str(tmp_path / "run"), "--out", str(tmp_path / "page.html")])
    assert len(Page(tmp_path / "page.html").images) == 2  # curves and confusion


def test_a_cross_validation(tmp_path):
    ladder_files.write_result(tmp_path / "ut", [0.25, 0.75], mean=0.5)
    report.main([str(tmp_path / "ut"), "--out", str(tmp_path / "page.html")])
    assert Page(tmp_path / "page.html").rows[1][2].startswith("50.0 ± 35.4 [")


def test_what_is_no_run(tiny_run, tmp_path):
    with pytest.raises(SystemExit, match="vidjax.report: .* is no run: it has neither ladder.json nor config.json"):
        report.main([str(tmp_path)])
    ladder_files.write_result(tmp_path / "forecast", 0.5)
    (tmp_path / "forecast/result.json").write_text('{"rmse": 1.0}')
    with pytest.raises(SystemExit, match="forecast has no top1: reports are of classifiers"):
        report.main([str(tmp_path / "forecast")])
    shutil.copy(tiny_run.workdir / "config.json", tmp_path)
    with pytest.raises(SystemExit, match="is not finished: run its command again, which goes on"):
        report.main([str(tmp_path)])


def test_a_strip_of_frames():
    frames = np.zeros((20, 32, 48, 3), np.uint8)
    frames[-1, ..., 0] = 255  # red
    heat = np.zeros((20, 32, 48), np.float32)
    jpeg = lambda *arguments: cv2.imdecode(np.frombuffer(base64.b64decode(report.strip(*arguments)), np.uint8), 1)  # noqa: E731
    picture = jpeg(frames)
    assert picture.shape == (64, 8 * 96 + 7 * 2, 3)
    assert picture[:, :96].max() < 10 and picture[30, -40, 2] > 240 and picture[30, -40, :2].max() < 20
    assert jpeg(frames[:3]).shape == (64, 3 * 96 + 2 * 2, 3)
    assert jpeg(frames, heat)[30, 40].max() > jpeg(frames)[30, 40].max()  # the lowest heat is a dark blue
