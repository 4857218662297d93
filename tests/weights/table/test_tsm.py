from vidjax.weights.table.tsm import TSMS


def test_names_say_how_many_frames_and_how_they_are_taken():
    for name, entry in TSMS.items():
        assert entry.clip["num_frames"] == (16 if "_16f_" in name else 8)
        dense = name.endswith("dense")
        assert (entry.clip["sampling"], entry.clip["frame_stride"]) == (("clip", 8) if dense else ("segments", 1))


def test_classes_are_those_of_the_dataset():
    assert {len(entry.labels) for name, entry in TSMS.items() if "kinetics400" in name} == {400}
    assert {len(entry.labels) for name, entry in TSMS.items() if "something_v2" in name} == {174}


def test_checksums_are_the_endings_of_the_names_of_mmaction():
    for name, entry in TSMS.items():
        (file,) = entry.files
        assert (file.digest or "sha256:").removeprefix("sha256:") in file.name
        assert bool(file.digest) == name.startswith("mmaction")
