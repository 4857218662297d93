import pytest

from vidjax.training import timing


class FakeTime:
    """A clock that is set by hand."""

    def __init__(self, monkeypatch):
        self.now = 0.0
        monkeypatch.setattr(timing.time, "perf_counter", lambda: self.now)

    def batches(self, *seconds):
        """Yields batches after these waiting times."""
        for wait in seconds:
            self.now += wait
            yield None


@pytest.fixture
def clock(monkeypatch):
    return FakeTime(monkeypatch)


def started():
    shown = timing.Clock()
    shown.start(8, 32, 0, 10)
    return shown


def test_the_first_step_evaluations_and_saving_are_no_part_of_a_step(clock):
    shown = started()
    batches = clock.batches(5, 3, 1)
    shown.next_batch(batches)
    clock.now = 100  # it compiles
    shown.step_done({})
    assert shown.metrics() == {} and shown.clips_per_second() is None
    shown.next_batch(batches)  # to 103
    clock.now += 1
    shown.step_done({})
    with shown.during("computing"):
        clock.now += 10  # to 114
    with shown.during("evaluating"):
        clock.now += 50
    with shown.during("saving"):
        clock.now += 2
    shown.next_batch(batches)  # to 167
    shown.step_done({})
    clock.now += 3  # to 170: 50 of the 70 seconds are the evaluation
    assert shown.metrics() == {
        "clips_per_second": 2 * 8 / 20,
        "waiting_for_data": 4 / 20,
        "step_ms": 9000,
        "data_wait_ms": 2000,
        "device_wait_ms": 5000,
        "host_ms": 2000,
    }


def test_parts_are_those_of_the_steps_since_the_line_before(clock):
    shown = started()
    batches = clock.batches(1, 1, 3, 3)
    for _ in range(2):
        shown.next_batch(batches)
        shown.step_done({})
    assert shown.metrics()["data_wait_ms"] == 1000
    assert shown.metrics() == {}  # no step since
    for _ in range(2):
        shown.next_batch(batches)
        shown.step_done({})
    with shown.during("computing"):
        clock.now += 4
    found = shown.metrics()
    assert (found["data_wait_ms"], found["device_wait_ms"], found["host_ms"]) == (3000, 2000, 0)
    assert found["waiting_for_data"] == 7 / 11


def test_the_status_has_the_available_parts(clock):
    shown = timing.Clock()
    clock.now = 2
    assert shown.status() == "starting for 2.0 s"
    shown.start(8, 32, 4, 10)
    batches = clock.batches(1, 1)
    shown.next_batch(batches)
    assert shown.status() == "step 4 of 10, epoch 1.00, compiling for 0.0 s"
    shown.step_done({})
    shown.next_batch(batches)
    shown.step_done({})
    shown.logged({"step": 6, "loss": 0.123456})
    with shown.during("saving"):
        clock.now += 1
        text = "step 6 of 10, epoch 1.50, loss 0.1235 at step 6, 4.0 clips/s, last step 1.0 s ago, saving for 1.0 s"
        assert shown.status() == text
    assert shown.status().endswith("between steps for 0.0 s")
    with shown.during("evaluating"):
        clock.now += 90
        assert "4.0 clips/s" in shown.status()


def test_the_previous_activity_returns_after_an_error():
    shown = timing.Clock()
    with pytest.raises(KeyError), shown.during("saving"):
        raise KeyError
    assert shown.doing == "starting"
