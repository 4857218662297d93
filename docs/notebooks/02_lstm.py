# %% [markdown]
# # 2 · LSTMs on numbers: variants, and what a state is for
#
# Recurrent networks are easiest to understand on numbers, before any video is involved. We forecast two series, compare
# the usual variants of the LSTM, and then look at the difference between a *stateless* and a *stateful* network.
#
# **Before you run it:** `pip install -e .` in the root of the repository. No data is needed.

# %%
from functools import partial

import jax
import matplotlib.pyplot as plt
import numpy as np

from vidjax import losses, models, optimizer, step
from vidjax.data.synthetic import series

plt.rcParams["figure.dpi"] = 80

# %% tags=["parameters"]
STEPS = 300  # training steps of each forecaster
SEEDS = 3  # networks per variant: one run says little
HIDDEN = 32
CUE_STEPS = 400  # training steps of the stateful and the stateless network

SPEC = {"mean": [0.0] * 3, "std": [1.0] * 3}  # how to normalise frames; series and features are taken as they are

# %% [markdown]
# ## The training loop
#
# A batch is a dictionary: inputs by name, `target`, and `weight` (zero marks padding). `vidjax.train` calls the same
# function, `step.train_step`. We train several seeds at once: `jax.vmap` adds an axis to the state.


# %%
def fit(model, batch, steps, seeds=1, learning_rate=5e-3):
    """Trains one network per seed on the whole training set in each step."""
    schedule = optimizer.make_schedule(learning_rate=learning_rate, total_steps=steps, warmup_steps=steps // 10)
    tx = optimizer.make_optimizer("adamw", schedule, weight_decay=0.01, clip_norm=1.0)
    settings = {"model": model, "spec": SPEC, "tx": tx}
    state = jax.jit(jax.vmap(partial(step.init_state, **settings), (0, None)))(np.arange(seeds), batch)
    update = jax.jit(jax.vmap(partial(step.train_step, loss_fn=losses.squared_error, **settings), (0, None)))
    for _ in range(steps):
        state, _ = update(state, batch)
    return state


def forecast(model, state, windows):
    """Forecasts of all seeds: (seeds, windows)."""
    of_one = partial(step.eval_step, model=model, spec=SPEC)
    return np.asarray(jax.vmap(of_one, (0, 0, None))(state.params, state.model_state, {"features": windows}))[..., 0]


def batch_of(pairs):
    """Windows and their next value, as a batch: features (B, T, 1), target (B, 1)."""
    past, future = (np.stack(x).astype(np.float32) for x in zip(*pairs, strict=True))
    return {"features": past[..., None], "target": future, "weight": np.ones(len(past), np.float32)}


# %% [markdown]
# ## Number steps
#
# 10, 20, 30 → 40; 20, 30, 40 → 50; ... and then 70, 80, 90 → ? The training set ends at 60. We give the same LSTM the
# numbers in two ways:
#
# - **absolute**: the standardised numbers as they are (`frame_rnn`);
# - **relative**: minus the last value of the window (`forecaster`), which is added to the forecast.

# %%
steps = series.read("steps")
scaler = series.Scaler.fit(steps.values[:6])
scaled = scaler.apply(steps.values)
train = batch_of(series.windows(scaled, 3, 1, range(6)))
test = batch_of([(scaled[i : i + 3], scaled[i + 3 : i + 4]) for i in range(7)])

guesses = {}
for name, model in {
    "absolute": models.make_model("frame_rnn", 1, hidden=HIDDEN, dropout=0.0),
    "relative": models.make_model("forecaster", 1, hidden=HIDDEN),
}.items():
    guesses[name] = scaler.invert(forecast(model, fit(model, train, STEPS), test["features"]))[0]

# %%
truth = scaler.invert(test["target"][:, 0])
plt.figure(figsize=(5, 3))
plt.plot(truth, truth, "k:", label="truth")
for name, guess in guesses.items():
    plt.plot(truth, guess, "o-", label=name)
plt.axvline(60, color="grey", lw=0.8)
plt.text(61, 41, "not trained on", color="grey")
plt.xlabel("true next number")
plt.ylabel("forecast")
plt.legend()
plt.show()
print("70, 80, 90 ->", {name: round(float(guess[-1]), 1) for name, guess in guesses.items()})

# %% [markdown]
# **Look at** the right half. The absolute LSTM bends away from the diagonal where the numbers leave the range that it
# was trained on. In the end its forecast does not rise at all, because its state is bounded by a tanh. The relative
# LSTM has seen exactly these windows before: all of them are -20, -10, 0. What a network sees can matter more than the
# type of its cell.
#
# ## Airline passengers
#
# The series is the number of passengers per month, 1949 to 1960 (Box and Jenkins). It grows, it has a yearly season,
# and the season grows too. So we take logarithms, and forecast one month from the twelve before. The last third of the
# series is for testing.

# %%
WINDOW = 12
airline = series.read("airline")
test_months = airline.splits["test"]
first = test_months.start
scaler = series.Scaler.fit(airline.values[:first], log=True)
scaled = scaler.apply(airline.values)
train = batch_of(series.windows(scaled, WINDOW, 1, range(first)))
test = batch_of(series.windows(scaled, WINDOW, 1, test_months))
baselines = series.baselines(airline, WINDOW, 1, 12)
print(len(train["target"]), "training windows,", len(test["target"]), "test windows")
print("Errors without learning:", {name: round(error, 1) for name, error in baselines.items()})

# %% [markdown]
# The variants, all with the same data and number of steps:
#
# | variant | idea |
# |---|---|
# | single | one LSTM layer |
# | wide | one layer of twice the size |
# | stacked | two layers, the second reads the first |
# | bidirectional | a second LSTM reads the window backwards |
# | CNN-LSTM | the window is cut into 3 pieces; a convolution summarises each, the LSTM reads the summaries |
# | ConvLSTM | the same pieces; the LSTM's own products are convolutions |

# %%
VARIANTS = {
    "single": {"kind": "rnn"},
    "wide": {"kind": "rnn", "hidden": 2 * HIDDEN},
    "stacked": {"kind": "rnn", "num_layers": 2},
    "bidirectional": {"kind": "rnn", "bidirectional": True},
    "CNN-LSTM": {"kind": "cnn_rnn"},
    "ConvLSTM": {"kind": "conv_lstm", "hidden": HIDDEN // 2},
}
passengers = airline.values[test_months.start : test_months.stop]
forecasts, errors, sizes = {}, {}, {}
for name, arguments in VARIANTS.items():
    model = models.make_model("forecaster", 1, **{"hidden": HIDDEN, **arguments})
    state = fit(model, train, STEPS, SEEDS)
    forecasts[name] = scaler.invert(forecast(model, state, test["features"]))
    errors[name] = np.sqrt(np.square(forecasts[name] - passengers).mean(1))
    sizes[name] = sum(x.size for x in jax.tree.leaves(state.params)) // SEEDS
    print(f"{name:14} {sizes[name]:6,} parameters  error {errors[name].mean():5.1f} ± {errors[name].std():.1f}")

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.2), width_ratios=(3, 2), layout="constrained")
best = min(errors, key=lambda name: errors[name].mean())
left.plot(range(first - 24, first + 1), airline.values[first - 24 : first + 1], color="grey", label="training")
left.plot(test_months, passengers, "k", lw=3, alpha=0.4, label="test")
for name in dict.fromkeys(("single", best)):
    left.plot(test_months, forecasts[name].mean(0), label=name)
