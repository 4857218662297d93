import pytest

from vidjax.data.sources import tables


def write(tmp_path, text, name="videos.csv"):
    (tmp_path / name).write_text(text)
    return tmp_path / name


def read(path, **options):
    """The items, and what was said."""
    said = []
    return tables.from_tables([path], say=said.append, **options), said


def seen(tmp_path, text, name="videos.csv", **options):
    """(path, labels, split) of each item."""
    items, _ = read(write(tmp_path, text, name), **options)
    return [(item.path.removeprefix(f"{tmp_path}/"), item.labels, item.split) for item in items]


def test_csv(tmp_path):
    path = write(
        tmp_path, "path,label,split,start,end,camera\na.mp4,run,train,1.5,3,left\nb.mp4,run|jump,test,,,right\n"
    )
    (first, second), _ = read(path)
    assert (first.path, first.labels, first.split, first.start, first.end) == (
        str(tmp_path / "a.mp4"), ("run",), "train", 1.5, 3.0,
    )  # fmt: skip
    assert first.columns["camera"] == "left"
    assert (second.labels, second.start, second.end) == (("run", "jump"), 0.0, None)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", " path , label ,split\n a.mp4 , run ,train\n\u00a0b.mp4\u00a0,\u00a0walk\u00a0,test\n"),
        ("a.CSV", 'Path;Label;Split\r\na.mp4;run;train\r\n"b.mp4";"walk";test\r\n\r\n;;\r\n'),
        ("a.tsv", "path\tlabel\tsplit\na.mp4\trun\ttrain\nb.mp4\twalk\ttest\n"),
        ("a.txt", "path label split\na.mp4 run train\nb.mp4  walk test\n"),
        ("a.csv", "sep=;\npath;label;split\na.mp4;run;Train\nb.mp4;walk;TEST\n"),
        ("a.csv", "split,label,path\rtrain,run,a.mp4\rtest,walk,b.mp4\r"),
    ],
)
def test_separators_spaces_and_cases(name, text, tmp_path):
    assert seen(tmp_path, text, name) == [("a.mp4", ("run",), "train"), ("b.mp4", ("walk",), "test")]


