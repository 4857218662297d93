"""Writes segmentation.json: logits, loss and gradient of the authors' MS-TCN and ASFormer, parameters by formula.py.

    python tests/peers/make_segmentation.py MS_TCN/model.py ASFORMER/model.py         needs torch

The files are model.py of github.com/yabufarha/ms-tcn (commit 33ed91c) and of github.com/ChinaYi/ASFormer (commit
e1bbe4f). Two videos of 24 and 17 frames, each alone. Made with torch 2.13.0.
"""

import argparse
import contextlib
import io
import json
import re
import sys
import tempfile
import types
from pathlib import Path

import numpy as np
import torch
from formula import draw_as_torch, uniform

WIDTH, CLASSES, STAGES, LAYERS, CHANNELS, LENGTHS = 5, 4, 3, 4, 8, (24, 17)
FULL = (19, 11, 48)  # classes of 50Salads, GTEA and Breakfast
EXACT = {
    "window_mask[:, :, i:i+self.bl] = 1": "window_mask[:, i, i:i+self.bl] = 1",  # the correction in the README
    "torch.log(padding_mask + 1e-6)": "torch.log(padding_mask)",  # the softmax gives masked keys no weight
}


def load(path: str, replacements: dict[str, str]) -> types.ModuleType:
    """Runs the authors' file with some text replaced; its `eval` module draws pictures and is left out."""
    source = Path(path).read_text()
    for old, new in replacements.items():
        if source.count(old) != 1:
            raise ValueError(f"{path} has {old!r} {source.count(old)} times, not once: is it another commit?")
        source = source.replace(old, new)
    sys.modules["eval"] = types.SimpleNamespace(segment_bars_with_confidence=None)
    module = types.ModuleType("model")
    exec(compile(source, path, "exec"), module.__dict__)
    return module


def flax_name(name: str) -> str:
    """The authors' names of parameters -> ours."""
    for pattern, replacement in (
        (r"^stage1\.", "stage0."),
        (r"^stages\.(\d+)\.", lambda match: f"stage{int(match[1]) + 1}."),
        (r"^decoders\.(\d+)\.", r"decoder\1."),
        (r"^(stage\d+)\.layers\.(\d+)\.", r"\1.layer\2."),
        (r"^(encoder|decoder\d+)\.layers\.(\d+)\.", r"\1.block\2."),
        (r"\.conv_dilated\.|\.feed_forward\.layer\.0\.", ".dilated."),
        (r"\.att_layer\.(query|key|value)_conv\.", r".\1."),
        (r"\.att_layer\.conv_out\.", ".attended."),
        (r"((?:layer|block)\d+)\.conv_1x1\.", r"\1.pointwise."),
        (r"\.conv_1x1\.", ".input."),
        (r"\.conv_out\.", ".classifier."),
        (r"\.weight$", ".kernel"),
    ):
        name = re.sub(pattern, replacement, name)
    return name.replace(".", "/")


def logits(model: torch.nn.Module) -> list:
    """The logits of all stages for each video alone, in evaluation: (stages, frames, classes) each.

    All parameters are halved: with the formula's own, values grow from stage to stage, and so do rounding errors.
    """
    shapes = {name: tuple(x.shape) for name, x in model.state_dict().items()}
    arrays = draw_as_torch(shapes, flax_name)
    model.load_state_dict({name: torch.from_numpy(array / 2) for name, array in arrays.items()})
    model.eval()
    features, outputs = uniform("sequence", (2, LENGTHS[0], WIDTH)), []
    for video, length in zip(features, LENGTHS, strict=True):
        x = torch.from_numpy(video[:length].T.copy())[None]  # (1, D, T)
        with torch.no_grad():
            outputs.append(rounded(model(x, torch.ones(1, CLASSES, length))[:, 0].transpose(1, 2)))
    return outputs


