import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax import models

VARIANTS = {
    "single": {},
    "stacked": {"num_layers": 2, "cell": "gru"},
    "bidirectional": {"bidirectional": True},
    "cnn_rnn": {"kind": "cnn_rnn"},
    "conv_lstm": {"kind": "conv_lstm"},
    "tcn": {"kind": "tcn"},
}
WINDOW = jax.random.normal(jax.random.key(1), (2, 12, 1))


@pytest.mark.parametrize("name", VARIANTS)
def test_forecasts_are_relative_to_the_last_value(name):
    model = models.make_model("forecaster", 3, hidden=4, **VARIANTS[name])
    (outputs, ends), variables = jax.jit(model.init_with_output)(jax.random.key(0), WINDOW)
    assert outputs.shape == (2, 3) and len(ends["features"]) == 2
    raised, _ = model.apply(variables, WINDOW + 5)
    np.testing.assert_allclose(raised, outputs + 5, atol=1e-5)


@pytest.mark.parametrize("name", VARIANTS)
def test_every_value_counts(name):
    """The gradient of a forecast is zero for no value of the window."""
    model = models.make_model("forecaster", 1, hidden=8, **VARIANTS[name])
    variables = model.init(jax.random.key(0), WINDOW)
    gradient = jax.grad(lambda x: model.apply(variables, x)[0].sum())(WINDOW)
    assert (jnp.abs(gradient).sum((0, 2)) > 0).all()


def test_values_that_do_not_divide_are_left_out_at_the_start():
    model = models.make_model("forecaster", 1, kind="cnn_rnn", pieces=5)
    variables = model.init(jax.random.key(0), WINDOW)
    outputs, _ = model.apply(variables, WINDOW)
    changed, _ = model.apply(variables, WINDOW.at[:, :2].add(1))
    np.testing.assert_array_equal(outputs, changed)


def test_errors():
    with pytest.raises(ValueError, match="Unknown kind of forecast 'arima'; choose one of rnn, cnn_rnn, conv_lstm"):
        models.make_model("forecaster", 1, kind="arima")
    for window, arguments, message in (
        ((1, 12, 2), {}, r"A series is \(batch, time, 1\)"),
        ((1, 2, 1), {"kind": "cnn_rnn"}, "A window of 2 values is not cut into 3 pieces"),
        ((1, 0, 1), {}, "of at least one step"),
    ):
        model = models.make_model("forecaster", 1, **arguments)
        with pytest.raises(ValueError, match=message):
            jax.eval_shape(model.init, jax.random.key(0), jnp.zeros(window))
