"""Writes the model card of an exported network: its use, data, accuracy, limits, licence and source.

The headings follow Mitchell et al., "Model Cards for Model Reporting" (FAT* 2019), section 4.
"""

import json
from pathlib import Path

import numpy as np

from vidjax import metrics
from vidjax.inference import restore
from vidjax.models import titles
from vidjax.weights.table import WEIGHTS

CONFUSION = "confusion.png"  # in a work directory, and beside the card
RUNTIMES = {
    "stablehlo": """With JAX alone (`pip install jax safetensors`):

    import jax, numpy, safetensors.numpy
    network = jax.export.deserialize(bytearray(open("model.stablehlo", "rb").read()))
    variables = safetensors.numpy.load_file("variables.safetensors")
    {output} = network.call(variables, {inputs})["{output}"]""",
    "savedmodel": """With TensorFlow, or TensorFlow Serving:

    import numpy, tensorflow as tf
    network = tf.saved_model.load(".")
    {output} = network.signatures["serving_default"](**{inputs})["{output}"]""",
    "onnx": """With ONNX Runtime (`pip install onnxruntime`) or another ONNX runtime:

    import numpy, onnxruntime
    network = onnxruntime.InferenceSession("model.onnx")
    {output} = network.run(["{output}"], {inputs})[0]""",
}


READ_VIDEO = """The first clip of a video file (`pip install av opencv-python-headless`):

    import av, cv2, numpy
    frames = [frame.to_ndarray(format="rgb24") for frame in av.open("video.mp4").decode(video=0)]
    frames = frames[::{stride}][:{num_frames}]
    video = numpy.stack([cv2.resize(frame, ({width}, {height})) for frame in frames])[None]

"""


def card(run: restore.Trained, manifest: dict, command: str) -> str:
    """Returns the text, from model.json and, if the run is finished, its result.json."""
    parts = [
        f"# {title(run, manifest)}\n\n{description(run, manifest)}",
        f"## Use\n\n{use(manifest)}",
        f"## Data and accuracy\n\n{data(run)}",
        f"## Limits\n\n{limits(run, manifest)}",
        f"## Licence\n\n{licence(run)}",
        f"## Source\n\nExported from {manifest['source']} with vidjax {manifest['versions']['vidjax']} and JAX "
        f"{manifest['versions']['jax']}:\n\n    {command or 'vidjax.export.export'}",
        f"{agreement(manifest).capitalize()}.",
    ]
    return "\n\n".join(parts) + "\n"


def title(run: restore.Trained, manifest: dict) -> str:
    returned = {"embedding": "embeddings", "flow": "optical flow", "logits": f"{len(run.labels)} classes"}
    model = run.config.model.to_dict() if run.config else {"name": run.network}
    title = titles.title_of(model) if model["name"] else manifest["model"]
    return f"{title}: {returned[manifest['output']]}"


def description(run: restore.Trained, manifest: dict) -> str:
    clip, names = run.clip, ", ".join(run.labels[:10]) + (", ..." if len(run.labels) > 10 else "")
    height, width = np.broadcast_to(clip.get("size", 0), 2)
    seen = "features" if "prefix" in run.inputs else f"{height}x{width} pixels"
    kind = "A video classifier"
    returned = f"Its classes are {names} (`labels.txt`, in the order of the logits)."
    if manifest["output"] == "embedding":
        kind = "A network that embeds videos"
        returned = f"It returns vectors, to compare by their {manifest['embedder']['distance']} distance."
    if manifest["output"] == "flow":
        kind = "A network of optical flow"
        returned = (
            "It returns the displacement of each pixel from a frame to the next, to the right and down, in pixels."
        )
    return (
        f"{kind} with {manifest['num_params']:,} parameters. It takes clips of {clip['num_frames']} frames "
        f"at stride {clip.get('frame_stride', 1)}, {seen}. {returned} `model.json` "
        "describes the shapes and how to cut clips from videos."
    )


