"""Writes charades.json: the average precision of Charades' official script for random predictions.

    python tests/peers/make_charades.py Charades_v1_classify.m         needs Octave

The argument is the script of Charades.zip (prior.allenai.org/projects/charades). Made with Octave 7.3.0. Octave cannot
read the format that the script gives to `textread`, so a function of that name reads the file in its place.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

NUM_CASES, NUM_VIDEOS, NUM_CLASSES = 5, 60, 157  # the script expects 157 classes
SCALE = 10**6  # metrics are stored as integers in units of 1 / SCALE
HEADER = "id,subject,scene,quality,relevance,verified,script,objects,descriptions,actions,length\n"
TEXTREAD = r"""function [names, rest] = textread(file, format)
names = {}; rest = {};
opened = fopen(file);
while ischar(line = fgetl(opened))
  space = find(line == ' ', 1);
  names{end + 1, 1} = line(1:space - 1);
  rest{end + 1, 1} = line(space + 1:end);
end
fclose(opened);
"""


def case(number: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores (60, 157), of which many are equal, and multi-hot targets: every eighth video has no label."""
    rng = np.random.RandomState(number)
    scores = rng.randint(40, size=(NUM_VIDEOS, NUM_CLASSES)) / 40
    target = rng.random_sample((NUM_VIDEOS, NUM_CLASSES)) < 0.05
    target[(7 * np.arange(NUM_CLASSES)) % NUM_VIDEOS, np.arange(NUM_CLASSES)] = True
    target[3::8] = False
    target[0] |= ~target.any(axis=0)  # each class occurs
    return scores, target


def results(script: Path, scores: np.ndarray, target: np.ndarray) -> list[int]:
    """The mean average precision and the average precision of each class by the official script."""
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        shutil.copy(script, folder / "Charades_v1_classify.m")
        (folder / "textread.m").write_text(TEXTREAD)
        actions = [";".join(f"c{k:03} 0.00 5.00" for k in np.flatnonzero(row)) for row in target]
        rows = [f"V{i:04},S,Hall,6,7,Yes,a b,x,c d,{of},20.00\n" for i, of in enumerate(actions)]
        (folder / "truth.csv").write_text(HEADER + "".join(rows))
        lines = [f"V{i:04} {' '.join(f'{x:.3f}' for x in row)}\n" for i, row in enumerate(scores)]
        (folder / "scores.txt").write_text("".join(lines))
        command = "[r, p, ap, m] = Charades_v1_classify('scores.txt', 'truth.csv'); printf('\\nRESULT'); "
        command += "printf(' %.12f', m, ap); printf('\\n');"
        done = subprocess.run(["octave-cli", "--eval", command], cwd=folder, capture_output=True, text=True)
        line = next(line for line in done.stdout.splitlines() if line.startswith("RESULT"))
    return [round(float(x) * SCALE) for x in line.split()[1:]]


if __name__ == "__main__":
    found = [results(Path(sys.argv[1]), *case(number)) for number in range(NUM_CASES)]
    Path(__file__).with_name("charades.json").write_text(json.dumps(found).replace("], ", "],\n") + "\n")
