"""Writes recurrent.json: outputs of PyTorch's RNN, LSTM and GRU and of Keras' ConvLSTM2D, parameters by formula.py.

    python tests/peers/make_recurrent.py         needs torch and keras

Two layers, both directions, over packed sequences of 7, 4 and 1 steps. Made with torch 2.13.0 and Keras 3.15.0.
"""

import json
import os
from pathlib import Path

os.environ["KERAS_BACKEND"] = "torch"

import keras
import numpy as np
import torch
from formula import draw, uniform

GATES = {"rnn": 1, "lstm": 4, "gru": 3}
WIDTH, HIDDEN, LENGTHS = 5, 4, (7, 4, 1)


def recurrent(cell: str) -> dict[str, list]:
    """The outputs at the steps that count (zeros at the others), and the h that each layer and direction ends with."""
    model = getattr(torch.nn, cell.upper())(WIDTH, HIDDEN, num_layers=2, bidirectional=True, batch_first=True)
    state, size = model.state_dict(), GATES[cell] * HIDDEN
    for layer, name in ((0, cell), (1, f"{cell}_1")):
        for torch_suffix, suffix in (("", ""), ("_reverse", "_reverse")):
            path, end = name + suffix, f"l{layer}{torch_suffix}"
            inputs = 2 * HIDDEN if layer else WIDTH
            arrays = {
                f"weight_ih_{end}": draw(f"{path}/input/kernel", (inputs, size)).T,
                f"weight_hh_{end}": draw(f"{path}/step/recurrent/kernel", (HIDDEN, size)).T,
                f"bias_ih_{end}": draw(f"{path}/input/bias", (size,)),
                # One bias is enough for an LSTM and a vanilla RNN; a GRU's second one acts within the reset gate
                f"bias_hh_{end}": draw(f"{path}/step/recurrent/bias", (size,)) if cell == "gru" else np.zeros(size),
            }
            state.update({key: torch.from_numpy(np.ascontiguousarray(x, np.float32)) for key, x in arrays.items()})
    model.load_state_dict(state)
    sequence = torch.from_numpy(uniform("sequence", (3, 7, WIDTH)))
    packed = torch.nn.utils.rnn.pack_padded_sequence(sequence, list(LENGTHS), batch_first=True)
    with torch.no_grad():
        outputs, last = model(packed)
    outputs, _ = torch.nn.utils.rnn.pad_packed_sequence(outputs, batch_first=True)
    last = last[0] if cell == "lstm" else last
    return {"outputs": rounded(outputs.numpy()), "last": rounded(last.numpy())}


def conv_lstm() -> list:
    """All outputs of a 3x3 ConvLSTM2D with 2 channels over 4 frames of 5x6 with 3 channels: (2, 4, 5, 6, 2)."""
    layer = keras.layers.ConvLSTM2D(2, 3, padding="same", recurrent_activation="sigmoid", return_sequences=True)
    video = uniform("video", (2, 4, 5, 6, 3))
    layer.build(video.shape)
    shapes = [("input/kernel", (3, 3, 3, 8)), ("step/recurrent/kernel", (3, 3, 2, 8)), ("bias", (8,))]
    layer.set_weights([draw(name, shape) for name, shape in shapes])
    return rounded(keras.ops.convert_to_numpy(layer(video)))


def rounded(array: np.ndarray) -> list:
    return array.astype(np.float64).round(7).tolist()


def main():
    golden = {cell: recurrent(cell) for cell in GATES} | {"conv_lstm": conv_lstm()}
    path = Path(__file__).with_name("recurrent.json")
    versions = {"torch": torch.__version__, "keras": keras.__version__}
    path.write_text(json.dumps({**versions, **golden}) + "\n")
    print(path)


if __name__ == "__main__":
    main()
