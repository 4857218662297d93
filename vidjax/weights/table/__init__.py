"""The table of published weights: source, checksum, licence, classes, preprocessing, importer.

Numbers and addresses come from the repositories in `source`. For publishers that give no full SHA-256, the checksum is
MD5 (Keras), git's object name (kinetics-i3d, pytorch-i3d), or the first digits of the SHA-256 (torchvision). There is
one file per family; `entry.Weights` says what an entry holds.
"""

from vidjax.weights.table.clips import CLIPS
from vidjax.weights.table.entry import Text, Weights
from vidjax.weights.table.flow import FLOW, FLOW_FILES
from vidjax.weights.table.frames import FRAMES
from vidjax.weights.table.i3d import I3D_STREAMS
from vidjax.weights.table.pytorchvideo import PYTORCHVIDEO
from vidjax.weights.table.transformers import TRANSFORMERS
from vidjax.weights.table.tsm import TSMS
from vidjax.weights.table.words import WORDS

__all__ = ["FILES_ONLY", "WEIGHTS", "Text", "Weights"]

WEIGHTS = {**I3D_STREAMS, **CLIPS, **PYTORCHVIDEO, **TSMS, **FRAMES, **TRANSFORMERS, **WORDS, **FLOW}
FILES_ONLY = FLOW_FILES  # networks whose weights cannot be downloaded by name
