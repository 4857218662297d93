from vidjax.bench import recurrent


def test_an_lstm_is_compared_with_that_of_flax():
    result = recurrent.bench_recurrent(rounds=2, sizes=recurrent.Sizes(2, 3, 8, 4))
    for what in ("forward", "training step"):
        ours, theirs = result[f"{what}, vidjax"], result[f"{what}, nn.RNN"]
        assert ours["runs"] == theirs["runs"] == 2
        assert result[f"{what}, nn.RNN / vidjax"]["median"] == theirs["median"] / ours["median"]
