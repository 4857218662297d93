"""Evaluates a model on whole splits: every video once, on any number of devices and processes."""

from pathlib import Path

import jax
import numpy as np
from flax import linen as nn
from jax.sharding import Mesh
from ml_collections import ConfigDict

from vidjax import config as configs
from vidjax import losses, sharding
from vidjax.data import pipeline
from vidjax.evaluation import flow_errors, outputs, reconstructions, split_metrics
from vidjax.evaluation.outputs import Outputs
from vidjax.inference import restore
from vidjax.progress_bar import progress_bar

# What draws pictures of a network's outputs, by the loss of the run
PICTURES = {"reconstruction": reconstructions, **dict.fromkeys(losses.FLOW_LOSSES, flow_errors)}


class Evaluator:
    """The evaluation of one model, compiled once.

    Args:
        config: config of the run; sets the clips, the target and `eval.batch_size`.
        shardings: shardings of the parameters and of the model state.
    """

    def __init__(self, model: nn.Module, config: ConfigDict, mesh: Mesh, shardings: tuple):
        self._config, self._mesh = config, mesh
        arguments = model, restore.spec_of(config), mesh, shardings
        outputs_of = flow_errors if config.loss.name in losses.FLOW_LOSSES else outputs
        self._eval_fn = outputs_of.make_eval_fn(*arguments)
        self._pictures = PICTURES.get(config.loss.name)
        self._draw_fn = self._pictures and self._pictures.make_draw_fn(*arguments)

    def __call__(
        self, params, model_state, records: pipeline.Records, *, num_views: int = 1, num_crops: int = 1
    ) -> tuple[dict, Outputs]:
        """Returns the metrics of a split, see `split_metrics.metrics_of`, and the outputs that they are computed from.

        The metrics of whole videos have a `convention`, see `split_metrics.convention`.

        Args:
            records: records of the split.
            num_views, num_crops: number of clips in time and crops in space to average per video.
        """
        found = self.outputs(params, model_state, records, num_views=num_views, num_crops=num_crops)
        result = split_metrics.metrics_of(found, self._config, records.info)
        return result | split_metrics.convention(found, self._config, num_crops), found

    def draw(self, params, model_state, records: pipeline.Records, workdir: Path):
        """Draws what the network makes of some clips, for the losses in `PICTURES`."""
        if not self._pictures:
            return
        shown = reconstructions.evenly(records)
        process = jax.process_index(), jax.process_count()
        arguments = configs.view_arguments_of(self._config, 1, 1)
        batch = next(pipeline.eval_batches(shown, arguments, batch_size=self._config.eval.batch_size, process=process))
        batch |= {"video": batch["video"][:, 0]}  # the only view
        clips = self._draw_fn(params, model_state, sharding.put_batch(batch, self._mesh))
        if jax.process_index() == 0:
            clips = tuple(np.asarray(x)[: len(shown)] for x in clips)
            self._pictures.draw(clips, workdir / self._pictures.NAME)

    def outputs(
        self,
        params,
        model_state,
        records: pipeline.Records,
        *,
        num_views: int = 1,
        num_crops: int = 1,
        backwards: bool = True,
        order: str = "forwards",
    ) -> Outputs:
        """Returns the outputs for each clip of a split.

        Args:
            backwards: also plays each clip backwards, if the dataset maps each class to its reversal.
            order: how clips are played otherwise, see `outputs.in_order`.
        """
        config = self._config
        multi_label, per_frame = config.loss.name == "sigmoid", config.get("target") in ("frame", "words")
        clip_arguments = configs.view_arguments_of(config, num_views, num_crops)
        is_chunked, _ = pipeline.chunking(clip_arguments)

        def of_clips(order: str) -> Outputs:
            batches = pipeline.eval_batches(
                records,
                clip_arguments,
                batch_size=config.eval.batch_size,
                process=(jax.process_index(), jax.process_count()),
                num_threads=config.num_threads,
            )
            num_batches = -(-len(records) // config.eval.batch_size)
            bar = progress_bar(batches, "evaluate", num_batches, leave=False, disable=jax.process_index() > 0)
            kinds = {"per_frame": per_frame, "is_chunked": is_chunked}
            return outputs.clip_logits(self._eval_fn, params, model_state, bar, self._mesh, order=order, **kinds)

        found = of_clips(order)
        has_pairs = records.info.time_reversal is not None and config.loss.name not in losses.WITHOUT_CLASSES
        if not backwards or multi_label or per_frame or is_chunked or not has_pairs:
            return found
        return found._replace(backwards=of_clips("backwards").logits)
