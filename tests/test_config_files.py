import pytest

from vidjax import config_files


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """An installed copy with configs/a.py and configs/ladder/c.py; configs/b.py is in the working directory."""
    for name in ("installed/configs/a.py", "installed/configs/ladder/c.py", "here/configs/b.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.setattr(config_files, "INSTALLED", tmp_path / "installed")
    monkeypatch.setattr("sys.path", [])
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "installed"


def test_a_file_here_comes_before_the_installed_one(installed):
    assert config_files.find("configs/a.py") == installed / "configs/a.py"
    assert str(config_files.find("configs/b.py")) == "configs/b.py"
    assert str(config_files.find("configs/none.py")) == "configs/none.py"
    assert config_files.known() == ["configs/a.py", "configs/b.py"]
    assert config_files.known("configs/ladder") == ["configs/ladder/c.py"]


@pytest.mark.parametrize("arguments", [["--config", "configs/a.py:x=1"], ["--config=configs/a.py:x=1"]])
def test_the_config_of_a_command_line(arguments, installed):
    found = config_files.in_arguments(["train", *arguments, "--config.seed=1", "--workdir", "configs/a.py"])
    assert "=".join(found[1:-3]) == f"--config={installed}/configs/a.py:x=1"
    assert found[-3:] == ["--config.seed=1", "--workdir", "configs/a.py"]


def test_a_config_that_does_not_exist(installed):
    with pytest.raises(ValueError, match=r"--config c.py is not a file; choose one of configs/a.py, configs/b.py"):
        config_files.in_arguments(["train", "--config", "c.py"])
