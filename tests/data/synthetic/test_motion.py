import numpy as np
import pytest
from sklearn.ensemble import ExtraTreesClassifier

from vidjax.data import video
from vidjax.data.synthetic import motion


def test_classes_are_sorted_pairs():
    assert list(motion.CLASSES) == sorted(motion.CLASSES)
    assert [motion.CLASSES[partner] for partner in motion.REVERSED] == [
        *("counter_clockwise", "clockwise", "up", "shrinking", "right", "left", "growing", "down")
    ]


def test_a_clip_is_a_pure_function():
    clip = motion.clip(3, 7, num_frames=8, size=32)
    assert clip.shape == (8, 32, 32, 3)
    assert clip.dtype == np.uint8
    np.testing.assert_array_equal(clip, motion.clip(3, 7, num_frames=8, size=32))
    assert (clip != motion.clip(3, 8, num_frames=8, size=32)).any()


@pytest.mark.parametrize("label", range(8))
def test_partners_are_each_others_reverse(label):
    np.testing.assert_array_equal(motion.clip(label, 5), motion.clip(motion.REVERSED[label], 5)[::-1])


def sprite_centre_and_area(frame, background):
    moved = np.abs(frame.astype(int) - background).max(axis=-1) > 50
    rows, columns = np.nonzero(moved)
    return rows.mean(), columns.mean(), moved.sum()


def test_the_motion_matches_the_class():
    for seed in range(10):
        for name, axis, sign in (("right", 1, 1), ("down", 0, 1), ("growing", 2, 1), ("up", 0, -1), ("left", 1, -1)):
            clip = motion.clip(motion.CLASSES.index(name), seed)
            background = np.median(clip, axis=0) if name != "growing" else None
            if background is None:
                rng = np.random.default_rng((motion.DRAWN.index(name), seed))
                levels = rng.permutation([80.0, 175.0])
                background = motion._texture(rng, 64, levels[0])
            first, last = (sprite_centre_and_area(frame, background)[axis] for frame in (clip[0], clip[-1]))
            assert sign * (last - first) > 5, (name, seed)


def test_render_writes_each_file_once(tmp_path):
    files = motion.render(tmp_path, num_videos={"train": 8, "test": 8}, num_frames=4, size=32)
    assert len(files) == 16
    assert sorted({name for _, name, _ in files}) == list(motion.CLASSES)
    times = {path: path.stat().st_mtime_ns for path, _, _ in files}
    assert motion.render(tmp_path, num_videos={"train": 8, "test": 8}, num_frames=4, size=32) == files
    assert {path: path.stat().st_mtime_ns for path, _, _ in files} == times
    videos = [video.read_video(path).frames.tobytes() for path, _, _ in files]
    assert len(set(videos)) == 16  # no video of any split or class stands there twice
    with pytest.raises(ValueError, match="9 train videos do not divide over 8 classes"):
        motion.render(tmp_path, num_videos={"train": 9})


# ------------------------------------------------------------------------- what an order-blind classifier can find out


def frame_statistics(frames):
    """Of each frame: brightness, contrast, energies of detail (which coding changes), the sprite's place: (T, 8)."""
    grey = frames.astype(float).mean(axis=-1)  # (T, H, W)
    across, down = np.diff(grey, axis=2)[:, 1:], np.diff(grey, axis=1)[:, :, 1:]
    detail = 4 * grey[:, 1:-1, 1:-1] - grey[:, :-2, 1:-1] - grey[:, 2:, 1:-1] - grey[:, 1:-1, :-2] - grey[:, 1:-1, 2:]
    sprite = np.abs(grey - np.median(grey, axis=0)) > 30  # where the sprite is now and mostly is not
    columns, rows = np.arange(grey.shape[2]), np.arange(grey.shape[1])[:, None]
    count = np.maximum(sprite.sum(axis=(1, 2)), 1)
    statistics = [grey.mean(axis=(1, 2)), grey.std(axis=(1, 2)), np.log((across**2).mean(axis=(1, 2)) + 1)]
    statistics += [np.log((down**2).mean(axis=(1, 2)) + 1), np.log((detail**2).mean(axis=(1, 2)) + 1)]
    statistics += [
        (sprite * columns).sum(axis=(1, 2)) / count,
        (sprite * rows).sum(axis=(1, 2)) / count,
        np.sqrt(count),
    ]
    return np.stack(statistics, axis=1)


def order_blind_features(frames):
    """Symmetric functions of the set of frames: how the statistics go together, and those of the sharpest frame."""
    statistics = frame_statistics(frames)
    centred = (statistics - statistics.mean(axis=0)) / (statistics.std(axis=0) + 1e-6)
    together = (centred.T @ centred / len(centred))[np.triu_indices(centred.shape[1], 1)]
    sharpness = centred[:, 4].round(6)  # frames that the codec repeats are equally sharp: none of them may count first
    extremes = [centred[sharpness == extreme].mean(axis=0) for extreme in (sharpness.max(), sharpness.min())]
    return np.concatenate([statistics.std(axis=0), (centred**3).mean(axis=0), together, *extremes])


