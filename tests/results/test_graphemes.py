import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tp_mcp.results.text import LONGEST_CLUSTER, Size, cut_after, cut_before, head_within, shorten_middle, tail_within

CLUSTERS = {
    "a combining accent": "e\u0301",
    "several marks": "a\u0300\u0323\u0330",
    "a skin tone": "\U0001f44d\U0001f3fd",
    "joined emoji": "\U0001f468\u200d\U0001f469\u200d\U0001f467",
    "a flag": "\U0001f1e9\U0001f1ea",
    "Hangul from its parts": "\u1112\u1161\u11ab",
    "a line break of two": "\r\n",
}


@pytest.mark.parametrize("cluster", CLUSTERS.values(), ids=CLUSTERS.keys())
def test_what_a_reader_sees_as_one_character_is_not_cut_in_two(cluster: str) -> None:
    text = f"ab{cluster}{cluster}cd"
    inside = range(3, 2 + len(cluster))
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


@given(st.text(st.sampled_from("a\u0301\u200d\U0001f3fd\U0001f1e9\u1161\r\n"), max_size=60), st.integers(0, 60))
def test_a_place_to_cut_is_near_and_inside_the_text(text: str, at: int) -> None:
    at = min(at, len(text))
    before, after = cut_before(text, at), cut_after(text, at)
    assert 0 <= before <= at <= after <= len(text)
    assert at - before < LONGEST_CLUSTER
    for place in (before, after):
        if place not in {0, at, len(text)}:
            assert unicodedata.category(text[place]) not in {"Mn", "Mc", "Me"}
