import dataclasses
import json
import logging
import sys

import jax
import pytest

from vidjax import gallery as command
from vidjax import predict
from vidjax.inference import embedding, gallery


@pytest.fixture(scope="module")
def made(tiny_run, tmp_path_factory):
    """A gallery of two classes, with two examples of one and one of the other."""
    path = tmp_path_factory.mktemp("gallery") / "mine.safetensors"
    videos = list(map(str, tiny_run.videos["train"]))
    for name, examples in (("wave", videos[:2]), ("clap", videos[2:3])):
        run_command("add", path, "--class", name, *examples, "--workdir", tiny_run.workdir)
    return path


def run_command(*arguments, main=command.main):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["vidjax", *map(str, arguments)])
        main()


def refused(*arguments, main=command.main) -> object:
    with pytest.raises(SystemExit) as stopped:
        run_command(*arguments, main=main)
    return stopped.value.code


def test_classes_are_listed_and_removed(made, tmp_path, capsys):
    copy = tmp_path / "copy.safetensors"
    copy.write_bytes(made.read_bytes())
    run_command("list", copy)
    assert "classes: 2, network: " in (out := capsys.readouterr().out) and "2  wave\n     1  clap" in out
    run_command("remove", copy, "--class", "wave")
    assert list(gallery.read(copy).examples) == ["clap"]
    assert "has no class 'wave'; choose from clap" in refused("remove", copy, "--class", "wave")


def test_a_video_is_classified_by_the_gallery(made, tiny_run, capsys):
    """An example of the class with a single one is at distance 0."""
    of_predict = (tiny_run.videos["train"][2], "--workdir", tiny_run.workdir, "--gallery", made)
    assert refused(*of_predict, "--json", main=predict.main) == 0
    found = json.loads(capsys.readouterr().out)
    assert [entry["label"] for entry in found["top"]] == ["clap", "wave"]
    assert found["top"][0]["distance"] < 1e-6 < found["top"][1]["distance"]
    assert refused(*of_predict, "--top", 1, "--windows", 1, main=predict.main) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines and all(line.endswith("  clap") or line.endswith("  wave") for line in lines)


def test_a_video_that_is_far_from_all_classes_is_unknown(made, tiny_run, monkeypatch, capsys):
    monkeypatch.setattr(gallery, "threshold", lambda _: 1e-9)
    arguments = ("--workdir", tiny_run.workdir, "--gallery", made)
    assert refused(tiny_run.videos["test"][0], *arguments, "--reject", main=predict.main) == 0
    assert capsys.readouterr().out.splitlines()[1].split() == ["unknown"]
    assert refused(tiny_run.videos["test"][0], *arguments, main=predict.main) == 0
    assert "unknown" not in capsys.readouterr().out


def test_an_addition_compiles_nothing_new(tiny_run, tiny_trained, tmp_path, caplog):
    """In one process: the second class reuses the program of the first."""
    path, videos = tmp_path / "g.safetensors", list(map(str, tiny_run.videos["train"]))
    embedder = embedding.of_run(tiny_trained)
    first = command.add(embedder, path, "first", videos[:1])
    with jax.log_compiles(), caplog.at_level(logging.WARNING):
        both = command.add(embedder, path, "second", videos[1:2])
    assert not [record for record in caplog.records if "ompil" in record.getMessage()]
    assert both.examples["first"].tobytes() == first.examples["first"].tobytes()


def test_an_error_changes_nothing(made, tiny_run, tmp_path):
    before, workdir = made.read_bytes(), tiny_run.workdir
    (tmp_path / "text.mp4").write_text("no video")
    good = tiny_run.videos["train"][5]
    assert "not a video" in refused("add", made, "--class", "new", good, tmp_path / "text.mp4", "--workdir", workdir)
    assert made.read_bytes() == before


def test_a_frame_rate_that_is_refused(capsys):
    assert refused("add", "g", "--class", "a", "folder", "--workdir", "w", "--folder_fps", 0) == 2
    assert "--folder_fps 0.0 must be more than 0" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--gallery", "g", "--workdir", "w", "v"], "--gallery is for one network, the one that made the gallery"),
        (["--reject", "--workdir", "w"], "--reject needs a --gallery"),
    ],
)
def test_arguments_of_predict_that_do_not_go_together(arguments, message, capsys):
    assert refused("video.mp4", *arguments, main=predict.main) == 2
    assert message in capsys.readouterr().err


def test_a_damaged_gallery_or_another_network(made, tiny_run, tmp_path, capsys):
    (tmp_path / "g").write_bytes(made.read_bytes()[:-5])
    of_predict = (tiny_run.videos["test"][0], "--workdir", tiny_run.workdir, "--gallery")
    assert refused(*of_predict, tmp_path / "g", main=predict.main) == 2
    assert "g is damaged" in capsys.readouterr().err
    gallery.write(tmp_path / "g", dataclasses.replace(gallery.read(made), network="0123"))
    assert refused(*of_predict, tmp_path / "g", main=predict.main) == 2
    assert "The gallery belongs to another network" in capsys.readouterr().err
