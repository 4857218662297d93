import json
import time

import pytest

from vidjax.training import metrics_log


def test_the_log_drops_lines_after_the_step_to_continue_from(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(json.dumps({"step": i}) + "\n" for i in range(1, 6)) + '{"step": 6, "lo')
    log = metrics_log.MetricsLog(path, start_step=3)
    assert [line["step"] for line in log.lines()] == [1, 2, 3]
    before = time.time()
    log.write({"step": 4})
    assert [line["step"] for line in log.lines()] == [1, 2, 3, 4]
    assert before - 0.001 <= log.lines()[-1]["time"] <= time.time() + 0.001


def test_a_damaged_log_is_named(tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"step": 1}\n\0\0\n')
    with pytest.raises(ValueError, match=r"metrics.jsonl cannot be read: Expecting value.*\. Remove the damaged lines"):
        metrics_log.MetricsLog(tmp_path / "metrics.jsonl", start_step=1)


def test_values_that_are_not_finite():
    def schedule(step):
        return {6: 0.1}[step]  # called only if needed

    assert metrics_log.not_finite(1, {"loss": 1.0, "grad_norm": 1.0}, schedule, 0) is None
    for metrics in ({"loss": float("nan"), "grad_norm": 1.0}, {"loss": 1.0, "grad_norm": float("inf")}):
        text = metrics_log.not_finite(7, metrics, schedule, 5)
        assert "Step 7:" in text and "learning rate 0.1." in text and "checkpoint is of step 5" in text
        assert "none: no step was saved yet" in metrics_log.not_finite(7, metrics, schedule, 0)


def test_the_bar_shows_the_available_metrics(capsys):
    bar = metrics_log.progress_bar(10, 2, "i3d")
    metrics_log.show(bar, {"loss": 0.5, "clips_per_second": 12.3, "waiting_for_data": 0.25})
    bar.close()
    assert bar.postfix == "loss 0.500, 12 clips/s, 25% waiting for data"
