# %% [markdown]
# # 7 · A basic CNN on images: the training loop, curves, overfitting
#
# An image is a video of one frame. Before we classify videos, we train a small convolutional network on handwritten
# digits, write out the whole training loop once, and learn to read its curves.
#
# **Before you run it:** `pip install -e .` in the root of the repository. The 1,797 digits come with scikit-learn.

# %%
from functools import partial

import jax
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

from vidjax import losses, models, optimizer, step

plt.rcParams["figure.dpi"] = 80

# %% tags=["parameters"]
STEPS = 240  # training steps of each network
BATCH = 32
FEW, MANY = 60, 1200  # images in the small and in the large training set
WIDTH = 0.5  # multiplies the channels of every layer

# %% [markdown]
# ## The images
#
# The digits have 8x8 pixels; our network needs 32x32, so each pixel becomes a square of 4x4. All videos in vidjax have
# the shape (batch, time, height, width, channels), and stay uint8 until they are on the device.

# %%
digits = load_digits()
images = np.kron(digits.images * 15.9, np.ones((1, 4, 4))).astype(np.uint8)
images = np.repeat(images[:, None, :, :, None], 3, axis=-1)
labels = digits.target.astype(np.int32)
order = np.random.default_rng(0).permutation(len(labels))
images, labels = images[order], labels[order]
test_images, test_labels = images[-400:], labels[-400:]
print("images", images.shape, images.dtype, "| labels", labels.shape)

figure, axes = plt.subplots(1, 10, figsize=(10, 1.4))
for axis, image, label in zip(axes, images[:, 0], labels, strict=False):
    axis.imshow(image)
    axis.set_title(label)
    axis.axis("off")
plt.show()

# %% [markdown]
# ## The network
#
# `small_cnn` has five 3x3 convolutions, three max-pooling layers, and two fully connected layers. Early layers have few
# parameters and see small patches; each pooling layer roughly doubles the patch that one unit sees.

# %%
SPEC = {"mean": [127.5] * 3, "std": [127.5] * 3}  # uint8 -> -1..1, on the device
model = models.make_model("small_cnn", 10, width=WIDTH)
blank = {"video": images[:1], "target": labels[:1], "weight": np.ones(1, np.float32)}
params, _ = jax.jit(partial(step.init_variables, model=model, spec=SPEC))(0, blank)
for name, layer in sorted(params.items()):
    print(f"{name:12} {str(layer['kernel'].shape):18} {sum(x.size for x in layer.values()):7,} parameters")

# %% [markdown]
# ## The loop
#
# This is the loop of `vidjax/train.py`, without reading or writing files: a schedule, an optimizer, a state, and one
# function that maps (state, batch) to (state, metrics). It is compiled once and called many times. Every few steps we
# measure the loss on the test set, which never influences the training.


# %%
def batch_of(images, labels):
    return {"video": images, "target": labels, "weight": np.ones(len(labels), np.float32)}


@partial(jax.jit, static_argnums=0)
def logits_of(model, params, model_state, batch):
    return step.eval_step(params, model_state, batch, model=model, spec=SPEC)


def measure(model, state, images, labels):
    """Mean loss and accuracy of a set, in batches of one shape."""
    size, logits = 200, []
    for start in range(0, len(labels), size):
        part = np.resize(np.arange(start, min(start + size, len(labels))), size)
        of_part = logits_of(model, state.params, state.model_state, batch_of(images[part], labels[part]))
        logits.append(np.asarray(of_part)[: len(labels) - start])
    logits = np.concatenate(logits)
    loss = losses.softmax_cross_entropy(logits, labels).mean()
    return float(loss), float((logits.argmax(1) == labels).mean())


