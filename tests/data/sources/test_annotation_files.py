import pytest

from vidjax.data.sources import annotation_files


def test_the_only_file_of_a_pattern_at_any_depth(tmp_path):
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/x_train.json").touch()
    assert annotation_files.find_file(tmp_path, "*_train.json") == tmp_path / "a/b/x_train.json"
    with pytest.raises(ValueError, match=r"has no file \*_test.json; give the folder of the annotations"):
        annotation_files.find_file(tmp_path, "*_test.json")
    (tmp_path / "y_train.json").touch()
    with pytest.raises(ValueError, match=r"has several files \*_train.json: .*x_train.json.*y_train.json"):
        annotation_files.find_file(tmp_path, "*_train.json")


def test_rows_of_a_csv(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('id,actions\nA1, "c1 0 2"\nB2,"x, y"\n')
    rows = annotation_files.read_csv(path, ["id"], print)
    assert [row["id"] for row in rows] == ["A1", "B2"] and rows[1]["actions"] == "x, y"
    with pytest.raises(ValueError, match="a.csv has no column start, end; download it again"):
        annotation_files.read_csv(path, ["id", "start", "end"], print)


@pytest.mark.parametrize("row", ["A1", "A1,2,3"])
def test_a_row_of_another_length(row, tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(f"id,label\nB2,1\n{row}\n")
    with pytest.raises(ValueError, match="a.csv, line 3 has another number of cells than the header"):
        annotation_files.read_csv(path, ["id"], print)


def test_json(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('[{"id": "1", "label": "x"}]')
    assert annotation_files.read_json(path, ["id", "label"]) == [{"id": "1", "label": "x"}]
    with pytest.raises(ValueError, match="a.json must be a list of objects with id, template"):
        annotation_files.read_json(path, ["id", "template"])
    path.write_text('{"id": 1}')
    assert annotation_files.read_json(path) == {"id": 1}
    with pytest.raises(ValueError, match="a.json must be a list of objects with id"):
        annotation_files.read_json(path, ["id"])
    path.write_text("[{")
    with pytest.raises(ValueError, match="a.json is not valid JSON"):
        annotation_files.read_json(path)


def test_seconds():
    assert annotation_files.seconds("01:02:03.5") == 3723.5
    assert annotation_files.seconds("00:00:00") == 0
    for text in ("1.5", "00:01", "a:b:c"):
        with pytest.raises(ValueError, match=f"'{text}' is not a time like 00:01:02.34"):
            annotation_files.seconds(text)
