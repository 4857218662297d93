"""Texts that are hard to split into tokens: accents, emoji, contractions, signs, long ones."""

import random

WORDS = "a person shaking hands école naïve 你好 мир 😀 👍🏽 don't they'll I'm 2024 3.14 x² ß İstanbul Straße U.S.A. "
WORDS += "--- :-) <html> &amp; cliché ÅNGSTRÖM ﬁne e\u0301 \t \n ... \"quote\" 's 'RE under_score CamelCase"


def sentences() -> list[str]:
    """1,000 texts, some of them longer than 77 tokens."""
    rng = random.Random(0)
    return [f"a {' '.join(rng.choices(WORDS.split(' '), k=rng.randint(1, 120)))}" for _ in range(1000)]
