"""Encode the frames of a video as one MP4 in memory, and decode those that a clip needs.

H.264 in groups of `GROUP` frames. Each group begins with a key frame and refers to no other group, and there are no
B-frames: packet i is frame i, and it needs only the packets from the key frame before it.
"""

import bisect
import io
from fractions import Fraction

import av
import cv2
import numpy as np

from vidjax.data import containers, records

GROUP = 12  # frames: a key frame takes the space of several others; docs/datasets.md compares 4, 8 and 12
QUALITY = 23  # x264's own default; with `GROUP`, about a tenth of the bytes of JPEGs of quality 90
OPTIONS = {
    "g": str(GROUP),
    "keyint_min": str(GROUP),
    "sc_threshold": "0",  # no other key frames
    "bf": "0",
    "tune": "fastdecode",  # CAVLC, no deblocking: faster to decode, for up to an eighth more bytes
    "x264-params": "cpu-independent=1",  # the same bytes on every processor
}
NO_MESSAGES = "filter_units=remove_types=6"  # else x264 describes its options in hundreds of bytes of each video


class Writer:
    """Encodes frames as they come; only the compressed video is in memory."""

    def __init__(self, fps: float, quality: int = QUALITY):
        """Takes frames per second, 0 if they are unknown, and x264's rate factor: 0 is best, 51 worst."""
        self._rate = Fraction(fps or containers.FALLBACK_FPS).limit_denominator(1001) or 1  # for players only
        self._options = OPTIONS | {"crf": str(quality)}
        self._file, self._container, self._length = io.BytesIO(), None, 0

    @property
    def num_bytes(self) -> int:
        """Bytes of the frames that have left the encoder."""
        return self._file.tell()

    def add(self, frame: np.ndarray):
        """Encodes a frame, uint8 (H, W, 3) RGB. Odd sides are made even by repeating the last row or column.

        Raises:
            ValueError: if x264 cannot encode frames of this size.
        """
        height, width = frame.shape[:2]
        frame = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), "edge")
        if self._container is None:
            self._open(*frame.shape[:2])
        self._write(av.VideoFrame.from_ndarray(frame, format="rgb24"))
        self._length += 1

    def finish(self) -> records.EncodedVideo:
        """Returns the video; an empty one if there are no frames."""
        if self._container is not None:
            self._write(None)
            self._container.close()
        return records.EncodedVideo(self._file.getvalue(), self._length)

    def _open(self, height: int, width: int):
        self._container = av.open(self._file, "w", format="mp4")
        self._stream = self._container.add_stream("libx264", rate=self._rate, options=self._options)
        self._stream.codec_context.thread_count = 1  # more threads give other bytes
        self._stream.height, self._stream.width, self._stream.pix_fmt = height, width, "yuv420p"
        self._filter = av.bitstream.BitStreamFilterContext(NO_MESSAGES, self._stream)

    def _write(self, frame: av.VideoFrame | None):
        try:
            for packet in self._stream.encode(frame):  # None: those still in the encoder
                self._container.mux(self._filter.filter(packet))
        except av.error.FFmpegError as error:
            size = f"{self._stream.width}x{self._stream.height}"
            raise ValueError(f"frames of {size} pixels cannot be encoded as mp4: {error.strerror}") from None


class Reader:
    """Decodes frames by index. Ascending indices decode each group at most once, up to the last frame needed of it."""

    def __init__(self, example: records.Example):
        """Finds the packets of the video of an example; its frames are cut to the example's height and width.

        Raises:
            ValueError: if it is not such a video, or has another number of frames than the example.
        """
        self._data, self._name = example.images.data, example.media_id
        self._height, self._width = example.height or None, example.width or None
        try:
            with av.open(io.BytesIO(self._data), format="mp4") as container:  # other formats may name other files
                (stream,) = container.streams
                codec = stream.codec_context
                found, extradata = (codec.name, codec.pix_fmt, codec.has_b_frames), codec.extradata
                index = [(x.pos, x.size, x.is_keyframe) for x in stream.index_entries]
        except av.error.FFmpegError as error:
            raise self._error(f"cannot be read as MP4: {error.strerror}") from None
        except (ValueError, AttributeError):
            raise self._error("has to be one video stream in MP4, without others") from None
        self._packets = [slice(start, start + size) for start, size, _ in index]
        self._keys = [i for i, (_, _, is_key) in enumerate(index) if is_key]
        if found != ("h264", "yuv420p", False) or self._keys[:1] != [0]:
            raise self._error(f"is damaged, or is not H.264, yuv420p, without B-frames, but {found}")
        if len(index) != len(example.images):
            raise self._error(f"has {len(index)} frames, but the record has {len(example.images)} timestamps")
        self._decoder = av.CodecContext.create("h264", "r")
        self._decoder.extradata, self._decoder.thread_count = extradata, 1  # Grain's threads use all cores
        self._decoder.options = {"err_detect": "explode"}  # by default FFmpeg hides damage
        self._next = 0

    def __call__(self, index: int) -> np.ndarray:
        """Returns a frame, uint8 (H, W, 3) RGB. Raises a ValueError if it is damaged."""
        key = self._keys[bisect.bisect_right(self._keys, index) - 1]
        if not key <= self._next <= index:
            self._decoder.flush_buffers()
            self._next = key
        try:
            while self._next <= index:
                (frame,) = self._decoder.decode(av.Packet(self._data[self._packets[self._next]]))
                self._next += 1
        except (av.error.FFmpegError, ValueError) as error:
            why = getattr(error, "strerror", None) or "it gives no frame"
            raise self._error(f"is damaged at frame {self._next}: {why}") from None
        # More exact than swscale, which truncates: 1 to 2 dB closer to the frames that were encoded
        return cv2.cvtColor(frame.to_ndarray(), cv2.COLOR_YUV2RGB_I420)[: self._height, : self._width]

    def _error(self, problem: str) -> ValueError:
        return ValueError(f"The video in the record of {self._name!r} {problem}; remake the record.")
