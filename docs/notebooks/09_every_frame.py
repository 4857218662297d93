# %% [markdown]
# # 9 · Labelling every frame
#
# A long video holds many actions. We want to know *when* each happens: one label per frame. We compare a classifier of
# single frames with networks over time, and learn why per-frame accuracy is not enough.
#
# **Before you run it:** `pip install -e .` in the root of the repository. The videos are rendered.

# %%
from functools import partial

import jax
import matplotlib.pyplot as plt
import numpy as np

from vidjax import flow, losses, models, optimizer, step
from vidjax.data.synthetic import motion
from vidjax.evaluation import segments

plt.rcParams["figure.dpi"] = 80

# %% tags=["parameters"]
TRAIN, TEST = 48, 16  # videos
STEPS = 250  # training steps of each network
CLIPS, FRAMES, REST = 4, 16, 8  # motions per video, their length, and mean length of the rest before each
SIZE = 32

# %% [markdown]
# ## Videos with several motions
#
# Each video shows four motions of random classes, with rests of random length between them. Each frame has a label: one
# of eight motions, or rest.

# %%
NAMES = [*motion.CLASSES, "rest"]
COLOURS = np.concatenate([plt.cm.tab10([0, 1, 2, 3, 4, 5, 6, 9]), [[0.9, 0.9, 0.9, 1]]])  # rest is grey


def render(number):
    frames, labels = motion.concatenation(number, CLIPS, num_frames=FRAMES, size=SIZE, background=REST)
    return frames, np.array([8 if label < 0 else label for label in labels])


def timeline(axis, rows, title=""):
    """Draws rows of labels, (rows, frames), as coloured bars."""
    axis.imshow(COLOURS[np.stack(list(rows.values()))], aspect="auto", interpolation="nearest")
    axis.set_yticks(range(len(rows)), rows, fontsize=8)
    axis.set_title(title, fontsize=9)


def legend(figure, used):
    handles = [plt.Rectangle((0, 0), 1, 1, color=COLOURS[i]) for i in used]
    figure.legend(handles, [NAMES[i] for i in used], loc="outside lower center", ncols=5, fontsize=8)


frames, labels = render(3)
shown = np.linspace(0, len(frames) - 1, 12).astype(int)
figure = plt.figure(figsize=(10, 2.8), layout="constrained")
grid = figure.add_gridspec(2, 12, height_ratios=(2, 1))
for column, i in enumerate(shown):
    axis = figure.add_subplot(grid[0, column])
    axis.imshow(frames[i])
    axis.axis("off")
    axis.set_title(i, fontsize=8)
timeline(figure.add_subplot(grid[1, :]), {"label": labels})
legend(figure, np.unique(labels))
plt.show()

# %% [markdown]
# ## Features of a frame
#
# Real systems store the features of a large network (notebooks 1 and 6). Here five numbers are enough, and we can
# interpret each of them. We compute the optical flow from each frame to the next. From the flow we compute the speed,
# the mean motion to the right and down, and how much the moving points go *outwards* from their centre and *turn*
# around it.


# %%
@jax.jit
def flow_of(frames):
    return flow.of_video(frames, "farneback", num_levels=2)


def features_of(frames):
    """Features of each frame: float32 (T, 5)."""
    field = np.asarray(flow_of(frames))  # (T - 1, H, W, 2)
    field = np.concatenate([field, field[-1:]])
    u, v = field[..., 0], field[..., 1]
    speed = np.hypot(u, v)
    y, x = np.mgrid[:SIZE, :SIZE].astype(float)
    total = speed.sum((1, 2)) + 1e-3
    cx, cy = ((speed * place).sum((1, 2)) / total for place in (x, y))
    dx, dy = x - cx[:, None, None], y - cy[:, None, None]
    rows = [speed, 3 * u, 3 * v, (u * dx + v * dy) / 3, (v * dx - u * dy) / 3]
    return np.stack([row.mean((1, 2)) for row in rows], axis=1).astype(np.float32)


FEATURES = ("speed", "right", "down", "outwards", "turning")
videos = {
    split: [render(first + i) for i in range(count)]
    for split, first, count in (("train", 0, TRAIN), ("test", 10**6, TEST))
}
x = {split: np.stack([features_of(frames) for frames, _ in rows]) for split, rows in videos.items()}
y = {split: np.stack([labels for _, labels in rows]).astype(np.int32) for split, rows in videos.items()}
scale = np.quantile(np.abs(x["train"]), 0.9, axis=(0, 1))
x = {split: np.clip(values / scale, -2, 2) for split, values in x.items()}
print("training features", x["train"].shape, "labels", y["train"].shape)

figure, axes = plt.subplots(6, 1, figsize=(10, 5), sharex=True, layout="constrained")
for axis, name, row in zip(axes, FEATURES, x["test"][0].T, strict=False):
    axis.plot(row, lw=1)
    axis.axhline(0, color="grey", lw=0.5)
    axis.set_ylabel(name, rotation=0, ha="right", fontsize=8)
timeline(axes[5], {"label": y["test"][0]})
legend(figure, np.unique(y["test"][0]))
plt.show()

# %% [markdown]
# Follow one coloured bar upwards: which feature identifies this motion? The spikes are cuts, where one clip ends and
# the rest before the next clip begins: there the flow is meaningless.
#
# ## Four labellers
#
# | | sees |
# |---|---|
# | single frames | one frame: a linear classifier |
# | LSTM | this frame and all before it |
# | LSTM, both ways (bidirectional) | the whole video |
# | MS-TCN | the whole video; a second stage of dilated convolutions corrects the first |

