from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jobs.adapters.names import to_bytes, to_name

MAPPED = "".join(chr(code) for code in range(0xEF80, 0xF000))
near_utf8 = st.lists(
    st.one_of(
        st.binary(max_size=4),
        st.text(max_size=3).map(str.encode),
        st.sampled_from(MAPPED).map(str.encode),
        st.sampled_from([b"\xee", b"\xee\xbe", b"\xee\xbf", b"\x80", b"\xbf", b"\xf0\x90", b"\xed\xa0\x80", b"\xc0\xaf"]),
    ),
    max_size=8,
).map(b"".join)
ordinary = st.text().filter(lambda text: not set(text) & set(MAPPED))


@given(near_utf8)
@example(b"\xe9t\xe9.jpg")
@example("\uef80".encode())
@example("\uefff".encode())
@example(b"\xee" + "\uef80".encode() + b"\xee\xbe")
def test_any_bytes_have_a_name_that_utf8_carries_and_that_leads_back(raw: bytes) -> None:
    name = to_name(raw)
    assert to_bytes(name.encode().decode()) == raw


@given(near_utf8, near_utf8)
@example(b"\x80", "\uef80".encode())
def test_different_bytes_have_different_names(one: bytes, two: bytes) -> None:
    assert (to_name(one) == to_name(two)) == (one == two)


@given(ordinary)
def test_ordinary_names_are_unchanged(name: str) -> None:
    assert to_name(name.encode()) == name
    assert to_bytes(name) == name.encode()


@given(st.lists(ordinary))
def test_ordinary_names_keep_the_order_of_their_bytes(names: list[str]) -> None:
    assert sorted(names, key=str.encode) == [to_name(raw) for raw in sorted(name.encode() for name in names)]


@given(st.one_of(st.text(), st.text(alphabet=MAPPED + "a")))
@example("\uefc3\uefa9")
def test_no_two_texts_lead_to_the_same_bytes(name: str) -> None:
    try:
        raw = to_bytes(name)
    except ValueError:
        return
    assert to_name(raw) == name


def test_latin_1_names_look_the_same_everywhere() -> None:
    assert to_name(b"caf\xe9.jpg") == "caf\uefe9.jpg"
    assert to_name("\uefe9".encode()) == "\uefee\uefbf\uefa9"


@pytest.mark.parametrize("name", ["\uefc3\uefa9", "\ud800", "a\udcff"])
def test_text_that_no_bytes_map_to_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"no bytes are mapped|surrogates not allowed"):
        to_bytes(name)
