"""Exports a checkpoint to files for other software and verifies their outputs.

    python -m vidjax.export --workdir W --format stablehlo|savedmodel|onnx --out DIR [--stream]
    python -m vidjax.export --workdir W --format stablehlo|savedmodel|onnx --out DIR --embedder
    python -m vidjax.export --workdir W --format safetensors [--names torchvision|pytorch_i3d] --out DIR
    python -m vidjax.predict VIDEO... --exported DIR

An exported network takes any number of uint8 clips and returns logits. With --embedder, which leaves out the
classifier, or from a run with a metric loss, it returns embeddings for `vidjax gallery add --exported DIR`. It includes
preprocessing, and optical flow if training computed it. A network of optical flow returns `flow`, in pixels. The
command runs the exported files in their own runtime on test clips of the run, or on the videos of --clips, and deletes
them if their outputs differ from those of the checkpoint. DIR also gets `labels.txt`, `model.json` (see
`vidjax.export.exported`) and a model card, `README.md`.
"""

import argparse
import itertools
import json
import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np
from absl import logging as absl_logging

import vidjax
from vidjax import config as configs
from vidjax import output_paths, step
from vidjax.data import pipeline
from vidjax.evaluation.run_outputs import open_run
from vidjax.export import exported, formats, model_card, program, torch_names
from vidjax.inference import clip_logits, embedding, restore, stream, views
from vidjax.models.stateful import plain
from vidjax.preprocess import described
from vidjax.progress_bar import progress_bar

FORMATS = (*formats.WRITERS, "safetensors")
CLIPS_PER_CALL = 4
TOLERANCE = {"float32": 1e-5, "bfloat16": 5e-2}  # relative to the largest logit, by the checkpoint's compute dtype


