"""The README.md beside an exported network: what it is, how good, from what, and how to run it.

The headings are those of Mitchell et al., "Model Cards for Model Reporting" (FAT* 2019), section 4.
"""

import json
from pathlib import Path

from vidjax import metrics
from vidjax.inference import restore
from vidjax.weights.table import WEIGHTS

RUNTIMES = {
    "stablehlo": """With JAX alone (`pip install jax safetensors`):

    import jax, numpy, safetensors.numpy
    network = jax.export.deserialize(bytearray(open("model.stablehlo", "rb").read()))
    variables = safetensors.numpy.load_file("variables.safetensors")
    logits = network.call(variables, {inputs})["logits"]""",
    "savedmodel": """With TensorFlow, or TensorFlow Serving:

    import numpy, tensorflow as tf
    network = tf.saved_model.load(".")
    logits = network.signatures["serving_default"](**{inputs})["logits"]""",
    "onnx": """With ONNX Runtime (`pip install onnxruntime`), or any other runtime of ONNX:

    import numpy, onnxruntime
    network = onnxruntime.InferenceSession("model.onnx")
    logits = network.run(["logits"], {inputs})[0]""",
}


def card(run: restore.Trained, said: dict, command: str) -> str:
    """The text, of what model.json says and, where the run is finished, of its result.json."""
    parts = [
        f"# {said['model']}: {len(run.labels)} classes\n\n{what(run, said)}",
        f"## Use\n\n{use(said)}",
        f"## Data and accuracy\n\n{data(run)}",
        f"## Limits\n\n{limits(run, said)}",
        f"## Licence\n\n{licence(run)}",
        f"## Where it is from\n\nFrom {said['source']}, by vidjax {said['versions']['vidjax']} and JAX "
        f"{said['versions']['jax']}:\n\n    {command or 'vidjax.export.export'}\n\n{agreement(said).capitalize()}.",
    ]
    return "\n\n".join(parts) + "\n"


def what(run: restore.Trained, said: dict) -> str:
    clip, names = run.clip, ", ".join(run.labels[:10]) + (", ..." if len(run.labels) > 10 else "")
    seen = "features" if "prefix" in run.inputs else f"{clip['size']}x{clip['size']} pixels"
    return (
        f"A video classifier of {said['num_params']:,} parameters. It sees clips of {clip['num_frames']} frames at "
        f"stride {clip.get('frame_stride', 1)}, {seen}, and tells apart: {names} (`labels.txt`, in the order of the "
        "logits). `model.json` has the shapes and how clips are cut out of videos."
    )


def use(said: dict) -> str:
    if said["format"] == "safetensors":
        verified = said["verified"]
        if verified["names"] == "vidjax":
            return "The parameters and statistics in `model.safetensors`, by their paths in vidjax."
        return (
            f"The parameters in `model.safetensors`, by the names of {verified['names']}'s {verified['network']}:\n\n"
            "    network.load_state_dict(safetensors.torch.load_file('model.safetensors'))\n    network.eval()\n\n"
            f"They want videos normalised as {json.dumps(said['preprocess'])}, in units of 0..255."
        )
    sizes = {"batch": 1, "time": said["clip"]["num_frames"]}
    inputs = ", ".join(
        f'"{name}": numpy.zeros({tuple(sizes.get(size, size) for size in x["shape"])}, "{x["dtype"]}")'
        for name, x in said["arrays"].items()
        if name not in said["state"]
    )
    first = ', **numpy.load("state.npz")' if said["state"] else ""
    text = RUNTIMES[said["format"]].replace("{inputs}", f"{{{inputs}{first}}}")
    if said["state"]:
        text += "\n\nThe outputs `next_state_0`, ... are the state for the next frames."
    else:
        text += "\n\nWith vidjax: `python -m vidjax.predict VIDEO --exported .`"
    if "prefix" in said["inputs"]:
        return f"{text}\n\nIt takes features of layer {said['inputs']['layer']!r} of {said['inputs']['source']}."
    return f"{text}\n\nVideo is uint8 RGB, 0..255; normalisation is inside. The softmax of the logits is probability."


def data(run: restore.Trained) -> str:
    if run.config is None:
        return f"Published weights: `{run.name}`. How good they are is in their source; it was not measured here."
    config = run.config
    text = (
        f"Trained on {', '.join(config.train_splits)} of `{config.dataset}`, {config.num_epochs:g} "
        f"{'epoch' if config.num_epochs == 1 else 'epochs'}; tested on {', '.join(config.test_splits)}."
    )
    path = Path(run.name.rpartition(", step ")[0]) / "result.json"
    result = json.loads(path.read_text()) if path.exists() else {}
    if "top1" not in result or "num_videos" not in result:
        figures = {name: result[name] for name in ("mAP", "rmse") if name in result}
        return f"{text} {json.dumps(figures)}" if figures else f"{text} The run has no accuracy to tell."
    low, high = metrics.wilson_interval(result["top1"] * result["num_videos"], result["num_videos"])
    return (
        f"{text}\n\nTop-1 accuracy {100 * result['top1']:.1f} % of {result['num_videos']} videos (95 % interval "
        f"{100 * low:.1f} to {100 * high:.1f} %, Wilson), the mean of {result.get('num_views', 1)} clips a video"
        f"{', of step ' + str(result['steps']) if 'steps' in result else ''}."
    )


def limits(run: restore.Trained, said: dict) -> str:
    lines = [
        "It names one of its classes whatever it is shown: there is no class for all else.",
        "Videos of another kind than those it was trained on (camera, place, people, frame rate) were not tested.",
    ]
    if fps := run.inputs.get("fps"):
        lines.append(f"It was trained on videos read at {fps:g} frames a second.")
    if run.preprocess.get("flow"):
        lines.append(f"Optical flow ({run.preprocess['flow']}) is computed inside, which takes most of the time.")
    if said["format"] == "onnx" and not said["state"]:
        lines.append("Clips are of the length in `model.json`; in the other formats some networks take others, too.")
    return "\n".join(f"- {line}" for line in lines)


def licence(run: restore.Trained) -> str:
    """Of the published weights that it came from."""
    names = [run.name] if run.config is None else str(run.config.get("init_from", "")).split(",")
    names.append(str(run.inputs.get("source", "")))
    lines = [f"- {WEIGHTS[name].what} (`{name}`): {WEIGHTS[name].licence}" for name in names if name in WEIGHTS]
    others = [f"- it started from `{name}`: see there" for name in names if name and name not in WEIGHTS]
    if not lines + others:
        return "It was trained from parameters drawn at random: the terms are those of its training data."
    return "\n".join(["Weights that it came from, beside the terms of its training data:\n", *lines, *others])


def agreement(said: dict) -> str:
    """What the comparison with the source showed, as half a sentence."""
    verified = said["verified"]
    if "arrays" in verified:
        return f"{verified['arrays']} arrays, read back as they were written"
    share = verified["largest_difference"] / verified["largest_logit"]
    compared = "steps of a stream" if said["state"] else "clips"
    return (
        f"on {verified['clips']} {compared} the logits differ from those of the checkpoint by at most "
        f"{verified['largest_difference']:.2g}, which is {share:.1g} of the largest"
    )
