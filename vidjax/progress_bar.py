"""Progress bars: redrawn in place on a terminal, printed as occasional lines in a log file."""

import sys

from tqdm import tqdm

TERMINAL_SECONDS = 0.5  # between two redraws
LOG_SECONDS = 30.0  # between two lines of a log file


class LogBar(tqdm):
    """A tqdm for output that is not a terminal: every update is a new line, and short work prints nothing."""

    def display(self, msg: str | None = None, pos: int | None = None):
        """Prints the bar as a line; ignores the empty message with which tqdm clears a bar."""
        text = str(self) if msg is None else msg
        if text and self.n > self.initial:
            print(text, file=self.fp, flush=True)
            self.shown = True

    def close(self):
        """Prints a last line if the bar stays (`leave`) or has printed a line before."""
        if self.disable:
            return
        if self.leave or getattr(self, "shown", False):
            self.display()
        self.leave = False  # tqdm would print the bar once more, and an empty line
        super().close()


def progress_bar(iterable=None, description: str = "", total: int | None = None, **options) -> tqdm:
    """Returns a progress bar on stderr, over `iterable` or for calls of `update`.

    Args:
        description: shown before the bar.
        total: number of updates; by default the length of `iterable`.
        **options: options of tqdm: `unit`, `initial`, `leave`, `disable`.
    """
    is_terminal = sys.stderr.isatty()
    kind, seconds = (tqdm, TERMINAL_SECONDS) if is_terminal else (LogBar, LOG_SECONDS)
    return kind(iterable, description, total, mininterval=seconds, maxinterval=max(seconds, 10.0), **options)
