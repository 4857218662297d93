import json
import pathlib

import numpy as np
import pytest

from vidjax.evaluation import result_file

COUNTS = [[3, 1], [0, 4]]
RESULT = {"top1": 0.875, "per_class": [0.75, 1.0], "confusion": COUNTS}


def test_the_confusion_is_a_file_of_its_own(tmp_path):
    path = tmp_path / "result.json"
    content = result_file.write(path, RESULT, ["a,b", "张伟"])
    assert content == json.loads(path.read_text()) == {**RESULT, "confusion": "confusion.csv"}
    assert (tmp_path / "confusion.csv").read_text(encoding="utf-8").splitlines() == [
        "true,predicted,count,true_label,predicted_label",
        '0,0,3,"a,b","a,b"',
        '0,1,1,"a,b",张伟',
        "1,1,4,张伟,张伟",
    ]
    assert result_file.read_confusion(path).tolist() == COUNTS
    assert (tmp_path / "confusion.png").stat().st_size > 0
    assert RESULT["confusion"] == COUNTS  # the argument is unchanged


def test_a_full_disk_leaves_the_result_before(tmp_path, monkeypatch):
    path = tmp_path / "result.json"
    result_file.write(path, {"top1": 0.5}, [])

    def half(path, text, **_):
        path.write_bytes(text.encode()[: len(text) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pathlib.Path, "write_text", half)
    with pytest.raises(OSError, match="No space"):
        result_file.write(path, {"top1": 1.0}, [])
    assert json.loads(path.read_text()) == {"top1": 0.5} and list(tmp_path.iterdir()) == [path]


def test_files_of_another_result_have_its_name(tmp_path):
    result_file.write(tmp_path / "result.json", RESULT, ["a", "b"])
    other = tmp_path / "result_other.json"
    result_file.write(other, {**RESULT, "confusion": [[0, 1], [1, 0]]}, ["a", "b"])
    assert json.loads(other.read_text())["confusion"] == "result_other_confusion.csv"
    assert result_file.read_confusion(other).tolist() == [[0, 1], [1, 0]]
    assert result_file.read_confusion(tmp_path / "result.json").tolist() == COUNTS


def test_many_classes_take_little_space(tmp_path):
    counts = np.zeros((500, 500), int)
    counts[np.arange(500), np.arange(500)] = 2
    result_file.write(
        tmp_path / "result.json", {"per_class": [1.0] * 500, "confusion": counts}, list(map(str, range(500)))
    )
    assert sum((tmp_path / name).stat().st_size for name in ("result.json", "confusion.csv")) < 30_000
    np.testing.assert_array_equal(result_file.read_confusion(tmp_path / "result.json"), counts)


def test_detections_are_shown():
    found = {"rule": {}, "activitynet": {"mAP": 0.25}, "thumos14": {"mAP": 0.2}, "video": {"hit_3": 0.5}}
    assert result_file.shown({"detection": found}, 1) == {"mAP@.3:.7": "25.0 %", "hit@3": "50.0 %"}
    assert result_file.shown({"detection": {"rule": {}}}, 1) == {}


def test_merging_keeps_other_metrics(tmp_path):
    path = tmp_path / "result.json"
    path.write_text(json.dumps({"steps": 3, "top1": 0.0, "confusion": COUNTS}))
    assert result_file.read_confusion(path).tolist() == COUNTS  # as earlier versions wrote it
    assert result_file.write(path, {"top1": 1.0}, [], merge=True) == {"steps": 3, "top1": 1.0}
    assert result_file.read_confusion(path) is None
    assert result_file.write(path, {"top1": 0.5}, []) == {"top1": 0.5}
    path.write_text("{")
    with pytest.raises(ValueError, match="result.json cannot be read"):
        result_file.write(path, {"top1": 1.0}, [], merge=True)


@pytest.mark.parametrize("line", ["0,7,1,a,b", "0,-1,1,a,b", "0,x,1,a,b", "0"])
def test_a_damaged_confusion_is_named(line, tmp_path):
    result_file.write(tmp_path / "result.json", RESULT, ["a", "b"])
    (tmp_path / "confusion.csv").open("a").write(line + "\n")
    with pytest.raises(ValueError, match="confusion.csv, the confusion matrix of .* evaluate the run again"):
        result_file.read_confusion(tmp_path / "result.json")
    (tmp_path / "confusion.csv").unlink()
    with pytest.raises(ValueError, match="No such file"):
        result_file.read_confusion(tmp_path / "result.json")