def test_quoted_cells(tmp_path):
    text = 'path,label\n"a, b.mp4","run, fast"\nc.mp4, "say ""hi"""\n'
    assert seen(tmp_path, text) == [("a, b.mp4", ("run, fast",), ""), ("c.mp4", ('say "hi"',), "")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,label\na.mp4,run\n", "no column path; it has file, label"),
        ("", "no column path or label; it has none"),
        ("path,label\n", "has a header but no rows"),
        ("path,label\na.mp4,run\nb.mp4,\n", "line 3: path and label must both be given. .* give --multi_label"),
        ("path,label\n ,run\n", "line 2: path and label must both be given"),
        ("path,label,start,end\na.mp4,run,soon,2\n", "line 2: start and end are seconds, not 'soon'"),
        ("path,label\n\na.mp4,run, fast\n", r"line 3: 3 cells for 2 columns \(path, label\). Put quotes around"),
        ("path,label,split\na.mp4,run\n", "line 2: 2 cells for 3 columns .* Keep the separators of empty cells"),
        ('path,label\na.mp4,run\nb.mp4,"walk\nc.mp4,jump\n', "line 3: unexpected end of data. Close each quote"),
        ("path,label,Label\na.mp4,run,walk\n", "has two columns 'label': rename or remove one"),
        ("path,label,cam,cam\na.mp4,run,1,2\n", "has two columns 'cam'"),
        ("path,label,end\na.mp4,run,5\n", "line 2: the end 5 has no start; write 0"),
        ("path,label,start,end\na.mp4,run,,5\n", "line 2: the end 5 has no start; write 0"),
        ("path,label,start,end\na.mp4,run,-1,5\n", "line 2: start -1 and end 5 must be seconds with 0 <= start < end"),
        ("path,label,start,end\na.mp4,run,5,5\n", "line 2: start 5 and end 5 must be"),
        ("path,label,start,end\na.mp4,run,nan,5\n", "line 2: start nan and end 5 must be"),
        ("path,label,start,end\na.mp4,run,1,inf\n", "line 2: start 1 and end inf must be"),
        ("path,label\na.mp4,run|\n", r"line 2: 'run\|' has an empty label"),
        ("path,label,split\na.mp4,run,train\nb.mp4,run,\n", "line 3: no split, but other rows have one"),
        ("path,label,caption\na.mp4,red,red square\n", "has both a label and a caption: keep one"),
        ("path,caption\na.mp4, \n", "line 2: path and caption must both be given"),
    ],
)
def test_csv_errors(text, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        read(write(tmp_path, text))


def test_csv_that_is_missing(tmp_path):
    with pytest.raises(ValueError, match="does not exist"):
        read(tmp_path / "none.csv")


def test_names_of_splits(tmp_path):
    text = "path,label,split\na.mp4,x,Training\nb.mp4,x,validate\nc.mp4,x,a/b\nd.mp4,x,a b\ne.mp4,x,fold1\n"
    splits = [split for _, _, split in seen(tmp_path, text)]
    assert splits[:2] == ["train", "val"] and splits[4] == "fold1"
    assert splits[2] != splits[3] and all(split.startswith("a_b_") for split in splits[2:4])
    assert "note: the split 'Training' is named train." in read(tmp_path / "videos.csv")[1]


def test_videos_without_a_label(tmp_path):
    text = "path,label\na.mp4,run\nb.mp4,\n"
    assert [labels for _, labels, _ in seen(tmp_path, text, multi_label=True)] == [("run",), ()]
    text = "path,label\na.mp4,run | walk|run\nb.mp4,\n"  # implied
    assert [labels for _, labels, _ in seen(tmp_path, text)] == [("run", "walk"), ()]
    assert read(tmp_path / "videos.csv")[1] == ["note: 1 videos have no label."]


def test_numbers_as_labels(tmp_path):
    text = "a.mp4 2\nb.mp4 10\n"
    assert [labels for _, labels, _ in seen(tmp_path, text, "list.txt")] == [("02",), ("10",)]
    items, said = read(write(tmp_path, "path,label\na.mp4,2\nb.mp4,10\n"))
    assert [item.labels for item in items] == [("2",), ("10",)]
    assert said == ["note: the labels are numbers; classes are sorted as text, so 10 comes before 2."]
    for text, message in (("a.mp4 2\nb.mp4 3\nc.mp4 x\n", "line 3: the label 'x' is not a number"),
                          ("a.mp4 2\nb.mp4 -1\n", "line 2: the label -1 is negative")):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            read(write(tmp_path, text, "list.txt"))


def test_lists_of_ucf101(tmp_path):
    """trainlist01.txt has numbers from 1, testlist01.txt none; the videos are in a folder beside that of the lists."""
    (tmp_path / "lists").mkdir()
    (tmp_path / "UCF-101/Archery").mkdir(parents=True)
    (tmp_path / "UCF-101/Archery/v_Archery_g08_c01.avi").touch()
    (tmp_path / "UCF-101/Bowling").mkdir()
    for name in ("v_Bowling_g09_c01.avi", "v_Bowling_g01_c01.avi"):
        (tmp_path / "UCF-101/Bowling" / name).touch()
    train = write(
        tmp_path / "lists", "Archery/v_Archery_g08_c01.avi 1\nBowling/v_Bowling_g09_c01.avi 2\n", "trainlist01.txt"
    )
    test = write(tmp_path / "lists", "Bowling/v_Bowling_g01_c01.avi\n", "testlist01.txt")
    classes = write(tmp_path / "lists", "1 Archery\n2 Bowling\n", "classInd.txt")
    items = tables.from_tables([train, test], class_file=classes, say=lambda _: None)
    assert [(item.labels, item.split) for item in items] == [
        (("Archery",), "train"), (("Bowling",), "train"), (("Bowling",), "test"),
    ]  # fmt: skip
    assert items[0].path == str(tmp_path / "UCF-101/Archery/v_Archery_g08_c01.avi")
    with pytest.raises(ValueError, match="testlist01.txt, line 1: no label; give `path label`, or --class_file"):
        read(test)
    with pytest.raises(ValueError, match="classInd.txt names no split: add a column split, or name the file"):
        tables.from_tables([train, classes])
    with pytest.raises(ValueError, match="--class_file goes with one label per video"):
        read(train, class_file=classes, multi_label=True)


def test_one_list_is_split_at_random(tmp_path):
    (tmp_path / "a.mp4").touch()
    _, said = read(write(tmp_path, "a.mp4 run\n", "train.txt"))
    assert said == ["note: train.txt is split at random. If it is the split train, give the other lists after it."]


def test_lists_of_frame_folders(tmp_path):
    items, _ = read(write(tmp_path, "v1 120 0\nv2 95 1\n", "list.txt"))
    assert [(item.path, item.labels) for item in items] == [(f"{tmp_path}/v1", ("0",)), (f"{tmp_path}/v2", ("1",))]
    assert items[0].columns == {"path": "v1", "label": "0", "num_frames": "120"}
    list_of_files = write(tmp_path, "a.mp4 1 3\n", "list.txt")
    with pytest.raises(ValueError, match="line 1: a.mp4 has two numbers after it but is not a folder of frames"):
        read(list_of_files)
    (tmp_path / "a.mp4").mkdir()
    assert read(list_of_files)[0][0].labels == ("3",)


def test_a_csv_without_a_header(tmp_path):
    (tmp_path / "a.mp4").touch()
    assert seen(tmp_path, "a.mp4,run\nb.mp4,walk\n") == [("a.mp4", ("run",), ""), ("b.mp4", ("walk",), "")]
    assert seen(tmp_path, "a.mp4 0\nb.mp4 1\n") == [("a.mp4", ("0",), ""), ("b.mp4", ("1",), "")]


def test_kinetics(tmp_path):
    (tmp_path / "abc_000010_000020.mp4").touch()
    (tmp_path / "whole.mp4").touch()
    text = (
        "label,youtube_id,time_start,time_end,split\nplaying guitar,abc,10,20,train\nrun,whole,3,13,validate\n"
        "run,gone,0,10,test\n"
    )
    items, _ = read(write(tmp_path, text))
    assert [(item.path, item.labels, item.split, item.start, item.end) for item in items] == [
        (f"{tmp_path}/abc_000010_000020.mp4", ("playing guitar",), "train", 0.0, None),
        (f"{tmp_path}/whole.mp4", ("run",), "val", 3.0, 13.0),
        (f"{tmp_path}/gone_000000_000010.mp4", ("run",), "test", 0.0, None),
    ]


def test_paths_of_windows(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/a.mp4").touch()
    assert seen(tmp_path, "path,label\nrun\\a.mp4,run\n") == [("run/a.mp4", ("run",), "")]


def test_encodings(tmp_path):
    (tmp_path / "videos.csv").write_bytes("path,label\na.mp4,Übung\n".encode("utf-16"))
    assert read(tmp_path / "videos.csv")[0][0].labels == ("Übung",)
    (tmp_path / "videos.csv").write_bytes("path,label\na.mp4,Übung\n".encode("cp1252"))
    items, said = read(tmp_path / "videos.csv")
    assert items[0].labels == ("Übung",) and "read as Windows-1252" in said[0]


def test_other_names_of_the_part_of_a_video(tmp_path):
    for start, end in (("time_start", "time_end"), ("start_time", "end_time")):
        path = write(tmp_path, f"path,label,{start},{end}\na.mp4,run,1,2\n", "videos.csv")
        (item,) = tables.from_tables([path], say=lambda _: None)
        assert (item.start, item.end) == (1.0, 2.0)
    said = []
    tables.from_tables([write(tmp_path, "path,label,start_frame\na.mp4,run,1\n", "videos.csv")], say=said.append)
    assert any("start_frame not used; the part of a video is start and end, in seconds" in line for line in said)


def test_a_negative_number_is_not_a_class(tmp_path):
    path = write(tmp_path, "path,label\na.mp4,0\nb.mp4,-1\n", "videos.csv")
    with pytest.raises(ValueError, match="line 3: the label -1 is negative; remove the row, or write names"):
        tables.from_tables([path], say=lambda _: None)
