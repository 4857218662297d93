from vidjax.bench import recurrent


def test_an_lstm_is_compared_with_that_of_flax(monkeypatch):
    for name, size in {"SEQUENCES": 2, "STEPS": 3, "WIDTH_IN": 8, "WIDTH_OUT": 4}.items():
        monkeypatch.setattr(recurrent, name, size)
    result = recurrent.bench_recurrent(rounds=2)
    for what in ("forward", "training step"):
        ours, theirs = result[f"{what}, vidjax"], result[f"{what}, nn.RNN"]
        assert ours["runs"] == theirs["runs"] == 2
        assert result[f"{what}, nn.RNN / vidjax"]["median"] == theirs["median"] / ours["median"]
