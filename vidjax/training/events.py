"""The scalars of metrics.jsonl as an event file, for `tensorboard --logdir runs`."""

import os
import sys
import time
from pathlib import Path

BESIDE = ("step", "time")  # where a scalar stands, and when it was written: no scalars themselves


class EventFile:
    """The event file of a work directory. It holds what metrics.jsonl holds, under the same names, at the same steps.

    It is written anew from the lines that a run goes on from, and the one of before is emptied. TensorBoard's own way,
    a second file that says from which step on the first no longer counts, is not exact: its data server, which it uses
    by default, passes over that, and so do other readers.

    Values are float32, as the format has them.

    Args:
        directory: of the run; it is there.
        lines: of metrics.jsonl so far.

    Raises:
        OSError: as of any file, also where the disk is full.
    """

    def __init__(self, directory: Path, lines: list[dict]):
        for path in directory.glob("events.out.tfevents.*"):
            if path.stat().st_size:
                os.truncate(path, 0)  # a TensorBoard that is reading it would not get over its end
            else:
                path.unlink()
        self._writer, self._protos = _open(directory)
        # A TensorBoard that is looking on forgets what it has read of the file before
        start = self._protos.SessionLog(status=self._protos.SessionLog.START)
        self._writer.write_event(self._protos.Event(wall_time=time.time(), step=0, session_log=start))
        for line in lines:
            self._add(line)
        self._writer.flush()

    def write(self, line: dict):
        """Adds a line of metrics.jsonl; it is on the disk when this returns."""
        self._add(line)
        self._writer.flush()

    def _add(self, line: dict):
        # Lines of runs that were begun before there were event files have no time
        event = self._protos.Event(wall_time=line.get("time", time.time()), step=line["step"])
        for name, value in line.items():
            if name not in BESIDE:
                event.summary.value.add(tag=name, simple_value=value)
        self._writer.write_event(event)


def _open(directory: Path):
    """tensorboardX's writer that writes at once, and its protos.

    Its usual one writes in a thread, where a full disk ends the thread and nobody hears of it.
    """
    hidden = "torch" not in sys.modules
    if hidden:  # tensorboardX imports PyTorch where it is installed: 5 s and 490 MB for nothing
        sys.modules["torch"] = None
    try:
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto import event_pb2
    finally:
        if hidden:
            del sys.modules["torch"]
    return EventsWriter(str(directory / "events")), event_pb2
