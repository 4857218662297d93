# %% [markdown]
# # 10 · What each architecture can see
#
# An accuracy says how good a network is on one dataset. It does not say *why*. Here we ask directly: from which frames
# can an output get information at all, and what follows from that, whatever the training? We use datasets in which we
# vary one property, the *dial*, and in which we know what a network must see.
#
# **Before you run it:** `pip install -e .` in the root of the repository. The videos are rendered.

# %%
from functools import partial

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from vidjax import losses, models, optimizer, step
from vidjax.data.synthetic.sight.gap import GAP
from vidjax.data.synthetic.sight.order import CLASSES as ORDERS
from vidjax.data.synthetic.sight.order import ORDER

plt.rcParams["figure.dpi"] = 80

# %% tags=["parameters"]
TRAIN, TEST = 384, 192  # videos of a dataset
STEPS = 200  # training steps
GAPS = (0, 2, 8, 32)  # empty frames between the flashes

# %% [markdown]
# ## From which frames an output gets information
#
# We take networks over frame features with random parameters, ask for an output at the *middle* frame, and measure its
# gradient with respect to each frame of the input. Where it is zero, that frame has no influence, and no training can
# change this.

# %%
LENGTH, WIDTH = 33, 8
SPEC = {"mean": [0.0] * 3, "std": [1.0] * 3}  # for frames; features are taken as they are
LABELLERS = {
    "single frames": models.make_model("frame_pool", 4, per_frame=True),
    "causal TCN, 1 block": models.make_model("tcn", 4, channels=(16,), per_frame=True),
    "causal TCN, 3 blocks": models.make_model("tcn", 4, channels=(16,) * 3, per_frame=True),
    "TCN both ways, 2 blocks": models.make_model("tcn", 4, channels=(16,) * 2, causal=False, per_frame=True),
    "LSTM": models.make_model("frame_rnn", 4, hidden=16, per_frame=True),
    "LSTM both ways": models.make_model("frame_rnn", 4, hidden=16, per_frame=True, bidirectional=True),
}
rng = np.random.default_rng(0)
series = jnp.asarray(rng.normal(size=(1, LENGTH, WIDTH)), jnp.float32)


