"""The scalars of metrics.jsonl as an event file, for `tensorboard --logdir runs`."""

import os
import sys
import time
from pathlib import Path

POSITION = ("step", "time")  # position of the scalars, not scalars themselves


class EventFile:
    """The event file of a work directory: the content of metrics.jsonl, with the same names and steps, in float32.

    A continued run writes a new file from the lines that it continues from, and empties the previous one. TensorBoard's
    own method, a second file that marks the steps from which the first is invalid, is not exact: TensorBoard's default
    data server and other readers ignore the mark.

    Args:
        directory: existing directory of the run.
        lines: lines of metrics.jsonl so far.

    Raises:
        OSError: if the file cannot be written, for example on a full disk.
    """

    def __init__(self, directory: Path, lines: list[dict]):
        for path in directory.glob("events.out.tfevents.*"):
            if path.stat().st_size:
                os.truncate(path, 0)  # deleting it would break a TensorBoard that reads it
            else:
                path.unlink()
        self._writer, self._protos = _open(directory)
        # Makes a running TensorBoard forget the previous file
        start = self._protos.SessionLog(status=self._protos.SessionLog.START)
        self._writer.write_event(self._protos.Event(wall_time=time.time(), step=0, session_log=start))
        for line in lines:
            self._add(line)
        self._writer.flush()

    def write(self, line: dict):
        """Adds a line of metrics.jsonl and flushes it to disk."""
        self._add(line)
        self._writer.flush()

    def _add(self, line: dict):
        # Lines of older runs have no time
        event = self._protos.Event(wall_time=line.get("time", time.time()), step=line["step"])
        for name, value in line.items():
            if name not in POSITION:
                event.summary.value.add(tag=name, simple_value=value)
        self._writer.write_event(event)


def _open(directory: Path):
    """Returns the synchronous writer of tensorboardX, and its protos.

    The usual writer runs in a thread, where the error of a full disk would be lost.
    """
    hidden = "torch" not in sys.modules
    if hidden:  # tensorboardX imports PyTorch if installed, which costs 5 s and 490 MB
        sys.modules["torch"] = None
    try:
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto import event_pb2
    finally:
        if hidden:
            del sys.modules["torch"]
    return EventsWriter(str(directory / "events")), event_pb2