def test_the_features_do_not_see_the_order():
    frames = np.repeat(motion.clip(3, 5, num_frames=8, size=48), 2, axis=0)  # each frame twice: ties
    shuffled = np.random.default_rng(0).permutation(frames)
    np.testing.assert_allclose(order_blind_features(shuffled), order_blind_features(frames), atol=1e-9)


def accuracy_within_pairs(directory, num_train, num_test, all_intra):
    """How often an order-blind classifier tells a class from its partner, over all four pairs."""
    counts = {"train": num_train, "test": num_test}
    files = motion.render(directory, num_videos=counts, num_frames=16, size=48, all_intra=all_intra)
    labels = np.array([motion.CLASSES.index(name) for _, name, _ in files])
    train = np.array([split == "train" for _, _, split in files])
    features = np.stack([order_blind_features(video.read_video(path).frames) for path, _, _ in files])
    right = 0
    for label in range(8):
        partner = motion.REVERSED[label]
        if label < partner:
            pair = np.isin(labels, (label, partner))
            classifier = ExtraTreesClassifier(200, min_samples_leaf=3, random_state=0)
            classifier.fit(features[train & pair], labels[train & pair])
            right += (classifier.predict(features[~train & pair]) == labels[~train & pair]).sum()
    return right / num_test


@pytest.mark.parametrize("label", range(8))
def test_all_intra_coding_commutes_with_reversing(label, tmp_path):
    """So what is decoded of a class is exactly the reverse of what is decoded of its partner: nothing can leak."""
    clip = motion.clip(label, 5)
    for name, frames, all_intra in [("a", clip, True), ("b", clip[::-1], True), ("c", clip[::-1], False)]:
        video.write_video(tmp_path / f"{name}.mp4", frames, 12, all_intra=all_intra)
    forwards, backwards, ordinary = (video.read_video(tmp_path / f"{name}.mp4").frames for name in "abc")
    np.testing.assert_array_equal(forwards, backwards[::-1])
    assert (forwards != ordinary[::-1]).any()


@pytest.mark.slow
def test_only_all_intra_coding_hides_the_order(tmp_path):
    num_train, num_test = 400, 400
    hidden = accuracy_within_pairs(tmp_path / "all_intra", num_train, num_test, all_intra=True)
    leaked = accuracy_within_pairs(tmp_path / "ordinary", num_train, num_test, all_intra=False)
    three_errors = 3 * 0.5 / np.sqrt(num_test)
    print(f"order-blind accuracy within pairs, {num_test} videos: all-intra {hidden:.3f}, ordinary {leaked:.3f}")
    assert abs(hidden - 0.5) < three_errors
    assert leaked > 0.5 + three_errors


def test_concatenations_are_clips_in_a_row():
    frames, labels = motion.concatenation(7, 3, num_frames=8, size=32)
    assert frames.shape == (24, 32, 32, 3)
    classes = motion.drawn_classes(7, 3)
    assert labels == [classes[0]] * 8 + [classes[1]] * 8 + [classes[2]] * 8
    np.testing.assert_array_equal(frames[8:16], motion.clip(classes[1], (7 << 8) + 1, num_frames=8, size=32))
    assert motion.runs_of([2, 2, -1, 3, 3, 3], 2.0) == [(0.0, 1.0, "down"), (1.5, 3.0, "growing")]
    assert {label for number in range(40) for label in motion.drawn_classes(number, 4)} == set(range(8))


def test_background_between_clips():
    frames, labels = motion.concatenation(7, 3, num_frames=8, size=32, background=5)
    rests = motion.drawn_rests(7, 3, 5)
    assert len(rests) == 4 and sum(rests) == 20 and min(rests) >= 0 and len(frames) == len(labels) == 3 * 8 + 20
    assert len({tuple(motion.drawn_rests(number, 3, 5)) for number in range(20)}) > 10
    first = rests[0]
    assert labels[: first + 8] == [-1] * first + [motion.drawn_classes(7, 3)[0]] * 8
    without, _ = motion.concatenation(7, 3, num_frames=8, size=32)
    np.testing.assert_array_equal(frames[first : first + 8], without[:8])
    resting = np.array([label < 0 for label in labels])
    moves = np.abs(np.diff(frames.astype(int), axis=0)).mean((1, 2, 3))
    both = resting[1:] & resting[:-1]
    assert moves[both].max() < 4 < moves[~both].mean()  # only noise changes
    assert motion.drawn_rests(7, 3, 0) == [0] * 4
