"""Published pairs of frames with true optical flow, in the folders of their authors.

    flying_chairs   data/00001_img1.ppm, 00001_img2.ppm, 00001_flow.flo; FlyingChairs_train_val.txt
    flying_things   frames_cleanpass/TRAIN/A/0000/left/0006.png, frames_finalpass;
                    optical_flow/TRAIN/A/0000/into_future/left/OpticalFlowIntoFuture_0006_L.pfm, into_past
    sintel          training/clean/SCENE/frame_0001.png, final; flow/SCENE/frame_0001.flo; invalid/SCENE/frame_0001.png
    kitti           training/image_2/000000_10.png, 000000_11.png, flow_occ/000000_10.png
    middlebury      other-data/SCENE/frame10.png, frame11.png; other-gt-flow/SCENE/flow10.flo

Each function lists `(directory) -> items`. Splits: train and val of FlyingChairs; train and test of FlyingThings;
clean and final of Sintel; train of KITTI; test of Middlebury.
"""

import re
from collections.abc import Callable, Iterable
from pathlib import Path

from vidjax.data.sources.items import Dataset, FlowFiles, Item

INPUTS = {"fps": 0.0, "short_side": 0, "true_flow": True}  # of `DatasetInfo`


def flying_chairs(directory: Path) -> list[Item]:
    """FlyingChairs (Dosovitskiy et al., ICCV 2015); without the list of splits all pairs are for training."""
    flows, lists = sorted(directory.rglob("*_flow.flo")), sorted(directory.rglob("FlyingChairs_train_val.txt"))
    splits = {"1": "train", "2": "val"}
    numbers = lists[0].read_text().split() if lists else ["1"] * len(flows)
    if len(numbers) != len(flows) or set(numbers) - set(splits):
        raise ValueError(f"{lists[0]} must hold 1 (train) or 2 (val) for each of the {len(flows)} files *_flow.flo.")
    pairs = zip(flows, numbers, strict=True)
    return [_item(_like(x, "_img1.ppm"), _like(x, "_img2.ppm"), x, splits[number]) for x, number in pairs]


def _like(flow: Path, ending: str) -> Path:
    return flow.with_name(flow.name.removesuffix("_flow.flo") + ending)


def flying_things(directory: Path) -> list[Item]:
    """FlyingThings3D (Mayer et al., CVPR 2016): the left camera, both passes, flow into the future and the past."""
    items = []
    for flow in sorted((directory / "optical_flow").rglob("left/*.pfm")):
        match = re.fullmatch(r"OpticalFlowInto(Future|Past)_(\d+)_L", flow.stem)
        if not match:
            continue
        split, *scene = flow.relative_to(directory / "optical_flow").parts[:-3]
        number = int(match[2]) + (1 if match[1] == "Future" else -1)
        for kind in ("frames_cleanpass", "frames_finalpass"):
            folder = directory.joinpath(kind, split, *scene, "left")
            first, second = folder / f"{match[2]}.png", folder / f"{number:0{len(match[2])}d}.png"
            if first.exists() and second.exists():
                items.append(_item(first, second, flow, split.lower()))
    return items


def sintel(directory: Path) -> list[Item]:
    """MPI Sintel (Butler et al., ECCV 2012), the part with public flow."""
    items, training = [], directory / "training"
    for flow in sorted((training / "flow").rglob("*.flo")):
        scene, number = flow.parent.name, int(flow.stem.rpartition("_")[2])
        invalid = training / "invalid" / scene / f"{flow.stem}.png"
        for kind in ("clean", "final"):
            first, second = (training / kind / scene / f"frame_{i:04d}.png" for i in (number, number + 1))
            items.append(_item(first, second, flow, kind, invalid if invalid.exists() else ""))
    return items


def kitti(directory: Path) -> list[Item]:
    """KITTI 2015 (Menze and Geiger, CVPR 2015), the part with public flow; occluded pixels count."""
    frames = directory / "training" / "image_2"
    flows = sorted((directory / "training" / "flow_occ").glob("*_10.png"))
    return [_item(frames / x.name, frames / x.name.replace("_10.", "_11."), x, "train") for x in flows]


def middlebury(directory: Path) -> list[Item]:
    """Middlebury (Baker et al., IJCV 2011), the sequences with public flow."""
    flows = sorted(directory.rglob("other-gt-flow/*/flow10.flo"))
    folders = [x.parents[2] / "other-data" / x.parent.name for x in flows]
    pairs = zip(flows, folders, strict=True)
    return [_item(folder / "frame10.png", folder / "frame11.png", x, "test") for x, folder in pairs]


def _item(first: Path, second: Path, flow: Path, split: str, invalid: Path | str = "") -> Item:
    return Item(str(first), (), split, pair=FlowFiles(str(second), str(flow), str(invalid)))


DATASETS = {
    "flying_chairs": flying_chairs,
    "flying_things": flying_things,
    "sintel": sintel,
    "kitti": kitti,
    "middlebury": middlebury,
}


def find(name: str, directory: Path, say: Callable[[str], None]) -> Dataset:
    """Lists the pairs of a published dataset; those that lack a file are reported and left out.

    Raises:
        ValueError: if there is no pair.
    """
    items = DATASETS[name](directory)
    absent = {item.path: _absent(item) for item in items if _absent(item)}
    if absent:
        say(f"note: {len(absent)} of {len(items)} pairs lack a file, such as {next(iter(absent.values()))}; left out.")
    items = [item for item in items if item.path not in absent]
    if not items:
        raise ValueError(f"{directory} holds no pairs of {name}; it must hold the folders that its authors publish.")
    return of_pairs(items)


def _absent(item: Item) -> str:
    """Returns the first file of a pair that does not exist, or ""."""
    return next((path for path in (item.path, *item.pair) if path and not Path(path).exists()), "")


def of_pairs(items: Iterable[Item]) -> Dataset:
    """Returns a dataset of pairs, which have no classes."""
    return Dataset(list(items), [], "unchanged", inputs=dict(INPUTS))
