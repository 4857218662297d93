import subprocess
import sys

import pytest

from vidjax.bench import memory

CNN = {"small_cnn": "2x32x32"}


@pytest.fixture(scope="module")
def measured():
    ways = {name: memory.WAYS[name] for name in ("data-parallel", "accumulate 4")}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memory, "WAYS", ways)
        return memory.bench_memory(CNN, num_clips=8)


def test_each_way_is_a_line_with_its_parts(measured):
    assert list(measured) == ["small_cnn, data-parallel", "small_cnn, accumulate 4"]
    whole, parts = measured.values()
    assert set(whole) == {"state", "temporaries", "step", "collectives"}
    assert whole["state"] == parts["state"] < whole["step"]
    assert parts["temporaries"] < whole["temporaries"]
    assert whole["collectives"] == {}  # on one device


def test_the_table(measured, capsys):
    figures = {"state": 1.0, "temporaries": 20.0, "step": 21.4, "collectives": {"all-reduce": [3, 49.2]}}
    memory.show(measured | {"other": figures})
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4 and lines[0].split()[-2:] == ["step", "collectives"]
    assert lines[-1].split() == ["other", "1.0", "20", "21", "3", "all-reduce", "49"]


def test_every_way_is_one_that_configs_have():
    keys = {key for settings in memory.WAYS.values() for key in settings}
    assert keys == {"mesh", "model", "accumulate"}


def test_eight_devices_are_simulated():
    script = "import jax; from vidjax.bench import memory; memory.simulate_devices(); print(jax.device_count())"
    out = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
    assert int(out) == memory.NUM_DEVICES == 8
