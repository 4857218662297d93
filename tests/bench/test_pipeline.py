from vidjax.bench import pipeline


def test_the_rate_and_the_memory_are_measured(monkeypatch):
    monkeypatch.setattr(pipeline, "VIDEO_FRAMES", 17)
    assert pipeline.bench_pipeline(rounds=1, clips=16)["vidjax"]["median"] > 0
    memory = pipeline.bench_memory(160)
    assert memory["clips read"] == 160 and len(memory["resident MB"]) == 20
