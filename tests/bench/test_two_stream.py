from vidjax.bench import two_stream
from vidjax.data.synthetic import motion


def test_stored_flow_is_compared_with_computed_flow(monkeypatch):
    monkeypatch.setattr(two_stream, "STORED", {"farneback": "opencv_farneback"})
    monkeypatch.setattr(two_stream, "BATCH", 2)
    monkeypatch.setattr(two_stream, "NETWORK", {"backbone": {"name": "small_cnn", "width": 1 / 8}})
    result = two_stream.bench_two_stream(1, size=32)
    ours, theirs = "computed, farneback", "stored, opencv_farneback"
    assert set(result) == {ours, theirs, f"{theirs} / {ours}", "logits apart, farneback, %"}
    assert result[f"{theirs} / {ours}"]["median"] > 0
    assert 0 < result["logits apart, farneback, %"] < 20


def test_flow_is_of_the_same_frames():
    batches = two_stream.drawn_batches(32)
    stored, computed = batches["stored, opencv_farneback"], batches["computed, farneback"]
    assert stored["flow"].shape == (16, 10, 32, 32, 2) and computed["video"].shape == (16, 11, 32, 32, 3)
    left, right = (stored["flow"][motion.CLASSES.index(name), ..., 0].astype(float) for name in ("left", "right"))
    assert left.mean() < 127 < 128 < right.mean()
