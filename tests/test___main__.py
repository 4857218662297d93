import importlib.util
import os
import subprocess
import sys

import pytest

from vidjax import __main__ as command


def run(*arguments):
    return subprocess.run([sys.executable, "-m", "vidjax", *arguments], capture_output=True, text=True)


def test_every_command_is_a_module_that_runs():
    for module, _ in command.COMMANDS.values():
        spec = importlib.util.find_spec(module)
        if spec.submodule_search_locations:
            spec = importlib.util.find_spec(f"{module}.__main__")
        assert "__main__" in open(spec.origin).read()


def test_help_lists_the_commands_and_imports_none():
    code = "import sys, vidjax.__main__ as m; print(m.usage()); assert not {'jax', 'numpy'} & set(sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert all(name in found.stdout for name in command.COMMANDS)


@pytest.mark.parametrize(("arguments", "status"), [(["--help"], 0), ([], 2), (["--version"], 0)])
def test_without_a_command(arguments, status, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["vidjax", *arguments])
    try:
        command.main()
        assert status == 0
    except SystemExit as stopped:
        assert stopped.code == status
    assert capsys.readouterr().out


def test_an_unknown_command_is_named():
    found = run("trian")
    assert found.returncode == 2 and "unknown command 'trian'; choose one of make-records, data, train" in found.stderr


def test_a_command_gets_its_arguments_and_gives_its_status(tmp_path):
    (tmp_path / "empty").mkdir()
    for name in ("make-records", "make_records"):
        found = run(name, str(tmp_path / "empty"), "--out", str(tmp_path / "out"))
        assert found.returncode == 1 and "has no videos" in found.stderr and "Traceback" not in found.stderr


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("arguments", [["--help"], ["make-records", "--help"]])
def test_a_reader_that_has_gone_is_no_error(arguments, unbuffered):
    read, write = os.pipe()
    os.close(read)
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    command = [sys.executable, "-m", "vidjax", *arguments]
    found = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, env=environment)
    os.close(write)
    assert found.stderr == ""


@pytest.mark.parametrize("gone", [True, False])
def test_only_the_pipe_of_the_output_is_excused(gone, monkeypatch, capsys):
    def write_to_a_pipe():
        raise BrokenPipeError

    monkeypatch.setattr(command, "run", write_to_a_pipe)
    monkeypatch.setattr(command, "reader_has_gone", lambda: gone)
    with pytest.raises(SystemExit if gone else BrokenPipeError):
        command.main()
