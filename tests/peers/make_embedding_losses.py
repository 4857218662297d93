"""Writes embedding_losses.json: losses over pairs and their gradients, and outputs of the networks that go with them.

    python tests/peers/make_embedding_losses.py         needs torch and pytorch-metric-learning

Distances, miners and losses of pairs and triplets are those of pytorch-metric-learning 2.9.0, here averaged per anchor.
The prototypical loss is computed query by query. Conv4 and the siamese network are written with torch's layers,
parameters by formula.py. Made with torch 2.14.1.
"""

import json
from pathlib import Path

import torch
from formula import draw, draw_as_torch, uniform
from pytorch_metric_learning import distances, losses, miners, reducers
from torch import nn

LABELS = torch.tensor([0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 4, 4])  # class 3 has one clip
EUCLIDEAN = distances.LpDistance(normalize_embeddings=False)
SQUARED = distances.LpDistance(normalize_embeddings=False, power=2)
NOTHING = {"reducer": reducers.DoNothingReducer()}


def means(anchors: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """The mean of the values of each anchor, 0 without any."""
    return torch.stack([values[anchors == i].mean() if (anchors == i).any() else values.sum() * 0 for i in range(12)])


def contrastive(x):
    found = losses.ContrastiveLoss(distance=EUCLIDEAN, **NOTHING)(x, LABELS)
    anchors = torch.cat([found[kind]["indices"][0] for kind in ("pos_loss", "neg_loss")])
    return means(anchors, torch.cat([found[kind]["losses"] ** 2 for kind in ("pos_loss", "neg_loss")]))


def mined(x):
    return miners.TripletMarginMiner(margin=0.2, type_of_triplets="semihard", distance=SQUARED)(x, LABELS)


def semi_hard(x):
    found = losses.TripletMarginLoss(margin=0.2, distance=SQUARED, **NOTHING)(x, LABELS, mined(x))["loss"]
    return means(found["indices"][0], found["losses"])


def batch_hard(x):
    triplets = miners.BatchHardMiner(distance=EUCLIDEAN)(x, LABELS)
    soft = losses.TripletMarginLoss(margin=0, smooth_loss=True, distance=EUCLIDEAN, **NOTHING)
    found = soft(x, LABELS, triplets)["loss"]
    return means(found["indices"][0], found["losses"])


def prototypical(x):
    of_queries = []
    for i, label in enumerate(LABELS):
        others = torch.arange(12) != i
        if not (others & (LABELS == label)).any():
            of_queries.append(x.sum() * 0)
            continue
        prototypes = torch.stack(
            [x[others & (LABELS == k)].mean(0) for k in range(5) if (others & (LABELS == k)).any()]
        )
        scores = -((x[i] - prototypes) ** 2).sum(-1)
        of_queries.append(nn.functional.cross_entropy(scores, label))
    return torch.stack(of_queries)


def siamese(logits):
    equal = LABELS[:, None] == LABELS
    loss = nn.functional.binary_cross_entropy_with_logits(logits, equal.double(), reduction="none")
    of_queries = []
    for i, row in enumerate(loss):
        same, other = row[equal[i] & (torch.arange(12) != i)], row[~equal[i]]
        of_queries.append((same.mean() + other.mean()) / 2 if len(same) else row.sum() * 0)
    return torch.stack(of_queries)


def conv4() -> nn.Module:
    layers = []
    for i in range(4):
        layers += [nn.Conv2d(64 if i else 1, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers)


def koch(width: float) -> nn.Module:
    """The layers that embed frames of 105x105."""
    layers, inputs = [], 1
    for i, (channels, size) in enumerate(((64, 10), (128, 7), (128, 4), (256, 4))):
        layers += [nn.Conv2d(inputs, int(channels * width), size), nn.ReLU()] + [nn.MaxPool2d(2)] * (i < 3)
        inputs = int(channels * width)
    return nn.Sequential(*layers)


def load(model: nn.Module, names: dict[str, str]):
    """Draws parameters and statistics by formula; `names`: torch's number of a layer -> ours."""
    kinds = {"running_mean": "mean", "running_var": "var", "bias": "bias"}

    def flax_name(name):
        layer, kind = name.split(".")
        if kind == "num_batches_tracked":
            return None
        kind = kinds.get(kind) or ("scale" if names[layer].startswith("norm") else "kernel")
        return f"{names[layer]}/{kind}"

    arrays = draw_as_torch({name: tuple(x.shape) for name, x in model.state_dict().items()}, flax_name)
    model.load_state_dict({name: torch.from_numpy(x) for name, x in arrays.items()}, strict=False)
    return model.eval()


def flat(maps: torch.Tensor) -> torch.Tensor:
    return maps.permute(0, 2, 3, 1).flatten(1)  # (H, W, C), as Flax does


@torch.no_grad()
def networks() -> dict:
    network = load(
        conv4(), {str(4 * i + j): f"{name}{i + 1}" for i in range(4) for j, name in enumerate(("conv", "norm"))}
    )
    result = {"conv4": flat(network(torch.from_numpy(uniform("frames", (2, 1, 34, 34)))))}
    network = load(koch(0.125), {"0": "conv1", "3": "conv2", "6": "conv3", "9": "conv4"})
    maps = flat(network(torch.from_numpy(uniform("drawings", (3, 1, 105, 105)))))
    embeddings = torch.sigmoid(
        maps @ torch.from_numpy(draw("fc/kernel", (1152, 512))) + torch.from_numpy(draw("fc/bias", (512,)))
    )
    weights, bias = torch.from_numpy(draw("distance/kernel", (512, 1))), torch.from_numpy(draw("distance/bias", (1,)))
    logits = ((embeddings[:, None] - embeddings[None]).abs() @ weights + bias)[..., 0]
    return {**result, "siamese_pairs": logits, "siamese_embedding": embeddings[:, :8]}


def main():
    found = {"torch": torch.__version__, "labels": LABELS.tolist()}
    for loss in (contrastive, semi_hard, batch_hard, prototypical, siamese):
        shape = (12, 12) if loss is siamese else (12, 5)
        x = torch.tensor(uniform(loss.__name__, shape) * 0.5, dtype=torch.float64, requires_grad=True)
        values = loss(x)
        (gradient,) = torch.autograd.grad(values.sum(), x)
        found[loss.__name__] = {"loss": values.detach(), "gradient": gradient}
        if loss is semi_hard:
            found["triplets"] = sorted(zip(*(indices.tolist() for indices in mined(x)), strict=True))
    found |= networks()
    rounded = lambda x: x.double().numpy().round(8).tolist()  # noqa: E731
    path = Path(__file__).with_name("embedding_losses.json")
    path.write_text(json.dumps(found, default=rounded) + "\n")
    print(path, path.stat().st_size, "bytes;", len(found["triplets"]), "triplets")


if __name__ == "__main__":
    main()
