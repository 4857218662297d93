"""Each dataset as a small tree in the files of its authors, with what is missing, doubled and misspelt."""

import csv
import json
from collections import Counter

import numpy as np
import pytest

from tests.data.sources.test_protocols import touch
from tests.data.test_segment_files import save
from vidjax.data import make_records, pipeline, video
from vidjax.data.folds import Fold, find_fold
from vidjax.data.sources import protocols
from vidjax.data.sources.annotation_files import read_csv, read_json, seconds


def read(name, videos, annotations):
    said = []
    return protocols.PROTOCOLS[name](videos, annotations, said.append), said


def found(dataset, videos):
    return {item.path.removeprefix(f"{videos}/"): (*item.labels, item.split) for item in dataset.items}


def save_json(path, content):
    return save(path, json.dumps(content))


# ---------------------------------------------------------------------------------------------- several official splits


@pytest.fixture
def ucf101(tmp_path):
    """Two classes of four groups, of which no split tests group 8; a folder is spelt as on disks."""
    lists = tmp_path / "ucfTrainTestlist"
    save(lists / "classInd.txt", "1 ApplyEyeMakeup\r\n2 HandstandPushups\r\n")
    clips = [f"{label}/v_{label}_g{group:02}_c01.avi" for label in ("ApplyEyeMakeup", "HandStandPushups") for group in
             (1, 2, 3, 8)]  # fmt: skip
    for number in (1, 2, 3):
        of_split = {"test": [x for x in clips if f"_g{number:02}" in x]}
        of_split["train"] = [x for x in clips if x not in of_split["test"]]
        lines = "".join(f"{x} {1 + ('Hand' in x)}\r\n" for x in of_split["train"])
        save(lists / f"trainlist{number:02}.txt", lines)
        save(lists / f"testlist{number:02}.txt", "".join(f"{x}\r\n" for x in of_split["test"]))
    disk = [x.replace("HandStandPushups/", "HandstandPushups/") for x in clips]
    return touch(tmp_path / "UCF-101", *disk), lists


def test_ucf101(ucf101):
    videos, lists = ucf101
    dataset, said = read("ucf101", videos, lists)
    assert dataset.labels == ["ApplyEyeMakeup", "HandstandPushups"] and dataset.horizontal_flip == "unchanged"
    items = found(dataset, videos)
    assert items["ApplyEyeMakeup/v_ApplyEyeMakeup_g02_c01.avi"] == ("ApplyEyeMakeup", "split2")
    assert items["HandstandPushups/v_HandStandPushups_g08_c01.avi"] == ("HandstandPushups", "untested")
    assert list(dataset.folds) == ["published", "split1", "split2", "split3"]
    assert dataset.folds["split2"] == [{"train": ["split1", "split3", "untested"], "test": ["split2"]}]
    assert dataset.folds["published"] == [dataset.folds[f"split{number}"][0] for number in (1, 2, 3)]
    assert not said and dataset.problems == {"missing": [], "doubled": [], "misspelt": []}


