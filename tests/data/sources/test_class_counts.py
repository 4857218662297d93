from vidjax.data.sources import class_counts
from vidjax.data.sources.items import Item


def test_table():
    items = [Item("1", ("run",), "train"), Item("2", ("run", "walk"), "test"), Item("3", (), "train")]
    assert class_counts.table(items).splitlines() == [
        "class       train  test  all",
        "(no label)      1     0    1",
        "run             1     1    2",
        "walk            0     1    1",
        "videos          2     1    3",
    ]


def test_many_classes_and_splits():
    items = [Item(str(i), (f"{i:03d}",), f"fold_{i % 10}") for i in range(50)]
    lines = class_counts.table(items).splitlines()
    assert lines[0].split() == ["class", "all"] and lines[20].split() == ["019", "1"]
    assert lines[21:] == ["... and 30 more classes", "videos   50", "10 splits, from fold_0 to fold_9"]


def test_warnings():
    said = []
    class_counts.warn([Item("1", ("Play Guitar",)), Item("2", ("play_guitar",)), Item("3", ("run",))], said.append)
    assert said == ["warning: the classes 'Play Guitar', 'play_guitar' look the same; if they are, rename one."]
    class_counts.warn([Item("1", ("run",)), Item("2", ("run",))], said.append)
    assert said[1:] == ["warning: there is only one class, run."]