def fit(model, images, labels, seed=0):
    """Trains; returns the state, and rows (step, training loss, training accuracy, test loss, test accuracy)."""
    schedule = optimizer.make_schedule("constant", learning_rate=2e-3, total_steps=STEPS, warmup_steps=STEPS // 10)
    tx = optimizer.make_optimizer("adamw", schedule, weight_decay=0.01)
    settings = {"model": model, "spec": SPEC, "tx": tx}
    update = jax.jit(partial(step.train_step, loss_fn=losses.softmax_cross_entropy, **settings))
    state = jax.jit(partial(step.init_state, **settings))(seed, batch_of(images[:BATCH], labels[:BATCH]))
    rng, rows = np.random.default_rng(seed), []
    for i in range(1, STEPS + 1):
        chosen = rng.choice(len(labels), BATCH, replace=False)
        state, _ = update(state, batch_of(images[chosen], labels[chosen]))
        if i % max(1, STEPS // 12) == 0:
            seen = slice(0, 200)  # at most 200 training images, to save time
            rows.append(
                (
                    i,
                    *measure(model, state, images[seen], labels[seen]),
                    *measure(model, state, test_images, test_labels),
                )
            )
    return state, np.array(rows)


# %% [markdown]
# ## Curves: few and many images
#
# We train the same network for the same number of steps; only the size of the training set differs.

# %%
few_state, few = fit(model, images[:FEW], labels[:FEW])
many_state, many = fit(model, images[:MANY], labels[:MANY])
dropout_model = models.make_model("small_cnn", 10, width=WIDTH, dropout=0.3)
_, regularised = fit(dropout_model, images[:FEW], labels[:FEW])


# %%
def draw(runs):
    figure, axes = plt.subplots(
        2, len(runs), figsize=(3.4 * len(runs), 4.6), sharex=True, sharey="row", layout="constrained"
    )
    for (top, bottom), (title, rows) in zip(axes.T, runs.items(), strict=True):
        top.semilogy(rows[:, 0], rows[:, 1], label="training")
        top.semilogy(rows[:, 0], rows[:, 3], label="test")
        bottom.plot(rows[:, 0], 100 * rows[:, 2])
        bottom.plot(rows[:, 0], 100 * rows[:, 4])
        top.set_title(title)
        bottom.set_xlabel("step")
    axes[0, 0].set_ylabel("loss (log scale)")
    axes[1, 0].set_ylabel("accuracy, %")
    axes[0, 0].legend()
    plt.show()


runs = {f"{FEW} images": few, f"{MANY} images": many, f"{FEW} images, dropout 0.3": regularised}
draw(runs)
for title, rows in runs.items():
    print(f"{title:24} training {100 * rows[-1, 2]:5.1f} %, test {100 * rows[-1, 4]:5.1f} %; "
          f"loss {rows[-1, 1]:.4f} and {rows[-1, 3]:.2f}")  # fmt: skip

# %% [markdown]
# **Look at** the gap between the two curves.
#
# - **60 images**: the network has memorised them after 40 steps, and its training loss continues to fall by orders of
#   magnitude. The test accuracy stops at 80 %, and the test loss no longer falls: the network also becomes more
#   confident in its mistakes. This is overfitting.
# - **1200 images**: both curves fall together, and the test accuracy is 96 %. More data is the best cure.
# - **dropout**: it slows the training down, and the test *loss* is about half: the network is less confident in its
#   mistakes. The test *accuracy* does not rise.
#
# ## What it gets wrong
#
# A confusion matrix says more than one number: rows are true digits, columns predictions.


# %%
def predictions(state):
    parts = [batch_of(test_images[i : i + 200], test_labels[i : i + 200]) for i in (0, 200)]
    return np.concatenate([logits_of(model, state.params, state.model_state, part) for part in parts]).argmax(1)


figure, axes = plt.subplots(1, 2, figsize=(7.5, 3.6), layout="constrained")
for axis, (title, state) in zip(axes, {f"{FEW} images": few_state, f"{MANY} images": many_state}.items(), strict=True):
    counts = np.zeros((10, 10), int)
    np.add.at(counts, (test_labels, predictions(state)), 1)
    axis.imshow(counts, cmap="Blues")
    for i, j in zip(*np.nonzero(counts), strict=True):
        axis.text(
            j, i, counts[i, j], ha="center", va="center", fontsize=7, color="white" if counts[i, j] > 20 else "black"
        )
    axis.set(title=title, xticks=range(10), yticks=range(10), xlabel="predicted", ylabel="true")
plt.show()

# %% [markdown]
# ## Its first layer, and the mistakes that remain

# %%
kernels = np.asarray(many_state.params["conv1"]["kernel"]).squeeze()  # (3, 3, 3, channels)
wrong = np.flatnonzero(predictions(many_state) != test_labels)[:8]
figure, axes = plt.subplots(2, 8, figsize=(8, 2.6), layout="constrained")
for axis, kernel in zip(axes[0], np.moveaxis(kernels, -1, 0).sum(-1), strict=False):
    axis.imshow(kernel, cmap="gray")
for axis, i in zip(axes[1], wrong, strict=False):
    axis.imshow(test_images[i, 0])
    axis.set_title(f"{test_labels[i]}, not {predictions(many_state)[i]}", fontsize=8)
for axis in axes.ravel():
    axis.axis("off")
plt.show()

# %% [markdown]
# Above: eight of the first layer's kernels, summed over the equal colour channels. Kernels of nine pixels are too small
# to show much; compare the 11x11 kernels of AlexNet in notebook 1. Below: test digits that the network trained on many
# images gets wrong. It is weakest on the digit 5.
#
# For a larger dataset of images, use the commands: `vidjax make-records tfds:cifar10 --out data/cifar10 --format png
# --short_side 0`, then `vidjax train --config configs/cifar10.py --workdir runs/cifar10`, which writes the same curves.
#
# ## Exercises
#
# 1. Shift the training images by up to two of the original pixels at random (`np.roll` by multiples of 4) before each
#    step of the small set. Does the gap between training and test shrink? Why is mirroring a bad idea for digits?
# 2. Replace half of the 60 training labels by random ones. Can the network still memorise all of them? What do the test
#    curves show, and when would you have stopped?