def test_ucf101_with_faults(ucf101):
    """A file is missing, one is spelt otherwise, one is listed twice, one trained and tested, one of no class."""
    videos, lists = ucf101
    (videos / "ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi").unlink()
    file = videos / "ApplyEyeMakeup/v_ApplyEyeMakeup_g02_c01.avi"
    file.rename(file.with_name("v_applyEyeMakeup g02_c01.avi"))
    with open(lists / "trainlist01.txt", "a") as opened:
        opened.write("ApplyEyeMakeup/v_ApplyEyeMakeup_g03_c01.avi 1\nApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi 1\n")
        opened.write("HandstandPushups/v_HandStandPushups_g01_c01.avi 2\nArchery/v_Archery_g01_c01.avi 3\n")
    dataset, said = read("ucf101", videos, lists)
    assert dataset.problems == {
        "missing": ["v_ApplyEyeMakeup_g01_c01"],
        "doubled": [f"v_{x}_c01" for x in ("ApplyEyeMakeup_g03", "ApplyEyeMakeup_g01", "HandStandPushups_g01")],
        "misspelt": ["v_ApplyEyeMakeup_g02_c01", "v_Archery_g01_c01 (Archery)"],
    }
    assert (
        found(dataset, videos)["HandstandPushups/v_HandStandPushups_g01_c01.avi"][1] == "split1"
    )  # tested, not trained
    assert [line.split(":")[0] for line in said] == ["warning", "note", "warning", "warning"]
    save(lists / "trainlist02.txt", "v_ApplyEyeMakeup_g03_c01.avi\n")
    with pytest.raises(ValueError, match=r"trainlist02.txt, line 1: .* is not `CLASS/VIDEO.avi`"):
        read("ucf101", videos, lists)
    (lists / "trainlist02.txt").unlink()
    with pytest.raises(ValueError, match="has no file trainlist02.txt; give the folder"):
        read("ucf101", videos, lists)


def test_hmdb51(tmp_path):
    """Lines end with a space, as published; 0 is in no list of that split, and one video is in none at all."""
    roles = {"April_09_brush_hair_u_nm_np1_ba_goo_0": "112", "atheistic_brush_hair_u_cm_np2_le_goo_3": "210"}
    roles |= {"Aussie_Brunette_Brushing_brush_hair_u_nm_np2_le_goo_2": "000", "#20_brush_hair_f_nm_np1_fr_goo_0": "121"}
    names = [*list(roles)[:3]]
    for number in (1, 2, 3):
        lines = "".join(f"{name}.avi {role[number - 1]} \n" for name, role in roles.items())
        save(tmp_path / f"splits/brush_hair_test_split{number}.txt", lines)
    videos = touch(tmp_path / "hmdb51_org", *(f"brush_hair/{name}.avi" for name in names), "other/a.avi")
    dataset, said = read("hmdb51", videos, tmp_path / "splits")
    assert [(item.split, item.labels) for item in dataset.items] == [
        ("split3", ("brush_hair",)),
        ("split1_not_in_3", ("brush_hair",)),
    ]
    assert dataset.folds["split3"] == [{"train": [], "test": ["split3"]}]  # its training video is missing
    assert dataset.folds["split2"][0]["train"] == ["split1_not_in_3", "split3"]
    assert dataset.problems["missing"] == ["brush_hair/#20_brush_hair_f_nm_np1_fr_goo_0"]
    assert said == [f"warning: 1 of 3 annotated videos are missing: {dataset.problems['missing'][0]}."]
    save(tmp_path / "splits/cartwheel_test_split1.txt", "a.avi 3\n")
    with pytest.raises(ValueError, match=r"cartwheel_test_split1.txt, line 1: 'a.avi 3' is not `VIDEO.avi 0`"):
        read("hmdb51", videos, tmp_path / "splits")
    save(tmp_path / "splits/cartwheel_test_split1.txt", "a.avi 1\n")
    assert "has 4 files for 2 classes; three each are published" in read("hmdb51", videos, tmp_path / "splits")[1][0]
    with pytest.raises(ValueError, match="no file like brush_hair_test_split1.txt"):
        read("hmdb51", videos, videos)


# --------------------------------------------------------------------------------------------------- one official split


