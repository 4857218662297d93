from vidjax.bench import pipeline


def test_records_are_compared(monkeypatch, tiny_motion):
    monkeypatch.setattr(pipeline, "STRIDES", (2,))
    result = pipeline.bench_records([tiny_motion], rounds=1, clips=8)
    assert result.keys() == {f"{tiny_motion.name} bytes per video", f"{tiny_motion.name} stride 2"}
    assert result[f"{tiny_motion.name} stride 2"]["median"] > 0


def test_the_rate_and_the_memory_are_measured(monkeypatch):
    monkeypatch.setattr(pipeline, "VIDEO_FRAMES", 17)
    assert pipeline.bench_pipeline(rounds=1, clips=16)["vidjax"]["median"] > 0
    memory = pipeline.bench_memory(160)
    assert memory["clips read"] == 160 and len(memory["resident MB"]) == 20
