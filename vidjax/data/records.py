"""Records: the keys of a video example, defined only here.

A video is a `tf.train.SequenceExample` in the keys that DMVR, Scenic and MediaSequence read:
https://github.com/google-deepmind/dmvr/tree/master/examples and
https://github.com/google-ai-edge/mediapipe/blob/master/mediapipe/util/sequence/README.md.
TensorFlow is not needed: tensorflow-datasets has the protos.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from tensorflow_datasets.proto import tf_example_generated_pb2 as tf_example

FEATURES, FEATURE_TIMES = "/feature/floats", "/feature/timestamp"  # MediaSequence's keys, after a prefix
FLOW = "FORWARD_FLOW/image/"
TRUE_FLOW = "FORWARD_FLOW/target/"
ENCODED_VIDEO = "clip/encoded_media_bytes"  # MediaSequence's key, in place of image/encoded
SATURATION = 20.0  # pixels: flow at level 255 unless a record stores another value; as in `vidjax.flow.to_levels`


class IndexedSegment(NamedTuple):
    """A labelled stretch of an untrimmed video: seconds from its first frame, class index and class name."""

    start: float
    end: float
    label: int
    name: str = ""


@dataclasses.dataclass(frozen=True)
class EncodedVideo:
    """The frames of a video in one MP4, in place of one picture per frame; `vidjax.data.mp4` decodes them."""

    data: bytes
    num_frames: int

    def __len__(self) -> int:
        return self.num_frames


@dataclasses.dataclass(frozen=True)
class Example:
    """One labelled video (or an image: a video of one frame), with its frames still compressed.

    Attributes:
        images: one JPEG or PNG per frame, or an `EncodedVideo`; empty if there are only features.
        labels: class indices; several for multi-label datasets, word indices for captions.
        label_names: names of the labels.
        media_id: source of the video, for readers.
        fps: frames per second; 0 for an image.
        height, width: size of the frames, in pixels.
        start, end: part of the original video, in seconds.
        frame_labels: one class index per frame, or empty.
        segments: labelled stretches, or empty.
        features: features by prefix ("RGB", "FLOW"): float32 (L, D), one vector per time step.
        feature_times: middles of these time steps by prefix, in seconds from the first frame; or none.
        flow: optical flow to the next frame, one PNG or JPEG for each frame but the last, or empty. Red is u, green
            is v, blue is 0; levels 0..255 span -saturation..saturation pixels.
        saturation: largest flow that is stored, in pixels.
        true_flow: the target of networks that estimate flow, one PNG for each frame but the last, see
            `flow_files.from_png`; or empty.
    """

    images: Sequence[bytes] | EncodedVideo
    labels: Sequence[int]
    label_names: Sequence[str] = ()
    media_id: str = ""
    fps: float = 0.0
    height: int = 0
    width: int = 0
    start: float = 0.0
    end: float = 0.0
    frame_labels: Sequence[int] = ()
    segments: Sequence[IndexedSegment] = ()
    features: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    feature_times: Mapping[str, Sequence[float]] = dataclasses.field(default_factory=dict)
    flow: Sequence[bytes] = ()
    saturation: float = SATURATION
    true_flow: Sequence[bytes] = ()


def encode(example: Example) -> bytes:
    """Serialises the example as a SequenceExample; timestamps are in microseconds.

    Raises:
        ValueError: if it is larger than the 2 GiB that protobuf allows.
    """
    proto = tf_example.SequenceExample()
    context = proto.context.feature
    context["clip/media_id"].bytes_list.value.append(_to_bytes(example.media_id))
    context["clip/label/index"].int64_list.value.extend(example.labels)
    for key in ("clip/label/text", "clip/label/string"):  # DMVR's name, MediaSequence's name
        context[key].bytes_list.value.extend(map(_to_bytes, example.label_names))
    context["clip/start/timestamp"].int64_list.value.append(round(example.start * 1e6))
    context["clip/end/timestamp"].int64_list.value.append(round(example.end * 1e6))
    context["image/frame_rate"].float_list.value.append(example.fps)
    context["image/height"].int64_list.value.append(example.height)
    context["image/width"].int64_list.value.append(example.width)
    if example.segments:
        starts, ends, indices, names = zip(*example.segments, strict=True)
        for key, seconds in (("segment/start/timestamp", starts), ("segment/end/timestamp", ends)):
            context[key].int64_list.value.extend(round(x * 1e6) for x in seconds)
        context["segment/label/index"].int64_list.value.extend(indices)
        context["segment/label/string"].bytes_list.value.extend(map(_to_bytes, names))
    pictures = {"image/": example.images}
    if example.flow:
        pictures[FLOW] = example.flow
        context[FLOW + "saturation"].float_list.value.append(example.saturation)
    if example.true_flow:
        pictures[TRUE_FLOW] = example.true_flow
    for prefix, images in pictures.items():
        encoded = proto.feature_lists.feature_list[prefix + "encoded"].feature
        timestamps = proto.feature_lists.feature_list[prefix + "timestamp"].feature
        if isinstance(images, EncodedVideo):
            context[ENCODED_VIDEO].bytes_list.value.append(images.data)
        else:
            for image in images:
                encoded.add().bytes_list.value.append(image)
        for i in range(len(images)):
            seconds = example.start + (i / example.fps if example.fps else 0.0)
            timestamps.add().int64_list.value.append(round(seconds * 1e6))
    if example.frame_labels:
        frame_labels = proto.feature_lists.feature_list["image/label/index"].feature
        for label in example.frame_labels:
            frame_labels.add().int64_list.value.append(label)
    for prefix, vectors in example.features.items():
        steps = proto.feature_lists.feature_list[prefix + FEATURES].feature
        for vector in vectors:
            steps.add().float_list.value.extend(vector.tolist())
    for prefix, times in example.feature_times.items():
        steps = proto.feature_lists.feature_list[prefix + FEATURE_TIMES].feature
        for seconds in times:
            steps.add().int64_list.value.append(round((example.start + seconds) * 1e6))
    try:
        return proto.SerializeToString(deterministic=True)
    except Exception as error:  # protobuf's EncodeError differs between implementations
        raise ValueError(f"{example.media_id}: a record holds at most 2 GiB ({error}); split the video.") from None


def _to_bytes(name: str) -> bytes:
    return name.encode(errors="surrogateescape")  # keeps the bytes of file names that are not UTF-8


class Images(Sequence):
    """The compressed frames of a parsed record; each is copied only on access."""

    def __init__(self, steps):
        self._steps = steps

    def __len__(self) -> int:
        return len(self._steps)

    def __getitem__(self, index: int) -> bytes:
        return self._steps[index].bytes_list.value[0]


def decode(data: bytes) -> Example:
    """Parses a record written by `encode`, DMVR or MediaSequence. Missing keys get the defaults of `Example`.

    Names that are not UTF-8 are escaped: caf\\xe9.mp4.

    Raises:
        ValueError: if the bytes are not a SequenceExample.
    """
    try:
        proto = tf_example.SequenceExample.FromString(data)
    except Exception as error:  # protobuf's DecodeError differs between implementations
        raise ValueError(f"The record is not a tf.train.SequenceExample: {error}.") from None
    context, lists = proto.context.feature, proto.feature_lists.feature_list

    def first(key, kind, default):
        values = getattr(context[key], kind).value if key in context else ()
        return values[0] if values else default

    def numbers(key):
        return list(context[key].int64_list.value) if key in context else []

    def texts(key):
        return [to_text(value) for value in context[key].bytes_list.value] if key in context else []

    def to_text(value):
        return value.decode(errors="backslashreplace")

    def steps(key):
        return lists[key].feature if key in lists else ()

    start = first("clip/start/timestamp", "int64_list", 0)
    images = Images(steps("image/encoded"))
    if not images and (encoded := first(ENCODED_VIDEO, "bytes_list", b"")):
        images = EncodedVideo(encoded, len(steps("image/timestamp")))
    return Example(
        images=images,
        labels=numbers("clip/label/index"),
        label_names=texts("clip/label/text") or texts("clip/label/string"),
        media_id=to_text(first("clip/media_id", "bytes_list", b"")),
        fps=first("image/frame_rate", "float_list", 0.0),
        height=first("image/height", "int64_list", 0),
        width=first("image/width", "int64_list", 0),
        start=start / 1e6,
        end=first("clip/end/timestamp", "int64_list", 0) / 1e6,
        frame_labels=[step.int64_list.value[0] for step in steps("image/label/index")],
        segments=tuple(
            IndexedSegment(start / 1e6, end / 1e6, label, name)
            for start, end, label, name in zip(
                numbers("segment/start/timestamp"),
                numbers("segment/end/timestamp"),
                numbers("segment/label/index"),
                texts("segment/label/string"),
                strict=False,
            )
        ),
        features={
            key.removesuffix(FEATURES): np.array([step.float_list.value for step in steps(key)], np.float32)
            for key in lists
            if key.endswith(FEATURES)
        },
        feature_times={
            key.removesuffix(FEATURE_TIMES): [(step.int64_list.value[0] - start) / 1e6 for step in steps(key)]
            for key in lists
            if key.endswith(FEATURE_TIMES)
        },
        flow=Images(flow) if (flow := steps(FLOW + "encoded")) else (),
        saturation=first(FLOW + "saturation", "float_list", SATURATION),
        true_flow=Images(true) if (true := steps(TRUE_FLOW + "encoded")) else (),
    )