def test_kinetics(tmp_path):
    """Trimmed clips under both usual names, and a whole video of which a stretch is read."""
    header = "label,youtube_id,time_start,time_end,split\n"
    rows = "testifying,---QUuC4vJs,84,94,train\nair drumming,--nQbRBEz2s,104,114,train\nair drumming,gone,1,11,train\n"
    save(tmp_path / "a/train.csv", header + rows + "air drumming,gone,1,11,train\n")
    save(tmp_path / "a/validate.csv", header.replace("\n", ",is_cc\n") + '"washing feet",--GkrdYZ9Tc,0,10,validate,0\n')
    save(tmp_path / "a/test.csv", "youtube_id,time_start,time_end,split\n_dbcJuKJQNs,40,50,test\n")
    names = "train/testifying/---QUuC4vJs_000084_000094.mp4", "--nQbRBEz2s_104_114.mp4", "--GkrdYZ9Tc.mkv"
    videos = touch(tmp_path / "v", *names, "air_drumming/--nQbRBEz2s_104_114.mp4")
    dataset, said = read("kinetics", videos, tmp_path / "a")
    assert found(dataset, videos) == {
        "train/testifying/---QUuC4vJs_000084_000094.mp4": ("testifying", "train"),
        "air_drumming/--nQbRBEz2s_104_114.mp4": ("air drumming", "train"),
        "--GkrdYZ9Tc.mkv": ("washing feet", "val"),
    }
    parts = {item.labels[0]: (item.start, item.end) for item in dataset.items}
    assert parts == {"testifying": (0, None), "air drumming": (0, None), "washing feet": (0, 10)}
    assert dataset.labels == ["air drumming", "testifying", "washing feet"]
    assert dataset.folds == {"published": [{"train": ["train"], "test": ["val"]}]}
    assert dataset.problems == {"missing": ["gone_000001_000011"], "doubled": ["gone_000001_000011"], "misspelt": []}
    assert said == [
        "note: 1 clips of the test set have no label and are left out.",
        "warning: the CSVs name 3 classes; Kinetics has 400, 600 or 700.",
        "warning: 1 of 4 annotated videos are missing: gone_000001_000011.",
        "warning: 1 videos are annotated twice; each is used once: gone_000001_000011.",
    ]
    assert len(read("kinetics", videos, tmp_path / "a/train.csv")[0].items) == 2
    with pytest.raises(ValueError, match="Give --videos"):
        read("kinetics", None, tmp_path / "a")
    with pytest.raises(ValueError, match="has no CSV with a label"):
        read("kinetics", videos, tmp_path / "a/test.csv")


TEMPLATES = ["Holding something next to something", "Pulling something from left to right"]
TEMPLATES += ["Pulling something from right to left"]


def ssv2_row(number, template):
    brackets = template.replace("something", "[something]")
    row = {"id": str(number), "label": "holding potato next to vicks vaporub bottle", "template": brackets}
    return row | {"placeholders": ["potato", "vicks vaporub bottle"]}


def test_ssv2(tmp_path):
    name = "something-something-v2-"
    save_json(tmp_path / f"{name}labels.json", {TEMPLATES[k]: str(k) for k in (2, 0, 1)})
    rows = [ssv2_row(78687, TEMPLATES[0]), ssv2_row(42326, TEMPLATES[1]), ssv2_row(100904, "Pulling nothing")]
    save_json(tmp_path / f"{name}train.json", rows)
    save_json(tmp_path / f"{name}validation.json", [ssv2_row(74225, TEMPLATES[2]), ssv2_row(42326, TEMPLATES[1])])
    save_json(tmp_path / f"{name}test.json", [{"id": "1420"}])
    videos = touch(tmp_path / "20bn-something-something-v2", "78687.webm", "74225.webm", "42326.webm")
    dataset, said = read("ssv2", videos, tmp_path)
    assert dataset.labels == TEMPLATES and dataset.horizontal_flip == [0, 2, 1]
    assert found(dataset, videos) == {
        "78687.webm": (TEMPLATES[0], "train"),
        "42326.webm": (TEMPLATES[1], "val"),  # in both lists: it is only tested
        "74225.webm": (TEMPLATES[2], "val"),
    }
    assert dataset.problems == {"missing": [], "doubled": ["42326"], "misspelt": ["100904 (Pulling nothing)"]}
    assert said == [
        "warning: 1 videos are annotated twice; each is used once: 42326.",
        "warning: 1 rows have an unknown class and are left out: 100904 (Pulling nothing).",
    ]
    save_json(tmp_path / f"{name}train.json", {"id": 1})
    with pytest.raises(ValueError, match="train.json must be a list of objects with id, template"):
        read("ssv2", videos, tmp_path)


