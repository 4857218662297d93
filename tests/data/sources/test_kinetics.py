from vidjax.data.sources import kinetics


def test_files_of_clips(tmp_path):
    names = (
        "train/abc_000010_000020.mp4", "val/abc_000010_000020.mp4", "play_guitar/d-e_5_15.mkv", "whole.webm",
        "whole.json", "whole.jpg",
    )  # fmt: skip
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    files = kinetics.list_files(tmp_path)

    def found(*arguments):
        path, is_trimmed = kinetics.find_file(files, *arguments)
        return path and str(path.relative_to(tmp_path)), is_trimmed

    assert found("abc", 10.0, 20.0, {"val", "run"}) == ("val/abc_000010_000020.mp4", True)
    assert found("abc", 10.0, 20.0, {"train"}) == ("train/abc_000010_000020.mp4", True)
    assert found("d-e", 5.0, 15.0, {"play guitar"}) == ("play_guitar/d-e_5_15.mkv", True)
    assert found("whole", 1.0, 2.0, set()) == ("whole.webm", False)
    assert found("whole", 0.0, None, set()) == ("whole.webm", False)
    assert found("abc", 11.0, 21.0, set()) == (None, True)
