import json
import subprocess
import sys

import pytest

from vidjax.bench import device

BLOCKED = (
    "grain",
    "av",
    "ml_collections",
    "tensorflow",
    "tensorflow_datasets",
    "cv2",
    "orbax",
    "sklearn",
    "matplotlib",
)
WITHOUT_OTHERS = f"""
import importlib.machinery, sys

class Finder(importlib.machinery.PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.split(".")[0] in {BLOCKED!r} else super().find_spec(name, path, target)

sys.meta_path = [Finder if x is importlib.machinery.PathFinder else x for x in sys.meta_path]
from vidjax.bench import __main__ as bench
bench.main()
"""


def works():
    return {"forward": 1e-7, "right": True}


def fails():
    raise RuntimeError("out of memory\nand more")


def stops():
    raise KeyboardInterrupt


def run(monkeypatch, out, items, minutes=0.0):
    said = []
    monkeypatch.setattr(device, "items_of", lambda scale: items)
    return device.bench_device(out, minutes, quick=True, say=said.append), "\n".join(said)


def test_results_are_written_after_each_item(monkeypatch, tmp_path):
    out, seen = tmp_path / "d.json", []
    items = {"a": works, "b": lambda: seen.append(json.loads(out.read_text())) or works()}
    content, _ = run(monkeypatch, out, items)
    assert list(seen[0]["items"]) == ["a"] and seen[0]["skipped"] == ["b"]
    assert content == json.loads(out.read_text()) and not content["skipped"]
    assert "| a | forward 1e-07; right True |" in out.with_suffix(".md").read_text()


def test_an_error_does_not_stop_the_others_and_is_tried_again(monkeypatch, tmp_path):
    content, said = run(monkeypatch, tmp_path / "d.json", {"a": fails, "b": works})
    assert content["items"]["a"]["error"] == "RuntimeError: out of memory" and content["items"]["b"]["right"]
    assert "failed: RuntimeError: out of memory" in said
    assert "| a | failed: RuntimeError: out of memory |" in (tmp_path / "d.md").read_text()
    content, _ = run(monkeypatch, tmp_path / "d.json", {"a": works, "b": fails})  # b is kept
    assert content["items"]["a"]["right"] and content["items"]["b"]["right"]


def test_it_can_be_stopped_and_continued(monkeypatch, tmp_path):
    content, said = run(monkeypatch, tmp_path / "d.json", {"a": works, "b": stops, "c": works})
    assert list(content["items"]) == ["a"] and content["skipped"] == ["b", "c"]
    assert "stopped in 'b'" in said and "Not measured: b, c." in (tmp_path / "d.md").read_text()
    content, said = run(monkeypatch, tmp_path / "d.json", {"a": stops, "b": works, "c": works})
    assert list(content["items"]) == ["a", "b", "c"]


def test_the_time_limit(monkeypatch, tmp_path):
    content, said = run(monkeypatch, tmp_path / "d.json", {"a": works, "b": works}, minutes=1e-9)
    assert content["skipped"] == ["a", "b"] and "minutes are over. Run it again to continue with a, b" in said


def test_results_of_another_machine(monkeypatch, tmp_path):
    run(monkeypatch, tmp_path / "d.json", {"a": works})
    monkeypatch.setattr(device, "machine", lambda: {"device": "H100"})
    with pytest.raises(ValueError, match="holds results of .*, but this is .*H100.*: give another --out"):
        run(monkeypatch, tmp_path / "d.json", {"a": works})


def test_the_items_come_in_order_of_importance():
    names = list(device.items_of(device.Scale()))
    wanted = ["right: i3d", "right: flow tvl1", "fast: i3d bfloat16", "fast: LSTM", "memory: i3d_64", "profile: i3d"]
    assert sorted(wanted, key=names.index) == wanted
    assert {f"fast: {name} {dtype}" for name in device.CASES for dtype in ("bfloat16", "float32")} < set(names)


@pytest.mark.slow
def test_all_items_on_this_machine_with_jax_alone(tmp_path):
    """The real items, in tiny sizes, in a process that cannot import what a bare GPU machine lacks."""
    command = [sys.executable, "-c", WITHOUT_OTHERS, "device", "--quick", "--out", str(tmp_path / "d.json")]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    content = json.loads((tmp_path / "d.json").read_text())
    assert not content["skipped"] and not [x for x in content["items"].values() if "error" in x]
    assert all(x.get("right", True) for x in content["items"].values())
    assert (tmp_path / "d.md").read_text() in printed