left.set(xlabel="month", ylabel="thousands of passengers")
left.legend()
right.barh(list(errors), [e.mean() for e in errors.values()], xerr=[e.std() for e in errors.values()], color="C0")
for name, error in zip(("month before", "year before"), baselines.values(), strict=True):
    right.axvline(error, color="k", ls=":")
    right.text(error - 0.4, 2.5, name, rotation=90, ha="right", va="center", fontsize=8)
right.invert_yaxis()
right.set(title="root mean square error (thousands)")
plt.show()

# %% [markdown]
# **Look at** the bars, and at the standard deviation over the three seeds (black). Every variant beats both baselines,
# the month before and the same month of the year before. More units or a second layer do *not* help here: with 84
# training windows, the single, the wide and the stacked LSTM differ by less than the seeds of each. Reading the window
# in both directions helps, and cutting it into three pieces of four months helps most.
#
# A warning: for this lesson, we compared the variants on the test years. For a result to publish, choose on a
# validation split and use the test split once, as `configs/forecast_airline.py` describes.
#
# ## Stateless and stateful
#
# A long sequence is often cut into pieces. A *stateless* network starts each piece from zeros. A *stateful* one passes
# its state from piece to piece. To see the difference, we need a task that requires memory: the first step of a
# sequence is a cue, +1 or -1; after that there is only noise. The target in every step is the cue.

# %%
PIECES, LENGTH, BATCH = 6, 8, 32


