import html.parser
import json
import re
import shutil
import urllib.parse

import numpy as np
import pytest

from tests import ladder_files
from vidjax.evaluation import predictions, result_file
from vidjax.inference import gradcam
from vidjax.report import __main__ as report
from vidjax.report.entries import Entry


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
    names = ("result.json", "config.json", "predictions.csv")
    assert [(out.parent / x).resolve() for x in outside] == [(tiny_run.workdir / name).resolve() for name in names]
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


def test_of_a_run_whose_records_and_checkpoints_are_gone(tiny_run, tmp_path, capsys):
    shutil.copytree(tiny_run.workdir, tmp_path / "run", ignore=shutil.ignore_patterns("checkpoints"))
    config = json.loads((tmp_path / "run/config.json").read_text())
    config["config"]["dataset"] = "nowhere"
    (tmp_path / "run/config.json").write_text(json.dumps(config))
    shutil.copytree(tmp_path / "run", tmp_path / "again")
    report.main([str(tmp_path / "run"), str(tmp_path / "again"), "--out", str(tmp_path / "page.html")])
    assert "taken for" in (page := Page(tmp_path / "page.html")).text and len(page.images) == 4
    assert capsys.readouterr().out.count("nowhere: these records are not found from") == 1  # once for all rungs
    assert page.text.count("nowhere: these records are not found from") == 2  # in each


def test_maps_that_cannot_be_made_do_not_lose_the_page(tiny_run, tmp_path, capsys, monkeypatch):
    def out_of_memory(*arguments, **settings):
        raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory")

    monkeypatch.setattr(gradcam, "make_grad_cam", out_of_memory)
    report.main([str(tiny_run.workdir), "--out", str(tmp_path / "page.html"), "--examples", "3"])
    assert "looks is not shown: RESOURCE_EXHAUSTED" in capsys.readouterr().out
    page = Page(tmp_path / "page.html")
    assert "looks is not shown: RESOURCE_EXHAUSTED" in page.text and len(page.images) >= 2 + 3


def test_the_page_of_a_ladder(tiny_run, tmp_path):
    """Two rungs of which one failed; names that would be code if they were not escaped."""
    workdir = tmp_path / "ladder"
    shutil.copytree(tiny_run.workdir, workdir / "pool/seed_0")
    figure = {"mean": 0.5, "deviation": None, "interval": [0.2, 0.8]}
    described = {"title": "<script>alert(1)</script>", "group": "a & b", "sees_order": False, "speed": {}}
    described |= {"parameters": 10, "multiply-adds": 2000, "seconds": 0.0, "on_features": False}
    figure["mean"] = json.loads((workdir / "pool/seed_0/result.json").read_text())["top1"]
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
    assert page.rows[1][2] == f"{100 * figure['mean']:.1f} [20.0, 80.0]"
    assert page.rows[2][1] == "<script>alert(1)</script>"
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
    page = Page(tmp_path / "page.html")
    assert len(page.images) == 2 and "holds another one than" in page.text  # curves and confusion


def test_a_cross_validation(tmp_path):
    ladder_files.write_result(tmp_path / "ut", [0.25, 0.75], mean=0.5)
    report.main([str(tmp_path / "ut"), "--out", str(tmp_path / "page.html")])
    assert Page(tmp_path / "page.html").rows[1][2].startswith("50.0 ± 35.4 [")


def test_no_examples(tiny_run, tmp_path):
    report.main([str(tiny_run.workdir), "--out", str(tmp_path / "page.html"), "--examples", "0"])
    page = Page(tmp_path / "page.html")
    assert len(page.images) == 2 and "said of" not in page.text and "taken for" not in page.text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--examples", "-1"], "--examples -1: how many videos"),
        (["--out", "."], "--out . is a directory: name the file, as in report.html"),
        (["--out", "file/page.html"], "--out file/page.html cannot be written"),
    ],
)
def test_arguments_that_are_refused_before_any_work(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(report, "entries_of", lambda workdir: pytest.fail("it has begun"))
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit, match=f"vidjax.report: {message}"):
        report.main(["run", *arguments])


def test_what_is_no_run(tmp_path):
    with pytest.raises(SystemExit, match="vidjax.report: .* is no run: it has neither ladder.json nor config.json"):
        report.main([str(tmp_path), "--out", str(tmp_path / "page.html")])
    assert not (tmp_path / "page.html").exists()