def export(
    run: restore.Trained,
    format: str,
    out: Path,
    batches: Iterator[dict],
    *,
    of_stream: bool = False,
    names: str = "vidjax",
    embedder: dict[str, str] | None = None,
    command: str = "",
) -> dict:
    """Writes a network into a directory and compares it with its source.

    Args:
        run: the network.
        format: one of `FORMATS`.
        out: the directory. It is created, or replaced if it holds an earlier export.
        batches: clips to compare on, from `record_clips` or `video_clips`.
        of_stream: export the step over a stream instead of the network on whole clips.
        names: names of the arrays in a safetensors file: "vidjax", or a library of `torch_names.NAMES`.
        embedder: for an embedder, see `described_embedder`.
        command: the command for the model card.

    Returns:
        The content of model.json.

    Raises:
        ValueError: if the directory holds something else, the format does not support the network, a library is
            missing, or the outputs differ by more than `TOLERANCE`.
    """
    check_place(out)
    out = out.resolve()  # of a link, its target is replaced
    writes = program.of_stream(run) if of_stream else program.of_clips(run, embeds=bool(embedder))
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f"{out.name}.", dir=out.parent))
    partial.chmod(0o755)
    try:
        manifest = make_manifest(run, writes, format, embeds=bool(embedder)) | {"embedder": embedder or {}}
        if format == "safetensors":
            manifest["verified"] = torch_names.write(run, writes.variables, names, partial / "model.safetensors")
        else:
            formats.WRITERS[format](writes, partial)
            if writes.state:
                np.savez(partial / "state.npz", **writes.state)
        (partial / "labels.txt").write_text("".join(f"{label}\n" for label in run.labels))
        (partial / exported.MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")
        if format != "safetensors":
            manifest["verified"] = verify(run, partial, batches)
            (partial / exported.MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")
        if picture := model_card.confusion_of(run):
            shutil.copy(picture, partial)
        (partial / "README.md").write_text(model_card.card(run, manifest, command))
    except BaseException:
        shutil.rmtree(partial)
        raise
    shutil.rmtree(out, ignore_errors=True)
    os.replace(partial, out)
    return manifest


def described_embedder(run: restore.Trained) -> dict[str, str]:
    """Returns what an export says of an embedder: its `digest` and `distance`, see `inference.embedding`.

    Raises:
        ValueError: for a siamese network, whose distance is a network too.
    """
    distance = embedding.distance_of(run)
    if callable(distance):
        raise ValueError(f"{run.name} compares embeddings by a learned distance, which an export does not hold.")
    return {"digest": embedding.digest_of(run), "distance": distance}


def check_place(out: Path):
    """Raises a ValueError if an export would overwrite anything but an earlier export."""
    if out.is_dir() and any(out.iterdir()) or out.exists() and not out.is_dir():
        try:
            exported.read_manifest(out)
        except ValueError:
            raise ValueError(f"{out} exists and is not an exported network; choose a new directory.") from None


def make_manifest(run: restore.Trained, writes: program.Program, format: str, *, embeds: bool = False) -> dict:
    """Returns the content of model.json without the result of the comparison."""
    length = writes.length if format != "onnx" else None
    multiple, least = length or (1, 1)
    free = ["batch", "time"] if length else ["batch"]
    return {
        "vidjax_export": exported.VERSION,
        "format": format,
        "source": run.name,
        "model": type(plain(run.model)).__name__,
        "output": program.output_of(run, embeds),
        "labels": run.labels,
        "multi_label": run.multi_label,
        "arrays": {
            name: {"shape": [*free, *x.shape[len(free) :]], "dtype": str(x.dtype)} for name, x in writes.inputs.items()
        },
        "time": {"multiple_of": multiple, "at_least": least} if length else {},
        "state": list(writes.state),
        "clip": run.clip,
        "inputs": run.inputs,
        "preprocess": described(run.preprocess),
        "num_params": sum(x.size for path, x in writes.variables.items() if path.startswith("params/")),
        "versions": {"vidjax": vidjax.__version__, "jax": jax.__version__},
    }


# --------------------------------------------------------------------------------------------------------- comparison


def verify(run: restore.Trained, directory: Path, batches: Iterator[dict]) -> dict:
    """Runs an export and its source on the same clips.

    Returns:
        `clips`, `largest_logit` and `largest_difference`.

    Raises:
        ValueError: if they differ by more than `TOLERANCE` times the largest logit, or there are no clips.
    """
    network = exported.load(directory)
    compare = _over_streams if network.state else _over_clips
    clips, largest, difference = 0, 0.0, 0.0
    for theirs, ours in compare(run, network, directory, batches):
        clips += len(ours)
        largest = float(np.maximum(largest, np.abs(ours).max()))  # NaN stays NaN; Python's max would drop it
        difference = float(np.maximum(difference, np.abs(theirs - ours).max()))
    if not clips:
        raise ValueError("There is no clip to compare on that is long enough; nothing was written.")
    tolerance = TOLERANCE[np.dtype(run.model.dtype).name]
    if not difference <= tolerance * largest:  # so that NaN fails
        raise ValueError(
            f"The exported network differs from its source by {difference:.3g}, which is more than {tolerance:g} times "
            f"the largest logit ({largest:.3g}); nothing was written."
        )
    return {"clips": clips, "largest_logit": largest, "largest_difference": difference}


def _over_clips(run, network: exported.Exported, directory: Path, batches) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    source = jax.jit(lambda *arguments: step.eval_step(*arguments, model=run.model, spec=run.preprocess))
    for batch in batches:
        inputs = {name: batch[name] for name in network.arrays}
        ours = np.asarray(source(run.params, run.model_state, inputs))
        if network.embedder:
            yield network(inputs)["embedding"], embedding.pooled(ours)
        else:
            yield network(inputs)[program.output_of(run)], ours


def _over_streams(run, network: exported.Exported, directory: Path, batches) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields the logits after each piece of each clip."""
    size = network.arrays["video"]["shape"][1]
    for batch in batches:
        video = batch["video"]
        theirs = network.first_state(directory, len(video))
        ours, advance = stream.init_stream(run.params, run.model_state, model=run.model, spec=run.preprocess)
        for start in range(0, video.shape[1] - size + 1, size):
            piece = video[:, start : start + size]
            outputs = network({**theirs, "video": piece})
            theirs = network.next_state(outputs)
            ours, logits = advance(ours, piece)
            yield outputs["logits"], np.asarray(logits)


def record_clips(run: restore.Trained, count: int) -> Iterator[dict]:
    """Yields the first clips of a run's first test videos, in batches of model inputs by name.

    Raises:
        ValueError: if the records are missing, see `run_outputs.open_run`.
    """
    source = open_run(run, run.config.test_splits)
    arguments = {**run.clip, "num_views": 1, "num_crops": 1, "multi_label": run.multi_label}
    arguments["per_frame"] = run.config.get("target") == "frame"
    size = min(CLIPS_PER_CALL, len(source))
    batches = pipeline.eval_batches(source, arguments, batch_size=size, num_threads=run.config.num_threads)
    for batch in itertools.islice(batches, max(1, count // size)):
        yield {name: x[:, 0] for name, x in batch.items() if name in ("video", "flow", "features", "frame_mask")}


def video_clips(run: restore.Trained, paths: list[str]) -> Iterator[dict]:
    """Yields the middle clip of each video file. Errors: see `views.views_of`."""
    for path in paths:
        yield views.views_of(run, path, num_views=1)


# ---------------------------------------------------------------------------------------------------------- the command


def main():
    parser = argparse.ArgumentParser(
        prog="vidjax export", description="Exports a network for other software and verifies its outputs."
    )
    network = parser.add_mutually_exclusive_group(required=True)
    network.add_argument("--workdir", type=Path, help="work directory of a trained run")
    network.add_argument("--weights", metavar="NAME|FILE", help="published weights, or a weight file")
    parser.add_argument("--step", type=int, help="step of the checkpoint (default: the last)")
    parser.add_argument("--format", required=True, choices=FORMATS, help="see docs/export.md")
    parser.add_argument("--out", type=Path, required=True, help="a new directory, or an earlier export to replace")
    parser.add_argument(
        "--stream", action="store_true", help="export the per-frame step of a causal network, with its state"
    )
    parser.add_argument("--embedder", action="store_true", help="leave the classifier out; return embeddings")
    parser.add_argument("--names", choices=("vidjax", *torch_names.NAMES), default="vidjax",
        help="library whose parameter names a safetensors file gets")  # fmt: skip
    parser.add_argument("--clips", nargs="+", metavar="VIDEO", help="videos to compare on (default: the test split)")
    parser.add_argument("--num_clips", type=int, help="test clips to compare on (default: 20)")
    args = parser.parse_args()
    absl_logging.set_verbosity(absl_logging.ERROR)  # Orbax warns about reading only, which is intended
    try:
        if args.names != "vidjax" and args.format != "safetensors":
            raise ValueError("--names requires --format safetensors.")
        if args.stream and args.format == "safetensors":
            raise ValueError("--stream does not apply to --format safetensors; the weights are the same without it.")
        if args.embedder and (args.stream or args.format == "safetensors"):
            raise ValueError("--embedder goes with --format stablehlo, savedmodel or onnx, and without --stream.")
        if args.clips and args.format == "safetensors":
            raise ValueError("--clips does not apply to --format safetensors, which compares the arrays themselves.")
        if args.step is not None and not args.workdir:
            raise ValueError("--step is for --workdir, whose checkpoints have steps.")
        if args.num_clips is not None and (args.clips or args.format == "safetensors"):
            raise ValueError("--num_clips is for clips of the test split: remove it, --clips or --format safetensors.")
        if args.num_clips is not None and args.num_clips < 1:
            raise ValueError(f"--num_clips must be 1 or more; got {args.num_clips}.")
        check_place(args.out)
        output_paths.check_writable(args.out.parent, "--out: the directory")
        if args.workdir and not args.clips and args.format != "safetensors":
            configs.check_dataset(args.workdir)
        run = restore.from_run(args.workdir, args.step) if args.workdir else restore.from_weights(args.weights)
        if args.format == "safetensors":
            batches = iter(())  # safetensors compares the arrays, not the logits
        elif args.clips:
            batches = video_clips(run, args.clips)
        elif args.workdir:
            batches = record_clips(run, args.num_clips or 20)
        else:
            raise ValueError("Published weights have no test split; set the videos to compare on, --clips VIDEO ...")
        embedder = None
        is_embedder = args.embedder or not (clip_logits.returns_logits(run) or program.output_of(run) == "flow")
        if args.stream and is_embedder:
            raise ValueError(f"{run.name} returns embeddings: export it without --stream.")
        if args.format != "safetensors" and is_embedder:
            embedder, run = described_embedder(run), embedding.embedder_of(run)
        command = "python -m vidjax.export " + shlex.join(sys.argv[1:])
        bar = progress_bar(batches, f"comparing {args.format}", leave=False, unit="call")
        kind = {"of_stream": args.stream, "names": args.names, "embedder": embedder}
        manifest = export(run, args.format, args.out, bar, **kind, command=command)
    except (ValueError, OSError) as error:
        sys.exit(f"vidjax.export: {error}")
    except KeyboardInterrupt:
        return
    size = sum(path.stat().st_size for path in args.out.rglob("*") if path.is_file())
    print(f"{args.out}: {args.format}, {size / 2**20:.1f} MiB; {model_card.agreement(manifest)}")


if __name__ == "__main__":
    main()
