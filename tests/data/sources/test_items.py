from vidjax.data.sources.items import Item, words


def test_words_are_lower_case_and_commas_are_words():
    assert words("Red square grows, blue circle's half-full.") == (
        *("red", "square", "grows", ",", "blue"),
        *("circle's", "half-full"),
    )
    assert words(" .! ") == ()


def test_an_item_is_a_whole_video_by_default():
    item = Item("a.mp4", ("run",))
    assert (item.split, item.start, item.end, item.columns, item.segments) == ("", 0.0, None, {}, None)
