"""Renders the videos of a dial: files whose paths name the level and the class."""

import re
import zlib
from pathlib import Path

from vidjax.data import video
from vidjax.data.synthetic import motion
from vidjax.data.synthetic.sight.count import COUNT
from vidjax.data.synthetic.sight.dial import Dial
from vidjax.data.synthetic.sight.gap import GAP
from vidjax.data.synthetic.sight.noise import DIRECTION, FORM
from vidjax.data.synthetic.sight.order import ORDER
from vidjax.data.synthetic.sight.small import SMALL
from vidjax.data.synthetic.sight.speed import SPEED

DIALS: dict[str, Dial] = {
    "direction": DIRECTION,
    "form": FORM,
    "gap": GAP,
    "speed": SPEED,
    "count": COUNT,
    "small": SMALL,
    "order": ORDER,
}


def render(
    directory: str | Path, name: str, *, num_videos: dict[str, int], seed: int = 0, num_workers: int = 2
) -> list[tuple[Path, str, str]]:
    """Renders `directory/SPLIT/level_LEVEL/CLASS/0000.mp4`, ... of one of `DIALS`; files that exist are kept.

    Args:
        num_videos: number of videos per split. First the classes alternate, then the levels: multiples of their product
            have equally many of each.

    Returns:
        (path, class, split) of each file.
    """
    tasks, files, dial = [], [], DIALS[name]
    for split, count in num_videos.items():
        for i in range(count):
            label, number = i % len(dial.classes), i // len(dial.classes)
            level = dial.levels[number % len(dial.levels)]
            folder = Path(directory) / split / f"level_{level:g}" / dial.classes[label]
            path = folder / f"{number // len(dial.levels):04d}.mp4"
            files.append((path, dial.classes[label], split))
            if not path.exists():
                # Unique per file, and shared with no other rendered dataset
                drawn = (1 << 99) + (seed << 64) + (zlib.crc32(split.encode()) << 32) + i
                tasks.append((path, name, label, level, drawn))
    motion.in_parallel(_render_one, tasks, num_workers)
    return files


def level_of(media_id: str) -> float | None:
    """Returns the level in the path of a video; None if it names none."""
    found = re.search(r"level_([\d.]+)[/\\]", media_id)
    return float(found[1]) if found else None


def _render_one(task):
    path, name, label, level, seed = task
    video.write_video(path, DIALS[name].clip(label, level, seed), 12.0)
