import subprocess
import sys

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.runs import scalars_of
from vidjax.training import events

LINES = [{"step": 10 * i, "time": 1000.0 + i, "loss": 1 / i, "epoch": 0.5 * i} for i in range(1, 5)]


def test_the_scalars_of_lines(tmp_path):
    file = events.EventFile(tmp_path, LINES[:3])
    file.write({**LINES[3], "val_top1": 0.25})
    found = scalars_of(tmp_path)
    assert found["loss"] == [(10, 1.0), (20, 0.5), (30, float(np.float32(1 / 3))), (40, 0.25)]
    assert found["epoch"] == [(10, 0.5), (20, 1.0), (30, 1.5), (40, 2.0)]
    assert found["val_top1"] == [(40, 0.25)]
    assert set(found) == {"loss", "epoch", "val_top1"}


def test_a_continued_run_has_one_file_with_the_times_of_its_lines(tmp_path):
    events.EventFile(tmp_path, LINES)
    events.EventFile(tmp_path, LINES[:2]).write({**LINES[2], "loss": 7.0})
    assert sum(path.stat().st_size > 0 for path in tmp_path.iterdir()) == 1
    assert scalars_of(tmp_path)["loss"] == [(10, 1.0), (20, 0.5), (30, 7.0)]
    found = EventAccumulator(str(tmp_path)).Reload().Scalars("loss")
    assert [event.wall_time for event in found] == [1001.0, 1002.0, 1003.0]


def test_a_running_tensorboard_forgets_dropped_steps(tmp_path, monkeypatch):
    events.EventFile(tmp_path, LINES)
    looking_on = EventAccumulator(str(tmp_path)).Reload()
    assert [event.step for event in looking_on.Scalars("loss")] == [10, 20, 30, 40]
    later = events.time.time() + 1  # event file names contain the second of their creation
    monkeypatch.setattr(events.time, "time", lambda: later)
    events.EventFile(tmp_path, LINES[:2])
    assert [event.step for event in looking_on.Reload().Scalars("loss")] == [10, 20]


def test_lines_of_older_runs_have_no_time(tmp_path):
    events.EventFile(tmp_path, [{"step": 1, "loss": 2.0}])
    assert scalars_of(tmp_path) == {"loss": [(1, 2.0)]}


def test_a_full_disk_is_an_error(tmp_path):
    file = events.EventFile(tmp_path, [])
    file._writer._py_recordio_writer._writer = open("/dev/full", "wb", buffering=0)
    with pytest.raises(OSError, match="No space left"):
        file.write(LINES[0])


def test_pytorch_is_not_imported(tmp_path):
    (tmp_path / "torch.py").write_text("print('imported')")
    code = "import pathlib, sys; from vidjax.training import events\n"
    code += f"events.EventFile(pathlib.Path({str(tmp_path)!r}), [])"
    code += "; import torch"  # a later import works
    environment = {"PYTHONPATH": f"{tmp_path}:{':'.join(sys.path)}"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "imported\n"
