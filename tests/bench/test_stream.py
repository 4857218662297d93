from vidjax.bench import stream


def test_time_and_memory_along_a_stream(monkeypatch):
    arguments = {"width": 0.0625, "causal": True}
    monkeypatch.setattr(stream, "STREAMED", {"r3d": ("r3d_18", arguments), "tcn": ("tcn", stream.SMALL)})
    result = stream.bench_stream(40)
    assert {"r3d, first tenth", "r3d, last tenth", "tcn, live kB"} <= set(result)
    assert 0 < result["r3d, live kB"]["min"] == result["r3d, live kB"]["max"]


def test_the_frames_that_a_skip_lstm_uses_are_counted(monkeypatch):
    monkeypatch.setattr(stream, "SKIPPING", stream.SMALL)
    result = stream.bench_skipping(rounds=1, num_frames=9, size=32)
    assert (result["frames used, all"], result["frames used, one of 4"]) == (9, 3)  # 0, 4 and 8
    assert result["skip lstm, all / skipping"]["median"] > 0