def test_jester(tmp_path):
    """Videos are folders of JPEGs; clockwise and counterclockwise swap, too."""
    classes = "Swiping Left", "Swiping Right", "Turning Hand Clockwise", "Turning Hand Counterclockwise", "No gesture"
    save(tmp_path / "jester-v1-labels.csv", "".join(f"{name}\n" for name in classes))
    save(tmp_path / "jester-v1-train.csv", "34870;swiping left\n56557;Swiping Right\n129112;Turning Hand Clockwise\n")
    save(tmp_path / "jester-v1-validation.csv", "9223;No gesture\n")
    save(tmp_path / "jester-v1-test.csv", "118562\n")
    frames = [f"{video}/0000{number}.jpg" for video in (34870, 56557, 9223, 118562) for number in (1, 2)]
    videos = touch(tmp_path / "20bn-jester-v1", *frames)
    dataset, said = read("jester", videos, tmp_path)
    assert dataset.labels == [*classes] and dataset.horizontal_flip == [1, 0, 3, 2, 4]
    assert found(dataset, videos) == {
        "34870": ("Swiping Left", "train"),
        "56557": ("Swiping Right", "train"),
        "9223": ("No gesture", "val"),
    }
    assert said == ["warning: 1 of 4 annotated videos are missing: 129112."]
    save(tmp_path / "jester-v1-train.csv", "34870,Swiping Left\n")
    with pytest.raises(ValueError, match=r"train.csv, line 1: '34870,Swiping Left' is not `34870;Drumming Fingers`"):
        read("jester", videos, tmp_path)


def test_diving48(tmp_path):
    save_json(
        tmp_path / "Diving48_vocab.json", [["Back", "15som", "05Twis", "FREE"], ["Reverse", "Dive", "NoTwis", "PIKE"]]
    )
    row = {"vid_name": "sCQh90L6Bsw_00098", "label": 1, "start_frame": 0, "end_frame": 87}
    save_json(tmp_path / "Diving48_V2_train.json", [row, row | {"vid_name": "_8Vy3dlHg2w_00000", "label": 48}])
    save_json(tmp_path / "Diving48_V2_test.json", [row | {"vid_name": "2x00lRzlTVQ_00001", "label": 0}])
    videos = touch(tmp_path / "rgb", "sCQh90L6Bsw_00098.mp4", "2x00lRzlTVQ_00001.mp4")
    dataset, _ = read("diving48", videos, tmp_path)
    assert found(dataset, videos) == {
        "sCQh90L6Bsw_00098.mp4": ("Reverse+Dive+NoTwis+PIKE", "train"),
        "2x00lRzlTVQ_00001.mp4": ("Back+15som+05Twis+FREE", "test"),
    }
    assert dataset.problems["misspelt"] == ["_8Vy3dlHg2w_00000 (48)"]
    save_json(tmp_path / "Diving48_train.json", [])
    with pytest.raises(ValueError, match="has several files .*_train.json: .* of one release"):
        read("diving48", videos, tmp_path)


# ------------------------------------------------------------------------------------------------------- several labels

CHARADES = "id,subject,scene,quality,relevance,verified,script,objects,descriptions,actions,length\n"


def charades_row(name, actions, length=24.83):
    return (
        f'{name},HR43,Hallway,6,7,Yes,"A person cooks, and looks.",food;stove,A person cooks food.,{actions},{length}\n'
    )


