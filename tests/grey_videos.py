"""Small videos whose frames are told apart by their grey, in any container and codec."""

import itertools

import av
import numpy as np

from vidjax.data import video

FPS = 10
OPTIONS = {"libx264": {"g": "100", "bf": "2"}, "mjpeg": {}}


def grey(numbers, height=32, width=48):
    """Frame i is a grey of level 4 i + 16."""
    return [np.full((height, width, 3), 4 * i + 16, np.uint8) for i in numbers]


def numbers_of(frames):
    return [round((float(frame.mean()) - 16) / 4) for frame in frames]


def read(path, **part):
    return numbers_of(video.read_video(path, **part).frames)


def write(path, frames, codec="libx264", options=None, mux=None, **container):
    """Writes frames at 10 fps; `mux(i, packet)` may change or drop (None) the i-th packet."""
    with av.open(str(path), "w", **container) as output:
        stream = output.add_stream(codec, rate=FPS, options=OPTIONS[codec] if options is None else options)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        encoded = (stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")) for frame in frames)
        for i, packet in enumerate(itertools.chain.from_iterable((*encoded, stream.encode()))):
            packet = mux(i, packet) if mux else packet
            if packet is not None:
                output.mux(packet)
    return path