# %%
SPEC = {"mean": [0.0] * 3, "std": [1.0] * 3}  # for frames; features are taken as they are
NETWORKS = {
    "single frames": models.make_model("frame_pool", 9, per_frame=True, dropout=0.0),
    "LSTM": models.make_model("frame_rnn", 9, hidden=32, per_frame=True, dropout=0.0),
    "LSTM, both ways": models.make_model("frame_rnn", 9, hidden=32, per_frame=True, bidirectional=True, dropout=0.0),
    "MS-TCN": models.make_model("ms_tcn", 9, num_stages=2, num_layers=5, channels=32, dropout=0.2),
}


def fit(model, loss):
    schedule = optimizer.make_schedule(learning_rate=5e-3, total_steps=STEPS, warmup_steps=STEPS // 10)
    tx = optimizer.make_optimizer("adamw", schedule, weight_decay=0.01, clip_norm=1.0)
    settings = {"model": model, "spec": SPEC, "tx": tx}
    update = jax.jit(partial(step.train_step, loss_fn=loss, has_logits=False, **settings))
    rng, state = np.random.default_rng(0), None
    for _ in range(STEPS):
        rows = rng.choice(TRAIN, min(8, TRAIN), replace=False)
        batch = {
            "features": x["train"][rows],
            "target": y["train"][rows],
            "weight": np.ones(y["train"][rows].shape, np.float32),
        }
        state = state or jax.jit(partial(step.init_state, **settings))(0, batch)
        state, _ = update(state, batch)
    return state


predicted = {}
for name, model in NETWORKS.items():
    loss = losses.segmentation if name == "MS-TCN" else losses.softmax_cross_entropy
    state = fit(model, loss)
    evaluate = jax.jit(partial(step.eval_step, model=model, spec=SPEC))
    predicted[name] = np.asarray(evaluate(state.params, state.model_state, {"features": x["test"]})).argmax(-1)

# %% [markdown]
# ## Accuracy is not enough
#
# Besides per-frame accuracy, it is common to measure *segments*, that is, consecutive frames with the same label:
#
# - **edit**: is the order of segments right, whatever their length?
# - **F1@50**: a predicted segment counts if it covers a true one of its class by half or more (intersection over
#   union).
# - **segments per true one**: predicted segments divided by true segments. 1 is right; more means that motions are cut
#   into pieces.

# %%
rows = {name: segments.segment_metrics(list(labels), list(y["test"])) for name, labels in predicted.items()}
keys = {
    "frame_accuracy": "accuracy of frames, %",
    "edit": "edit, %",
    "f1_50": "F1@50, %",
    "over_segmentation": "segments per true one",
}
print(f"{'':16}" + "".join(f"{title:>24}" for title in keys.values()))
for name, row in rows.items():
    print(f"{name:16}" + "".join(f"{row[key] * (1 if key == 'over_segmentation' else 100):24.1f}" for key in keys))

figure, axes = plt.subplots(1, 4, figsize=(10, 2.4), layout="constrained")
for axis, (key, title) in zip(axes, keys.items(), strict=True):
    factor = 1 if key == "over_segmentation" else 100
    bars = axis.barh(list(rows), [factor * row[key] for row in rows.values()])
    axis.bar_label(bars, fmt="%.1f", padding=-24, fontsize=8, color="white")
    axis.invert_yaxis()
    axis.set_title(title, fontsize=9)
    axis.tick_params(labelsize=8)
    if axis is not axes[0]:
        axis.set_yticks([])
plt.show()

# %% [markdown]
# **Look at** the first row. The classifier of single frames labels three of four frames correctly, yet it cuts the
# motions into pieces: 1.7 segments for each true one, and an F1@50 of 56 %. Anyone who counts events would be misled by
# its accuracy. The networks over time label more frames correctly, but above all they produce whole segments. They
# differ from each other by a few points only, on 16 videos and with one seed.

# %%
figure, axes = plt.subplots(3, 1, figsize=(10, 5.6), sharex=True, layout="constrained")
for i, axis in enumerate(axes):
    timeline(
        axis, {"truth": y["test"][i], **{name: labels[i] for name, labels in predicted.items()}}, f"test video {i}"
    )
legend(figure, range(9))
plt.show()

# %% [markdown]
# The classifier of single frames (second row of each video) labels the slow beginning of a growing shape as rest, makes
# random mistakes at the cuts, and changes its label within a motion. The LSTM often begins a motion late: it has to see
# part of the motion before it is confident, and cannot see the future. The boundaries of the networks that see the
# whole video are closer to the true ones.
#
# With your own videos: a CSV with `path,start,end,label` in seconds, `vidjax make-records segments.csv --untrimmed`,
# `vidjax features`, `vidjax train --config configs/segmentation.py:model=ms_tcn`, and `vidjax detect film.mp4`, which
# writes subtitles. See `docs/untrimmed.md`.
#
# ## Exercises
#
# 1. Smooth the labels of the single-frame classifier with a running majority over 7 frames. How close does it come to
#    the networks, in accuracy and in segments? Which motions does it lose?
# 2. The LSTM sees only the past. At which end of a motion are its mistakes? How many frames of delay would it need?
#    (Shift its labels and measure again.)