def cue_sequences(seed):
    """Sequences in pieces: inputs (pieces, B, length, 1), and the class of each step (pieces, B, length)."""
    rng = np.random.default_rng(seed)
    cue = rng.integers(2, size=BATCH)
    x = rng.normal(scale=0.3, size=(BATCH, PIECES * LENGTH, 1)).astype(np.float32)
    x[:, 0, 0] = 2.0 * cue - 1
    pieces = x.reshape(BATCH, PIECES, LENGTH, 1).swapaxes(0, 1)
    return pieces, np.broadcast_to(cue[None, :, None], (PIECES, BATCH, LENGTH)).astype(np.int32)


inputs, classes = cue_sequences(0)
plt.figure(figsize=(8, 2))
for cue in (0, 1):
    row = np.flatnonzero(classes[0, :, 0] == cue)[0]
    plt.plot(inputs[:, row, :, 0].ravel(), label=f"cue {2 * cue - 1:+d}")
plt.legend(fontsize=8)
for i in range(PIECES):
    plt.axvline(i * LENGTH - 0.5, color="grey", lw=0.8)
plt.title("two sequences; the lines separate the pieces")
plt.xlabel("step")
plt.show()

# %% [markdown]
# Batch i + 1 continues batch i, row by row. `sequence_start` says which rows begin a new sequence. The state is in
# `state.model_state["carry"]`. Gradients stay within a piece ("truncated backpropagation through time").


# %%
def fit_in_pieces(model):
    """Trains on sequences in pieces; the batches of a sequence follow each other."""
    schedule = optimizer.make_schedule(learning_rate=1e-2, total_steps=CUE_STEPS, warmup_steps=CUE_STEPS // 10)
    tx = optimizer.make_optimizer("adamw", schedule, clip_norm=1.0)
    settings = {"model": model, "spec": SPEC, "tx": tx}
    update = jax.jit(partial(step.train_step, loss_fn=losses.softmax_cross_entropy, **settings))
    state = None
    for i in range(CUE_STEPS):
        sequence, piece = divmod(i, PIECES)
        x, target = cue_sequences(sequence)
        start = np.full(BATCH, float(piece == 0), np.float32)
        weight = np.ones((BATCH, LENGTH), np.float32)
        batch = {"features": x[piece], "target": target[piece], "weight": weight, "sequence_start": start}
        state = state or jax.jit(partial(step.init_state, **settings))(0, batch)
        state, _ = update(state, batch)
    return state


def accuracy_by_step(model, state, sequences=20):
    """Share of right answers at each step of new sequences: (PIECES * LENGTH,)."""
    right = []
    for seed in range(sequences):
        carry, of_sequence = {}, []
        for x, target in zip(*cue_sequences(10**6 + seed), strict=True):
            outputs, _, carry = run(model)(state.params, state.model_state, carry, {"features": x})
            of_sequence.append((np.asarray(outputs).argmax(-1) == target).mean(0))
        right.append(np.concatenate(of_sequence))
    return np.mean(right, axis=0)


@partial(jax.jit, static_argnums=0)
def apply(model, params, model_state, carry, batch):
    return step.carried_step(params, model_state, carry, batch, model=model, spec=SPEC)


def run(model):
    return partial(apply, model)


plt.figure(figsize=(8, 2.6))
for name, stateful in (("stateless", False), ("stateful", True)):
    model = models.make_model("frame_rnn", 2, hidden=16, per_frame=True, dropout=0.0, stateful=stateful)
    accuracy = accuracy_by_step(model, fit_in_pieces(model))
    plt.plot(100 * accuracy, label=name)
    early, later = 100 * accuracy[:LENGTH].mean(), 100 * accuracy[LENGTH:].mean()
    print(f"{name}: {early:.1f} % in the first piece, {later:.1f} % after it")
for i in range(PIECES):
    plt.axvline(i * LENGTH - 0.5, color="grey", lw=0.8)
plt.xlabel("step")
plt.ylabel("right answers, %")
plt.ylim(40, 103)
plt.legend()
plt.show()

# %% [markdown]
# **Look at** the first line. Within the first piece, both networks know the cue. Then the stateless network starts
# again from zeros and can only guess, 50 %. The stateful network knows the cue until the end, although no gradient ever
# crossed the boundary between pieces. Within the first piece it learns to keep the cue, and that is enough.
#
# With records and commands, set `--config.model.stateful=True --config.clip.sampling=chunks`. For the airline series,
# run `vidjax series airline --log --out data/airline`, then `vidjax train --config
# configs/forecast_airline.py:variant=stacked --workdir runs/airline`.
#
# ## Exercises
#
# 1. Forecast the airline without logarithms (`log=False`). Which part of the test suffers most, and why?
# 2. In the cue task, make the pieces of the stateful network shorter in training than in the test (`LENGTH = 4`, then
#    16). Does it still remember? What would have to change for a network that must connect events 100 steps apart?
