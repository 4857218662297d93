import html.parser
import json
import re
import shutil
import urllib.parse

import pytest

from tests import ladder_files
from tests.frame_runs import write_run
from vidjax.evaluation import predictions
from vidjax.inference import gradcam
from vidjax.report import __main__ as report


class Page(html.parser.HTMLParser):
    """Collects the cells of each table, addresses, ids and images of a page, and checks that tags are closed."""

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

    rows = predictions.read(tiny_run.workdir)
    wrong = [x for x in rows if x["true"] != x["predicted"]]
    assert len(rows) == 8 and wrong == rows[: len(wrong)]
    assert [x["score"] for x in wrong] == sorted((x["score"] for x in wrong), reverse=True)
    assert page.text.count(", predicted <") == min(3, len(wrong))
    assert f"video {wrong[0]['number']}, " in page.text
    # curves, confusion, at most 3 mistakes and 1 correct prediction, with maps for the first of each
    assert len(page.images) == 2 + min(3, len(wrong)) + min(1, 8 - len(wrong)) + bool(wrong) + (len(wrong) < 8)


def test_a_run_without_its_records_and_checkpoints(tiny_run, tmp_path, capsys):
    shutil.copytree(tiny_run.workdir, tmp_path / "run", ignore=shutil.ignore_patterns("checkpoints"))
    config = json.loads((tmp_path / "run/config.json").read_text())
    config["config"]["dataset"] = "nowhere"
    (tmp_path / "run/config.json").write_text(json.dumps(config))
    shutil.copytree(tmp_path / "run", tmp_path / "again")
    report.main([str(tmp_path / "run"), str(tmp_path / "again"), "--out", str(tmp_path / "page.html")])
    assert ", predicted <" in (page := Page(tmp_path / "page.html")).text and len(page.images) == 4
    assert capsys.readouterr().out.count("nowhere: these records are not found from") == 1  # printed once
    assert page.text.count("nowhere: these records are not found from") == 2  # shown for each run


def test_the_page_is_written_without_maps_if_they_fail(tiny_run, tmp_path, capsys, monkeypatch):
    def out_of_memory(*arguments, **settings):
        raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory")

    monkeypatch.setattr(gradcam, "make_grad_cam", out_of_memory)
    report.main([str(tiny_run.workdir), "--out", str(tmp_path / "page.html"), "--examples", "3"])
    assert f"No Grad-CAM maps of {tiny_run.workdir}: RESOURCE_EXHAUSTED" in capsys.readouterr().out
    page = Page(tmp_path / "page.html")
    assert "RESOURCE_EXHAUSTED" in page.text and len(page.images) >= 2 + 3


def test_the_page_of_a_ladder(tiny_run, tmp_path):
    """Two rungs: one failed, and a title is code unless it is escaped."""
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
    assert len(page.images) == 2 and "now holds another one than" in page.text  # curves and confusion


def test_a_cross_validation(tmp_path):
    ladder_files.write_result(tmp_path / "ut", [0.25, 0.75], mean=0.5)
    report.main([str(tmp_path / "ut"), "--out", str(tmp_path / "page.html")])
    assert Page(tmp_path / "page.html").rows[1][2].startswith("50.0 ± 35.4 [")


def test_the_page_of_runs_that_label_frames(tmp_path, capsys):
    for name in ("lstm", "ms_tcn"):
        write_run(tmp_path / name, {"a.mp4": ("bwwwwrr", "bwbwwrr"), "b.mp4": ("bwr", "bwr")})
    report.main([str(tmp_path / "lstm"), str(tmp_path / "ms_tcn"), "--out", str(tmp_path / "page.html")])
    page = Page(tmp_path / "page.html")
    head, *rows = page.rows
    row = dict(zip(head, rows[0], strict=True))
    assert (row["frame accuracy %"], row["over-segmentation"]) == ("90.0", "1.33")
    assert "top1 % [95 %]" not in head and "Wilson" not in page.text and "MS-TCN" in page.text
    assert ["class", "true segments"] == rows[2][:2] and ["all classes", "6", "8", "1.33"] == rows[3][:4]
    assert len(page.images) == 2 * 3 and "2 of 2 test videos" in page.text  # confusion, timelines, classes
    assert "../lstm/segments.csv" not in page.addresses and "lstm/segments.csv" in page.addresses
    (tmp_path / "lstm/segments.csv").unlink()
    report.main([str(tmp_path / "lstm"), "--out", str(tmp_path / "page.html"), "--examples", "0"])
    assert f"lstm has no segments.csv: evaluate again, vidjax evaluate --workdir {tmp_path}" in capsys.readouterr().out
    assert len((page := Page(tmp_path / "page.html")).images) == 1 and "has no segments.csv" in page.text


def test_no_examples(tiny_run, tmp_path):
    report.main([str(tiny_run.workdir), "--out", str(tmp_path / "page.html"), "--examples", "0"])
    page = Page(tmp_path / "page.html")
    assert len(page.images) == 2 and "Predictions of" not in page.text and ", predicted <" not in page.text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--examples", "-1"], "--examples -1 must be 0 or more"),
        (["--out", "."], "--out . is a directory; name a file, such as report.html"),
        (["--out", "file/page.html"], "--out file/page.html cannot be written"),
    ],
)
def test_invalid_arguments_fail_before_any_work(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(report, "entries_of", lambda workdir: pytest.fail("work has begun"))
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit, match=f"vidjax.report: {message}"):
        report.main(["run", *arguments])


def test_a_directory_without_a_run(tmp_path):
    with pytest.raises(SystemExit, match="vidjax.report: .* is not a finished run or ladder"):
        report.main([str(tmp_path), "--out", str(tmp_path / "page.html")])
    assert not (tmp_path / "page.html").exists()
