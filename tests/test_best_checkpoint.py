import jax.numpy as jnp
import numpy as np
import pytest

from tests.test_checkpoint import abstract, state_of
from vidjax.best_checkpoint import BestCheckpoint, open_best_or_last
from vidjax.checkpoint import Checkpoints

LOSSES = {10: 0.9, 20: 0.5, 30: 0.7, 40: 0.4, 50: 0.4, 60: 0.8}
RUN = [*LOSSES]


def open_best(workdir, metric):
    return BestCheckpoint(Checkpoints(workdir / "checkpoints"), metric)


def offer(best, steps, values=LOSSES, name="val_loss"):
    for step in steps:
        best.offer(state_of(float(step)), {"step": step, "loss": 0.1, name: values[step]})
    return best


def chosen(best):
    params, _, step = best.choose(state_of(99.0), abstract(state_of(0.0)))
    best.close()
    assert params["layer"]["bias"][0] == step
    return step


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("val_loss", LOSSES, 40),  # of equal ones the first
        ("val_top1", {10: 0.2, 20: 0.6, 30: 0.6, 40: 0.1, 50: 0.5, 60: 0.0}, 20),
        ("val_top1", dict.fromkeys(RUN, 0.0), 10),
        ("val_loss", {**dict.fromkeys(RUN, np.nan), 30: 2.0}, 30),
    ],
)
def test_the_best_of_a_run(name, values, expected, tmp_path):
    best = offer(open_best(tmp_path, name), RUN, values, name)
    assert chosen(best) == expected
    assert [path.name for path in (tmp_path / "checkpoints_best").glob("[0-9]*")] == [str(expected)]


@pytest.mark.parametrize("killed", RUN)
@pytest.mark.parametrize("saved", [0, 20, 30])
def test_a_run_that_repeats_steps_keeps_the_same(killed, saved, tmp_path):
    """Killed after a validation, it goes on from an earlier checkpoint, while a later best one is there already."""
    offer(open_best(tmp_path, "val_loss"), RUN[: RUN.index(killed) + 1]).close()
    best = offer(open_best(tmp_path, "val_loss"), [step for step in RUN if min(saved, killed) < step])
    assert chosen(best) == 40


def test_without_a_metric_the_last_state_is_judged(tmp_path):
    best = offer(open_best(tmp_path, ""), RUN)
    params, _, step = best.choose(state_of(7.0), None)
    assert (step, params["layer"]["bias"][0]) == (7, 7)
    averaged, _, _ = best.choose(state_of(7.0, ema=True), None)
    assert averaged["layer"]["bias"][0] == 107
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoints"]


def test_averaged_parameters_are_chosen(tmp_path):
    best = open_best(tmp_path, "val_loss")
    best.offer(state_of(3.0, ema=True), {"step": 3, "val_loss": 0.5})
    params, stats, step = best.choose(state_of(5.0, ema=True), abstract(state_of(0.0, ema=True)))
    assert (step, params["layer"]["bias"][0]) == (3, 103)
    np.testing.assert_array_equal(stats["batch_stats"]["norm"]["mean"], jnp.full(3, 3.0))


def test_a_metric_that_validation_does_not_give(tmp_path):
    with pytest.raises(ValueError, match="keep_best = 'val_mAP': validation gives val_loss; choose one of them"):
        offer(open_best(tmp_path, "val_mAP"), RUN[:1])


def test_readers_open_the_best_unless_they_ask_for_another_step(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    place = lambda *arguments: (lambda found: (found[0].directory.name, found[1]))(open_best_or_last(*arguments))  # noqa: E731
    assert place(tmp_path, "val_loss") == ("checkpoints", "")  # before the first validation
    offer(open_best(tmp_path, "val_loss"), RUN).close()
    for at_step in (None, 40):
        assert place(tmp_path, "val_loss", at_step) == ("checkpoints_best", ", the best val_loss")
    assert place(tmp_path, "val_loss", 60) == place(tmp_path) == ("checkpoints", "")
