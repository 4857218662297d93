import numpy as np

from vidjax.weights.table.words import CLIP_BPE, WORDS


def test_networks_of_words_have_a_text_tower_and_no_classes():
    for entry in WORDS.values():
        assert entry.text and not entry.labels


def test_clip_is_normalised_as_openai_does():
    """openai/CLIP, clip/clip.py, Normalize, in units of 0..1."""
    preprocess = WORDS["clip_vit_b32"].preprocess
    np.testing.assert_allclose(np.array(preprocess["mean"]) / 255, [0.48145466, 0.4578275, 0.40821073], atol=1e-6)
    np.testing.assert_allclose(np.array(preprocess["std"]) / 255, [0.26862954, 0.26130258, 0.27577711], atol=1e-6)


def test_openai_and_open_clip_differ_in_activation_and_share_a_vocabulary():
    assert "activation" not in WORDS["clip_vit_b32"].model  # QuickGELU
    assert WORDS["clip_vit_b32_laion2b"].model["activation"] == "gelu"
    assert {entry.text.tokenizer for name, entry in WORDS.items() if name.startswith("clip")} == {CLIP_BPE}
