import gzip
import json
import re

import jax
import jax.numpy as jnp
import pytest

from vidjax.training import profiling


def traced(directory) -> list[dict]:
    """The events of the only trace in a directory."""
    (path,) = directory.glob("plugins/profile/*/*.trace.json.gz")
    assert len(list(path.parent.glob("*.xplane.pb"))) == 1
    with gzip.open(path) as file:
        return json.load(file)["traceEvents"]


def steps_in(events) -> list[int]:
    return sorted(int(event["args"]["step_num"]) for event in events if event.get("name", "") == "train")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("25:20", "the first step comes after the last; use 20:25"),
        ("a:b", "give the first and the last step to trace, such as 20:25"),
        ("20", "give the first and the last"),
        ("-1:5", "give the first and the last"),
        ("2:3:4", "give the first and the last"),
        ("1:5", "the first step of a run compiles; start at step 2 or later"),
    ],
)
def test_steps_that_are_refused(text, message):
    with pytest.raises(ValueError, match=re.escape(f"--profile_steps {text}: {message}")):
        profiling.parse_steps(text)


def test_steps_beyond_the_end():
    assert profiling.parse_steps("20:25") == (20, 25)
    profiling.check_steps((20, 25), 25)
    profiling.check_steps(None, 25)
    with pytest.raises(ValueError, match="--profile_steps 20:25: the run ends with step 24"):
        profiling.check_steps((20, 25), 24)


def test_the_trace_names_the_steps_and_holds_all_their_computation(tmp_path):
    compute = jax.jit(lambda x: jnp.sin(x @ x))
    x = jnp.ones((500, 500))
    seen = []
    for step in profiling.steps(0, 6, (3, 4), tmp_path):
        seen.append(step)
        x = compute(x)  # not waited for
    assert seen == [1, 2, 3, 4, 5, 6]
    events = traced(tmp_path)
    assert steps_in(events) == [3, 4]
    assert sum(bool(re.fullmatch(r"(wrapped_)?sine(\.\d+)?", event.get("name", ""))) for event in events) == 2
    assert not [event for event in events if "compile" in event.get("name", "").lower()]


@pytest.mark.parametrize(
    ("start", "of_trace", "expected"),
    [(0, None, None), (10, (3, 4), None), (3, (3, 4), None), (3, (3, 6), [5, 6])],  # step 4 compiles
)
def test_a_continued_run_traces_the_remaining_steps(start, of_trace, expected, tmp_path):
    assert list(profiling.steps(start, 12, of_trace, tmp_path)) == list(range(start + 1, 13))
    assert (steps_in(traced(tmp_path)) if list(tmp_path.iterdir()) else None) == expected


def test_a_run_that_stops_early_leaves_a_trace_of_its_steps(tmp_path):
    for step in profiling.steps(0, 9, (2, 8), tmp_path):
        if step == 5:
            break
    assert steps_in(traced(tmp_path)) == [2, 3, 4, 5]


def test_only_the_first_process_traces(tmp_path, monkeypatch):
    monkeypatch.setattr(jax, "process_index", lambda: 1)
    assert list(profiling.steps(0, 3, (2, 3), tmp_path)) == [1, 2, 3]
    assert not list(tmp_path.iterdir())