def influence(model):
    """Length of the gradient of the middle output with respect to each frame, as a share of the largest: (LENGTH,)."""
    variables = model.init(jax.random.key(0), features=series)

    def middle(x):
        return model.apply(variables, features=x)[0][0, LENGTH // 2].sum()

    lengths = jnp.linalg.norm(jax.jit(jax.grad(middle))(series)[0], axis=-1)
    return np.asarray(lengths / lengths.max())


rows = {name: influence(model) for name, model in LABELLERS.items()}
figure, axis = plt.subplots(figsize=(8.5, 2.4), layout="constrained")
shown = np.ma.masked_equal(np.stack(list(rows.values())), 0)
picture = axis.imshow(np.ma.log10(shown), aspect="auto", cmap="viridis", vmin=-6, vmax=0)
axis.set_facecolor("white")
axis.set_yticks(range(len(rows)), rows, fontsize=9)
axis.set_xticks((0, 8, 16, 24, 32), (-16, -8, "output", 8, 16))
axis.set_xlabel("frame")
figure.colorbar(picture, label="influence (log 10)")
plt.show()
for name, row in rows.items():
    seen = np.flatnonzero(row) - LENGTH // 2
    print(f"{name:24} sees frames {seen[0]:+d} to {seen[-1]:+d}")

# %% [markdown]
# White frames have no influence at all. A causal TCN sees a window of the past, and each block more than doubles the
# window. An LSTM sees all earlier frames, but with random parameters their influence fades with the distance. A
# bidirectional LSTM also sees the future. A live camera needs a causal network, because future frames do not exist yet.
#
# If the outputs are pooled over the whole video, the result is still only a sum of what each window sees. We test this
# next.
#
# ## The order of four flashes
#
# The first dataset: four coloured flashes in one of 24 orders. All classes have *the same frames*; only their order
# differs.


# %%
def render(dial, level, count, first):
    """Videos as the mean colour of each frame, float32 (count, T, 3), and their classes."""
    classes = np.arange(count, dtype=np.int32) % len(dial.classes)
    clips = (dial.clip(int(c), level, first + i).mean((1, 2)) for i, c in enumerate(classes))
    return (np.stack(list(clips)).astype(np.float32) - 110) / 60, classes


example = ORDER.clip(9, 2, 0)
figure, axis = plt.subplots(figsize=(8.5, 0.9), layout="constrained")
axis.imshow(np.concatenate(list(example), axis=1))
axis.set(xticks=[], yticks=[], xlabel="24 frames, one after the other")
axis.set_title(ORDERS[9].replace("_", ", "), fontsize=9)
plt.show()


# %%
def batch_of(x, y):
    return {"features": x, "target": y, "weight": np.ones(len(y), np.float32)}


def accuracy(model, train, test, learning_rate=5e-3):
    """Trains a network, and returns the share of right answers on the test videos, and the networks' function."""
    schedule = optimizer.make_schedule(learning_rate=learning_rate, total_steps=STEPS, warmup_steps=STEPS // 10)
    tx = optimizer.make_optimizer("adamw", schedule, clip_norm=1.0)
    settings = {"model": model, "spec": SPEC, "tx": tx}
    update = jax.jit(partial(step.train_step, loss_fn=losses.softmax_cross_entropy, **settings))
    state = jax.jit(partial(step.init_state, **settings))(0, batch_of(train[0][:32], train[1][:32]))
    rng = np.random.default_rng(0)
    for _ in range(STEPS):
        chosen = rng.choice(len(train[1]), 32, replace=False)
        state, _ = update(state, batch_of(train[0][chosen], train[1][chosen]))
    logits = jax.jit(partial(step.eval_step, model=model, spec=SPEC))(
        state.params, state.model_state, {"features": test[0]}
    )
    return float((np.asarray(logits).argmax(-1) == test[1]).mean())


train, test = render(ORDER, 2, TRAIN, 0), render(ORDER, 2, TEST, 10**6)
HEADS = {
    "mean of frames": {"name": "frame_pool", "dropout": 0.0},
    "max-min of frames": {"name": "frame_pool", "pool": "max_min", "dropout": 0.0},
    "TCN, mean of outputs": {"name": "tcn", "channels": (32, 32), "causal": False},
    "LSTM": {"name": "frame_rnn", "hidden": 64, "dropout": 0.0},
}
reached = {}
for name, arguments in HEADS.items():
    arguments = dict(arguments)
    model = models.make_model(arguments.pop("name"), len(ORDERS), **arguments)
    reached[name] = 100 * accuracy(model, train, test)
    print(f"{name:22} {reached[name]:5.1f} % of 24 orders")

plt.figure(figsize=(6, 1.9))
bars = plt.barh(list(reached), list(reached.values()))
plt.bar_label(bars, fmt="%.1f", padding=3)
plt.axvline(100 / 24, color="k", ls=":", label="guessing")
plt.gca().invert_yaxis()
plt.xlim(0, 112)
plt.xlabel("right, %")
plt.legend(fontsize=8)
plt.show()

# %% [markdown]
# **Look at** the two pooled networks. Chance, 1 in 24, is 4.2 %, and 192 guesses have a standard deviation of 1.4
# points. The pooled networks see a bag of frames that says nothing about the class, and no training can help. The LSTM
# reads the flashes one by one, and solves the task. The TCN is in between. Each of its windows of 13 frames sees the
# order of the flashes that fall into it, but the mean over all windows loses which pair came first.
#
# ## How far back: the gap
#
# The second dataset: three flashes, and the class is their *cyclic* order, blue-green-red or blue-red-green. The dial
# is the number of empty frames between them. The flashes come at random times and the cycle begins with any colour, so
# a single flash says nothing about the class, not even the last one. This gives a law:
#
# **A network whose outputs see fewer frames than the gap is at chance, whatever its training.**

# %%
figure, axes = plt.subplots(len(GAPS), 1, figsize=(8.5, 0.75 * len(GAPS)), squeeze=False, layout="constrained")
for axis, gap in zip(axes[:, 0], GAPS, strict=True):
    axis.imshow(np.repeat(GAP.clip(0, gap, 1).mean((1, 2))[None] / 255, 8, axis=0), aspect="auto")
    axis.set(xticks=[], yticks=[])
    axis.set_ylabel(f"gap {gap}", rotation=0, ha="right", va="center", fontsize=9)
axis.set_xlabel("192 frames")
plt.show()

# %%
FIELDS = {
    f"TCN, sees {model.receptive_field} frames": model
    for model in (models.make_model("tcn", 2, channels=(16,) * n, kernel_size=3, causal=False) for n in (1, 2, 4))
}
networks = {**FIELDS, "LSTM, sees all": models.make_model("frame_rnn", 2, hidden=32, dropout=0.0)}
curves = {name: [] for name in networks}
for gap in GAPS:
    train, test = render(GAP, gap, TRAIN, 0), render(GAP, gap, TEST, 10**6)
    for name, model in networks.items():
        curves[name].append(100 * accuracy(model, train, test))
for name, values in curves.items():
    print(f"{name:22}", "  ".join(f"gap {gap}: {value:5.1f} %" for gap, value in zip(GAPS, values, strict=True)))

plt.figure(figsize=(6.5, 2.8))
for name, values in curves.items():
    plt.plot(range(len(GAPS)), values, "o-", label=name)
plt.axhline(50, color="k", ls=":", label="guessing")
plt.xticks(range(len(GAPS)), GAPS)
plt.xlabel("gap, frames")
plt.ylabel("right, %")
plt.ylim(30, 103)
plt.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
plt.show()

# %% [markdown]
# **Look at** where each curve meets 50 %; 192 guesses have a standard deviation of 3.6 points. The dial sets the
# smallest gap. The flashes begin at random times, so a gap may be up to 14 frames longer (4 at dial 2). The window of 5
# frames still bridges some gaps at dial 2, and none at dial 8. The window of 13 frames solves dial 2, and is at chance
# at dial 8. No training could help the first at dial 8, nor the second at dial 32.
#
# The other half of the lesson is the window of 61 frames. At dial 32 it *could* see two flashes at a time, but in these
# 200 steps it learned nothing. The LSTM, which could see all three, learned part of the task. What a network cannot
# see, no training can teach it. What it can see, it still has to learn.
#
# Other datasets with dials (`vidjax.data.synthetic.sight`) test the motion of pure noise, the speed that a network can
# follow, small objects, and counting. `vidjax summary CONFIG` lists the receptive field of every layer of a network.
#
# ## Exercises
#
# 1. At the largest gap, the LSTM makes mistakes. Is this because it *cannot* see, or because it did not *learn*? Train
#    it longer, or first on a small gap and then on larger ones. Do the same with the TCN that sees 61 frames.
# 2. What is the smallest number of TCN blocks that can solve a gap of 32? Work it out from the receptive field (each
#    block doubles the dilation), then try it.
