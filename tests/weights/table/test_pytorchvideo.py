from vidjax.weights.table.pytorchvideo import PYTORCHVIDEO


def test_clips_are_those_of_the_model_zoo():
    """pytorchvideo, docs/source/model_zoo.md: frames x sampling rate."""
    clips = {name: (x.clip["num_frames"], x.clip["frame_stride"]) for name, x in PYTORCHVIDEO.items()}
    assert clips["pytorchvideo_x3d_xs"] == (4, 12) and clips["pytorchvideo_x3d_s"] == (13, 6)
    assert clips["pytorchvideo_slowonly_r50_8x8"] == (8, 8) and clips["pytorchvideo_slowfast_r50_8x8"] == (32, 2)