def test_confusions_of_each_part_are_added_up(tmp_path):
    """Two sets of two folds and two seeds: set1 has all right, set2 all wrong; a classifier has one of its own."""
    for part, counts in (("set1", [[1, 0], [0, 2]]), ("set2", [[0, 1], [2, 0]])):
        for fold in ("seed_0/fold_0", "seed_0/fold_1", "seed_1/fold_0", "seed_1/fold_1"):
            place = tmp_path / part / fold
            place.mkdir(parents=True)
            content = {"top1": 1.0, "per_class": [None, None], "confusion": counts}
            result_file.write(place / "result.json", content, ["0", "1"])
    ladder_files.write_result(tmp_path / "svm/set1", 1.0, confusion=[[3, 1], [0, 4]], labels=["a", "b"])
    entry = Entry({}, [tmp_path / "set1", tmp_path / "set2"])
    counts, labels, num_runs = report.confusion_of(entry.places_of("set1"))
    assert counts.tolist() == [[4, 0], [0, 8]] and labels == ["0", "1"] and num_runs == 4
    assert report.confusion_of(entry.places_of("set2"))[0].tolist() == [[0, 4], [8, 0]]
    assert report.confusion_of(entry.places_of(""))[0].tolist() == [[4, 4], [8, 8]]
    counts, labels, num_runs = report.confusion_of([tmp_path / "svm/set1"])
    assert counts.tolist() == [[3, 1], [0, 4]] and labels == ["a", "b"] and num_runs == 1
    assert np.size(report.confusion_of([tmp_path / "svm"])[0]) == 0

    captions = [picture.caption for picture in report.pictures_of(entry, ["set1", "set2", "set3"])]
    assert captions == ["set1: confusions of 4 runs, added up", "set2: confusions of 4 runs, added up"]
    assert [x.caption for x in report.pictures_of(Entry({}, [tmp_path / "svm/set1"]), [""])] == ["confusion of one run"]


def chart_row(top1: dict, clip=None, on_features=False, **more):
    figures = {part: {"top1": {"mean": mean}} for part, mean in top1.items()}
    return {"figures": figures, "multiply-adds": clip, "on_features": on_features, "group": "g", **more}


def test_points_of_the_chart():
    """The second has no network, the third is on features, the fourth was not run."""
    rows = [chart_row({"": 0.5}, 100), chart_row({"": 0.6}), chart_row({"": 0.7}, 5, True), chart_row({}, 7)]
    rows += [chart_row({"": 0.25}, 200)]
    assert report.chart_points(rows, "") == ("multiply-adds", [(1, 100, 50.0, "g"), (5, 200, 25.0, "g")])
    assert "multiply-adds of a clip" in label_of(report.charts_of(rows, [""]))
    for row in rows:  # of four clips a video
        row["multiply-adds a video"] = 4 * row["multiply-adds"] if row["multiply-adds"] else None
    assert report.chart_points(rows, "") == ("multiply-adds a video", [(1, 400, 50.0, "g"), (5, 800, 25.0, "g")])
    assert "multiply-adds of a video" in label_of(report.charts_of(rows, [""]))


def test_names_in_pictures_are_shown_as_they_are(tmp_path):
    """Groups that matplotlib would take for mathtext or leave out, and classes that no installed font can show."""
    rows = [{**chart_row({"$1": 0.5}, 100), "group": group} for group in ("$x^", "_hidden", "a\U000e0fff")]
    chart = label_of(report.charts_of(rows[:2], ["$1"]))
    assert "$x^" in chart and "_hidden" in chart and "top1 %, $1" in chart
    assert "<figcaption>0: $x^, 1: a\U000e0fff</figcaption>" in report.charts_of(rows[::2], ["$1"])[0]
    content = {"top1": 1.0, "per_class": [1.0, 1.0], "confusion": np.eye(2, dtype=int), "labels": ["a", "\U000e0fff"]}
    result_file.write(tmp_path / "result.json", content, content["labels"])
    (picture,) = report.pictures_of(Entry({}, [tmp_path]), [""])
    assert picture.caption == "confusion of one run; 0: a, 1: \U000e0fff"


def label_of(charts):
    """All texts of the one chart: Matplotlib writes each in a comment beside its outline."""
    return "\n".join(re.findall("<!-- (.*?) -->", charts[0]))


def test_charts_of_the_parts_that_have_points():
    parts, end_to_end = ["set1", "set2", "whole"], chart_row({"whole": 0.5}, 100)
    on_features = chart_row({"set1": 0.5, "set2": 0.5}, 100, True)
    assert report.charts_of([on_features], parts) == []
    charts = report.charts_of([on_features, end_to_end], parts)
    assert len(charts) == 1 and "top1 %, whole" in label_of(charts)
    both = [chart_row({"set1": 0.5, "whole": 0.5}, 100), end_to_end, chart_row({"set1": 0.1}, 10)]
    assert [label_of([chart]).count("top1 %, set1") for chart in report.charts_of(both, parts)] == [1, 0]