def test_charades(tmp_path):
    """A video without labels, one with a segment after its end, as 00SL4 has, and one of an unknown class."""
    save(tmp_path / "Charades_v1_classes.txt", "c000 Holding some clothes\nc001 Putting clothes somewhere\n")
    rows = charades_row("46GP8", "c001 11.90 21.20;c000 0.00 12.60") + charades_row("N11GT", "")
    rows += charades_row("00SL4", "c000 18.00 10.00;c001 1.00 2.00", 8.96) + charades_row("0KZ7E", "c157 1.0 2.0")
    save(tmp_path / "Charades_v1_train.csv", CHARADES + rows)
    save(
        tmp_path / "Charades_v1_test.csv",
        CHARADES + charades_row("YSKX3", "c000 0.00 32.00") + charades_row("46GP8", ""),
    )
    videos = touch(tmp_path / "Charades_v1_480", *(f"{x}.mp4" for x in ("46GP8", "N11GT", "00SL4", "0KZ7E", "other")))
    dataset, said = read("charades", videos, tmp_path)
    assert dataset.labels == ["Holding some clothes", "Putting clothes somewhere", "background"]
    items = {item.path[-9:-4]: item for item in dataset.items}
    assert items["00SL4"].labels == ("Holding some clothes", "Putting clothes somewhere")
    assert items["00SL4"].segments == ((1.0, 2.0, "Putting clothes somewhere"),)
    assert items["N11GT"].labels == () and items["N11GT"].segments == () and items["N11GT"].split == "train"
    assert items["46GP8"].split == "test"  # in both lists
    assert dataset.problems == {"missing": ["YSKX3"], "doubled": ["46GP8"], "misspelt": ["0KZ7E (c157)"]}
    assert dataset.folds == {"published": [{"train": ["train"], "test": ["test"]}]}
    assert said[0] == "note: 1 segments have no length or begin after their video, like one of 00SL4; left out."
    assert "note: 3 videos have no label." in said


def test_records_of_a_published_dataset(tmp_path, capsys):
    """Charades: what is wrong is in dataset.json; a video without labels is a record, too."""
    save(tmp_path / "a/Charades_v1_classes.txt", "c000 Holding some clothes\nc001 Putting clothes somewhere\n")
    rows = charades_row("46GP8", "c001 0.20 9.20;c000 0.00 0.40") + charades_row("N11GT", "")
    save(tmp_path / "a/Charades_v1_train.csv", CHARADES + rows)
    save(tmp_path / "a/Charades_v1_test.csv", CHARADES + rows.replace("N11GT", "YSKX3"))
    video.write_video(tmp_path / "v/46GP8.mp4", np.zeros((10, 16, 16, 3), np.uint8), 10)
    video.write_video(tmp_path / "v/N11GT.mp4", np.zeros((10, 16, 16, 3), np.uint8), 10)
    given = ["charades", "--videos", tmp_path / "v", "--annotations", tmp_path / "a", "--out", tmp_path / "out"]
    make_records.make_records(make_records.parse_args([*map(str, given), "--short_side", "0", "--workers", "1"]))
    description = json.loads((tmp_path / "out/dataset.json").read_text())
    assert (description["missing"], description["doubled"], description["misspelt"]) == (["YSKX3"], ["46GP8"], [])
    assert description["splits"] == {"test": 1, "train": 1}
    assert find_fold(tmp_path / "out", "published") == Fold(["train"], ["test"])
    example = pipeline.open_records(tmp_path / "out", ["test"])[0]
    assert list(example.labels) == [0, 1] and [(x.start, x.end, x.label) for x in example.segments] == [
        (0.0, 0.4, 0),
        (0.2, 1.0, 1),
    ]
    assert list(pipeline.open_records(tmp_path / "out", ["train"])[0].labels) == []


EPIC = "narration_id,participant_id,video_id,narration_timestamp,start_timestamp,stop_timestamp,start_frame,stop_frame,"
EPIC += "narration,verb,verb_class,noun,noun_class,all_nouns,all_noun_classes\n"


