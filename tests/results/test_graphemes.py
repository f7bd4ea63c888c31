import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tp_mcp.results.text import LONGEST_CLUSTER, Size, cut_after, cut_before, head_within, shorten_middle, tail_within

CLUSTERS = {
    "a combining accent": "e\u0301",
    "several marks": "a\u0300\u0323\u0330",
    "an enclosing mark": "a\u20dd",
    "a mark that takes room": "\u0ba8\u0bbf",
    "a Thai vowel": "\u0e01\u0e33",
    "an Indic conjunct": "\u0915\u094d\u0937",
    "a sign that comes before its letter": "\u0600\u0661",
    "a skin tone": "\U0001f44d\U0001f3fd",
    "joined emoji": "\U0001f468\u200d\U0001f469\u200d\U0001f467",
    "a flag": "\U0001f1e9\U0001f1ea",
    "a flag spelt with tags": "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
    "a keycap": "1\ufe0f\u20e3",
    "a variation selector": "\u2764\ufe0f",
    "an ideographic variation": "\u845b\U000e0100",
    "Hangul from its parts": "\u1112\u1161\u11ab",
    "a Hangul syllable with a final": "\uac00\u11a8",
    "Hangul of a leading consonant and a syllable": "\u1100\uac00",
    "a half-width voiced sign": "\uff76\uff9e",
    "a joiner that keeps apart": "a\u200c",
    "a line break of two": "\r\n",
}


@pytest.mark.parametrize("cluster", CLUSTERS.values(), ids=CLUSTERS.keys())
def test_what_a_reader_sees_as_one_character_is_not_cut_in_two(cluster: str) -> None:
    text = f"ab{cluster}{cluster}cd"
    inside = range(3, 2 + len(cluster))
    assert inside
    assert {cut_before(text, at) for at in inside} == {2}
    assert {cut_after(text, at) for at in inside} == {2 + len(cluster)}
    between = 2 + len(cluster)
    assert cut_before(text, between) == cut_after(text, between) == between


@pytest.mark.parametrize("cluster", CLUSTERS.values(), ids=CLUSTERS.keys())
def test_a_shortened_text_begins_and_ends_with_whole_characters(cluster: str) -> None:
    text = cluster * 200
    for room in range(60, 90):
        head, _, rest = shorten_middle(text, Size(room, 10_000)).partition("[... ")
        tail = rest.partition(" ...]")[2]
        assert head == cluster * (len(head) // len(cluster))
        assert tail == cluster * (len(tail) // len(cluster))


def test_a_cluster_without_an_end_is_cut_where_it_has_to_be() -> None:
    text = "a" + "\u0301" * 1_000
    assert cut_before(text, 500) == cut_after(text, 500) == 500
    assert len(head_within(text, Size(500, 5_000))) == 500
    assert len(tail_within(text, Size(500, 5_000))) == 500


def test_a_long_row_of_flags_is_cut_between_two() -> None:
    text = "ab" + "\U0001f1e9\U0001f1ea" * 200
    assert {cut_before(text, at) for at in (300, 301)} == {300}
    assert {cut_after(text, at) for at in (299, 300)} == {300}


def test_text_without_ascii_is_cut_anywhere_between_its_characters() -> None:
    text = "\u8a9e" * 3_000
    assert cut_before(text, 2_500) == cut_after(text, 2_500) == 2_500


@given(st.text(st.sampled_from("a\u0301\u200d\U0001f3fd\U0001f1e9\u1161\r\n"), max_size=60), st.integers(0, 60))
def test_a_place_to_cut_is_near_and_inside_the_text(text: str, at: int) -> None:
    at = min(at, len(text))
    before, after = cut_before(text, at), cut_after(text, at)
    assert 0 <= before <= at <= after <= len(text)
    assert at - before < LONGEST_CLUSTER
    for place in (before, after):
        if place not in {0, at, len(text)} and text[place - 1] not in "\r\n":
            assert unicodedata.category(text[place]) not in {"Mn", "Mc", "Me"}