def use(manifest: dict) -> str:
    if manifest["format"] == "safetensors":
        verified = manifest["verified"]
        if verified["names"] == "vidjax":
            return "`model.safetensors` holds the parameters and statistics, by their paths in vidjax."
        return (
            "`model.safetensors` holds the parameters, by the names of "
            f"{verified['names']}'s {verified['network']}:\n\n"
            "    network.load_state_dict(safetensors.torch.load_file('model.safetensors'))\n    network.eval()\n\n"
            f"Normalise videos with {json.dumps(manifest['preprocess'])}, in units of 0..255."
        )
    sizes = {"batch": 1, "time": manifest["clip"]["num_frames"]}
    arrays = {name: x for name, x in manifest["arrays"].items() if name not in manifest["state"]}
    inputs = ", ".join(
        f'"{name}": numpy.zeros({tuple(sizes.get(size, size) for size in x["shape"])}, "{x["dtype"]}")'
        for name, x in arrays.items()
    )
    before = ""
    if list(arrays) == ["video"] and arrays["video"]["shape"][-1] == 3 and not manifest["state"]:
        *_, height, width, _ = arrays["video"]["shape"]
        before = READ_VIDEO.format(
            stride=manifest["clip"].get("frame_stride", 1),
            num_frames=manifest["clip"]["num_frames"],
            height=height,
            width=width,
        )
        inputs = '"video": video'
    first = ', **numpy.load("state.npz")' if manifest["state"] else ""
    text = before + RUNTIMES[manifest["format"]].replace("{inputs}", f"{{{inputs}{first}}}")
    text = text.replace("{output}", manifest["output"])
    if manifest["state"]:
        text += "\n\nThe outputs `next_state_0`, ... are the state for the next frames."
    elif manifest["embedder"]:
        text += "\n\nWith vidjax: `vidjax gallery add FILE --class NAME VIDEO --exported .`"
    elif manifest["output"] == "logits":
        text += "\n\nWith vidjax: `python -m vidjax.predict VIDEO --exported .`"
    if "prefix" in manifest["inputs"]:
        layer, source = manifest["inputs"]["layer"], manifest["inputs"]["source"]
        return f"{text}\n\nIt takes features of layer {layer!r} of {source}."
    activation = "sigmoid" if manifest["multi_label"] else "softmax"
    after = "" if manifest["output"] != "logits" else f" Apply {activation} for probabilities."
    return f"{text}\n\nPass uint8 RGB videos, 0..255; the network normalises them.{after}"


def data(run: restore.Trained) -> str:
    if run.config is None:
        return f"Published weights: `{run.name}`. See their source for the accuracy; it was not measured here."
    config = run.config
    text = (
        f"Trained on {', '.join(config.train_splits)} of `{config.dataset}`, {config.num_epochs:g} "
        f"{'epoch' if config.num_epochs == 1 else 'epochs'}; tested on {', '.join(config.test_splits)}."
    )
    path = Path(run.name.rpartition(", step ")[0]) / "result.json"
    result = json.loads(path.read_text()) if path.exists() else {}
    if "top1" not in result or "num_videos" not in result:
        found = {name: result[name] for name in ("mAP", "rmse") if name in result}
        return f"{text} {json.dumps(found)}" if found else f"{text} The run has no accuracy yet."
    low, high = metrics.wilson_interval(result["top1"] * result["num_videos"], result["num_videos"])
    picture = f"\n\n![True and predicted classes]({CONFUSION})" if confusion_of(run) else ""
    return (
        f"{text}\n\nTop-1 accuracy {100 * result['top1']:.1f} % of {result['num_videos']} videos (95 % interval "
        f"{100 * low:.1f} to {100 * high:.1f} %, Wilson), from the mean of {result.get('num_views', 1)} clips per video"
        f"{', at step ' + str(result['steps']) if 'steps' in result else ''}.{picture}"
    )


def confusion_of(run: restore.Trained) -> Path | None:
    """Returns the picture of the confusions of a finished run, or None."""
    path = Path(run.name.rpartition(", step ")[0]) / CONFUSION
    return path if run.config is not None and path.exists() else None


def limits(run: restore.Trained, manifest: dict) -> str:
    lines = [
        "It was not tested on other kinds of videos (camera, place, people, frame rate) than its training data.",
    ]
    if manifest["output"] == "logits":
        known = "any number" if run.multi_label else "one"
        lines.insert(0, f"It assigns every video to {known} of its classes; it has no class for other videos.")
    if fps := run.inputs.get("fps"):
        lines.append(f"It was trained on videos read at {fps:g} frames per second.")
    if run.preprocess.get("flow"):
        lines.append(f"Optical flow ({run.preprocess['flow']}) is part of the network and takes most of the time.")
    if manifest["format"] == "onnx" and not manifest["state"]:
        lines.append("Clips must have the length in `model.json`; other formats accept more lengths for some networks.")
    return "\n".join(f"- {line}" for line in lines)


def licence(run: restore.Trained) -> str:
    """Describes the licences of the published weights that it started from."""
    names = [run.name] if run.config is None else str(run.config.get("init_from", "")).split(",")
    names.append(str(run.inputs.get("source", "")))
    lines = [f"- {WEIGHTS[name].what} (`{name}`): {WEIGHTS[name].licence}" for name in names if name in WEIGHTS]
    others = [f"- `{name}`: see the terms there" for name in names if name and name not in WEIGHTS]
    if not lines + others:
        return "It was trained from randomly initialised parameters: the terms of its training data apply."
    head = "The terms of its training data apply, and those of the weights that it started from:\n"
    return "\n".join([head, *lines, *others])


def agreement(manifest: dict) -> str:
    """Describes the comparison with the source, as part of a sentence."""
    verified = manifest["verified"]
    if "arrays" in verified:
        return f"{verified['arrays']} arrays, read back unchanged"
    share = verified["largest_difference"] / (verified["largest_logit"] or 1)  # a new classifier may return zeros
    compared = "steps of a stream" if manifest["state"] else "clips"
    return (
        f"on {verified['clips']} {compared} the outputs differ from those of the checkpoint by at most "
        f"{verified['largest_difference']:.2g}, which is {share:.1g} times the largest one"
    )
