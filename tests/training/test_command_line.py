import pytest
from absl import app
from ml_collections import ConfigDict

from vidjax.training import command_line


def test_the_work_directory(tmp_path):
    assert command_line.check_workdir(["train"], str(tmp_path)) == tmp_path


@pytest.mark.parametrize(
    ("workdir", "message"),
    [
        (None, "vidjax.train: --workdir is missing; name the directory"),
        ("gs://bucket/run", "--workdir gs://bucket/run is not a local directory; mount the bucket first"),
    ],
)
def test_work_directories_that_are_refused(workdir, message):
    with pytest.raises(SystemExit, match=message):
        command_line.check_workdir(["train"], workdir)


def test_arguments_that_are_not_flags():
    with pytest.raises(app.UsageError, match=r"Unknown arguments \['batch_size=4'\]; give settings as --config.key"):
        command_line.check_workdir(["train", "batch_size=4"], "runs/a")


def test_the_key_of_an_error_of_ml_collections():
    with pytest.raises(AttributeError) as raised:
        ConfigDict({"batch_size": 8}).batch_sise  # noqa: B018
    assert command_line.unknown_key(raised.value) == "batch_sise"


def test_only_the_first_process_prints(monkeypatch, capsys):
    command_line.say("hello")
    monkeypatch.setattr(command_line.jax, "process_index", lambda: 1)
    command_line.say("again")
    assert capsys.readouterr().out == "hello\n"