def test_epic_kitchens(tmp_path):
    """Two clips of a video, one of a video that is missing, and one of a class that is not there."""
    for kind, names in (("verb", ("take", "put")), ("noun", ("tap", "spoon", "plate"))):
        rows = "".join(f"{number},{name},\"['{name}']\",x\n" for number, name in enumerate(names))
        save(tmp_path / f"EPIC_100_{kind}_classes.csv", "id,key,instances,category\n" + rows)
    row = (
        "P01_11_{0},P01,{1},00:00:00.560,00:00:00.00,00:01:01.89,1,113,take plate,take,{2},plate,2,\"['plate']\",[2]\n"
    )
    save(tmp_path / "EPIC_100_train.csv", EPIC + row.format(0, "P01_11", 0) + row.format(1, "P01_11", 9))
    save(tmp_path / "EPIC_100_validation.csv", EPIC + row.format(2, "P01_11", 1) + row.format(3, "P02_101", 0))
    videos = touch(tmp_path / "videos", "P01/videos/P01_11.MP4")
    dataset, said = read("epic_kitchens", videos, tmp_path)
    assert dataset.labels == ["verb:take", "verb:put", "noun:tap", "noun:spoon", "noun:plate"]
    assert [(x.labels, x.split, x.start, x.end) for x in dataset.items] == [
        (("verb:take", "noun:plate"), "train", 0.0, 61.89),
        (("verb:put", "noun:plate"), "val", 0.0, 61.89),
    ]
    assert dataset.problems == {"missing": ["P02_101"], "doubled": [], "misspelt": ["P01_11_1 (verb 9, noun 2)"]}
    assert "note: 1 of 3 clips are in missing videos." in said


# ---------------------------------------------------------------------------------------------------------------- files


def test_wrong_files(tmp_path):
    with pytest.raises(ValueError, match=r"a.csv, line 2 has another number of cells"):
        read_csv(save(tmp_path / "a.csv", "a,b\n1,2,3\n"), ["a"], print)
    with pytest.raises(ValueError, match=r"a.csv has no column c, d; download it again"):
        read_csv(save(tmp_path / "a.csv", "a,b\n1,2\n"), ["a", "c", "d"], print)
    with pytest.raises(ValueError, match=r"a.json is not valid JSON"):
        read_json(save(tmp_path / "a.json", "[1"))
    with pytest.raises(ValueError, match="'1:2' is not a time like 00:01:02.34"):
        seconds("1:2")
    assert seconds("01:02:03.45") == 3723.45


OFFICIAL = {  # videos of the splits; segments with a class, Charades: of 66,500 seven cannot be used
    "ucf101": {"split1": 3783, "split2": 3734, "split3": 3696, "untested": 2107},
    "charades": {"train": 7985, "test": 1863},
}


def official_names(name, folder):
    if name == "ucf101":
        return {line.split()[0] for path in folder.glob("t*list0?.txt") for line in path.read_text().splitlines()}
    return {
        f"{row['id']}.mp4" for path in folder.glob("*_t*.csv") for row in csv.DictReader(path.read_text().splitlines())
    }


@pytest.mark.parametrize("name", OFFICIAL)
def test_official_files(name, shared_data, tmp_path):
    """The counts that the authors publish. UCF101: 9,537/3,783, 9,586/3,734 and 9,624/3,696 videos."""
    folder = shared_data / "annotations" / name
    if not folder.exists():
        pytest.skip(f"the annotations of {name} are not here: {folder}")
    dataset, _ = read(name, touch(tmp_path, *official_names(name, folder)), folder)
    counts = Counter(item.split for item in dataset.items)
    assert counts == OFFICIAL[name] and not any(dataset.problems.values())
    if name == "ucf101":
        pairs = [
            [sum(counts[x] for x in fold[role]) for role in ("train", "test")] for fold in dataset.folds["published"]
        ]
        assert pairs == [[9537, 3783], [9586, 3734], [9624, 3696]]
    else:
        assert sum(len(item.segments) for item in dataset.items) == 66500 - 7
        assert sum(not item.labels for item in dataset.items if item.split == "test") == 49