def attention(module: types.ModuleType) -> list:
    """Attention in windows of 4 over 11 frames, followed by the ReLU: (frames, 2).

    The energies of all frames are around -13, that of padding is 0. So the softmax gives padding much of the weight in
    spite of its factor of 1e-6.
    """
    layer = module.AttLayer(2, 2, 2, 1, 1, 1, 4, "encoder", "sliding_att")
    layer.conv_out = torch.nn.Identity()
    query, key, value = (uniform(name, (11, 2)) for name in ("query", "key", "value"))
    arrays = [
        torch.from_numpy(np.ascontiguousarray(x.T))[None] for x in (1 + query / 4, key - 9, 1 + value)
    ]  # (1, D, T)
    return rounded(layer._sliding_window_self_att(*arrays, torch.ones(1, 1, 11))[0].T)


class Given(torch.nn.Module):
    """A model whose only parameters are its logits (stages, B, classes, T)."""

    def __init__(self, logits: np.ndarray):
        super().__init__()
        self.logits = torch.nn.Parameter(torch.from_numpy(logits))

    def forward(self, features, mask):
        return self.logits


class OneBatch:
    """A generator of one batch: target (B, T), and mask (B, classes, T) of its valid frames."""

    def __init__(self, target: np.ndarray, lengths: tuple[int, ...]):
        self.mask = torch.from_numpy((np.arange(target.shape[1]) < np.array(lengths)[:, None]).astype(np.float32))
        self.target = torch.where(self.mask > 0, torch.from_numpy(target), -100)
        self.list_of_examples, self.waiting = [None], True

    def has_next(self) -> bool:
        return self.waiting

    def next_batch(self, batch_size: int):
        self.waiting = False
        return torch.zeros(len(self.mask), 1, 1), self.target, self.mask[:, None].repeat(1, 3, 1)

    def reset(self):
        pass


def loss(module: types.ModuleType, lengths: tuple[int, ...]) -> dict:
    """Loss and gradient of the logits by one step of the authors' training, 2 stages and 3 classes, up to 6 frames."""
    target = np.arange(6 * len(lengths)).reshape(-1, 6) // 4 % 3
    trainer = module.Trainer(1, 1, 1, 1, 3)
    given = 6 * uniform("logits", (2, len(lengths), 6, 3))  # some changes are cut off, some are not
    trainer.model = Given(np.ascontiguousarray(given.transpose(0, 1, 3, 2)))
    printed = io.StringIO()
    with tempfile.TemporaryDirectory() as directory, contextlib.redirect_stdout(printed):
        trainer.train(directory, OneBatch(target, lengths), 1, len(lengths), 0.0, "cpu")
    value = float(re.search(r"epoch loss = ([\d.]+)", printed.getvalue())[1])
    return {"loss": value, "gradient": rounded(trainer.model.logits.grad.transpose(2, 3))}


def rounded(x: torch.Tensor) -> list:
    return x.detach().double().numpy().round(7).tolist()


def count(model: torch.nn.Module) -> int:
    return sum(x.numel() for x in model.parameters())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ms_tcn", help="model.py of github.com/yabufarha/ms-tcn")
    parser.add_argument("asformer", help="model.py of github.com/ChinaYi/ASFormer")
    args = parser.parse_args()
    ms_tcn = load(args.ms_tcn, {"print vid\n": "print(vid)\n"})  # Python 2
    published, corrected = load(args.asformer, {}), load(args.asformer, EXACT)

    def asformer(module):
        return module.MyTransformer(STAGES - 1, LAYERS, 2, 2, CHANNELS, WIDTH, CLASSES, 0.3)

    golden = {
        "torch": torch.__version__,
        "ms_tcn": logits(ms_tcn.MultiStageModel(STAGES, LAYERS, CHANNELS, WIDTH, CLASSES)),
        "asformer": logits(asformer(corrected)),
        "asformer_published": logits(asformer(published)),
        "attention_published": attention(published),
        "loss": loss(ms_tcn, (6,)),
        "loss_of_padded": loss(ms_tcn, (6, 4)),
        "parameters": {
            "ms_tcn": {k: count(ms_tcn.MultiStageModel(4, 10, 64, 2048, k)) for k in FULL},
            "asformer": {k: count(published.MyTransformer(3, 10, 2, 2, 64, 2048, k, 0.3)) for k in FULL},
        },
    }
    path = Path(__file__).with_name("segmentation.json")
    path.write_text(json.dumps(golden) + "\n")
    print(path)


if __name__ == "__main__":
    main()
