import numpy as np

from vidjax.weights import clip_names, importers


def test_a_file_of_both_towers_gives_each_its_own_arrays():
    names = ["vision_model.post_layernorm.weight", "text_model.final_layer_norm.weight", "text_projection.weight"]
    arrays = {name: np.ones(2, np.float32) for name in [*names, "text_model.embeddings.position_ids"]}
    image, text = (importers.translate(arrays, x)[0] for x in (importers.CLIP_IMAGE, importers.CLIP_TEXT))
    assert list(image) == ["params/norm/scale"]
    assert list(text) == ["params/norm/scale", "params/projection/kernel"]


def test_only_projections_of_open_clip_are_transposed():
    arrays = {name: np.arange(6).reshape(2, 3) for name in ("visual.proj", "text_projection", "ln_final.weight")}
    turned = clip_names.transposed(arrays)
    assert [x.shape for x in turned.values()] == [(3, 2), (3, 2), (2, 3)]
    np.testing.assert_array_equal(turned["visual.proj"], arrays["visual.proj"].T)
