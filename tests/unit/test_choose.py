from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.choose import EVERYTHING, chooser
from jobs.errors import Misconfigured


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        ("*.jpg", "a.jpg", True),
        ("*.jpg", "deep/er/a.jpg", True),
        ("*.jpg", "a.JPG", False),
        ("*.jpg", "a.jpg\n", False),
        ("*.jpg", ".hidden.jpg", True),
        ("*.{jpg,png}", "x/a.png", True),
        ("*.[jJ][pP][gG]", "a.JPG", True),
        ("photos/*.jpg", "photos/a.jpg", True),
        ("photos/*.jpg", "photos/b/a.jpg", False),
        ("photos/*.jpg", "old/photos/a.jpg", False),
        ("/photos/**", "photos/b/a.jpg", True),
        ("photos/", "photos/b/a.jpg", True),
        ("photos/", "old/photos/a.jpg", True),
        ("/photos/", "old/photos/a.jpg", False),
        ("photos/", "photos", False),
        ("photos", "photos/a.jpg", False),
        ("**/2024/**/*.jpg", "x/2024/a.jpg", True),
        ("**/2024/**/*.jpg", "2024/05/01/a.jpg", True),
        ("20[0-9][0-9]/*", "2024/.a", True),
        ("?.jpg", "é.jpg", True),
        ("?.jpg", "/.jpg", False),
        (r"\[1\].jpg", "[1].jpg", True),
        ("[]]", "]", True),
        ("[!a].jpg", "b.jpg", True),
        ("[[:digit:]].jpg", "7.jpg", True),
        (r"\!a", "!a", True),
    ],
)
def test_includes(pattern: str, name: str, matches: bool) -> None:  # noqa: FBT001 - a table
    choose = chooser([pattern])
    assert choose.chosen(name) is matches
    assert choose.descend("anywhere/at/all")


@pytest.mark.parametrize(
    ("pattern", "folder", "walked"),
    [
        ("thumbs/**", "thumbs", False),
        ("thumbs/**", "thumbs/a", False),
        ("thumbs/**", "old/thumbs", True),
        ("thumbs/", "old/thumbs", False),
        ("thumbs", "old/thumbs", False),
        ("**/.git/**", ".git", False),
        ("**/.git/**", "a/b/.git", False),
        ("**/.git/**", "a/b/.github", True),
        ("a/*", "a/b", False),
        ("a/*", "a", True),
        ("*.jpg", "a", True),
        ("a/**/b", "a", True),
        ("a/**/b", "a/x/b", False),
    ],
)
def test_excludes_prune_folders(pattern: str, folder: str, walked: bool) -> None:  # noqa: FBT001 - a table
    choose = chooser(exclude=[pattern])
    assert choose.descend(folder) is walked
    if not walked:
        assert not choose.chosen(f"{folder}/x.jpg")


parts = st.sampled_from(["a", "b", ".g", "*", "**", "?", "a*"])
pieces = st.sampled_from(["a", "b", ".g", "aa"])


@given(st.lists(parts, min_size=1, max_size=4).map("/".join), st.booleans(), st.lists(pieces, min_size=1, max_size=4))
def test_a_folder_is_never_pruned_while_a_name_in_it_is_chosen(pattern: str, slash: bool, folder: list[str]) -> None:  # noqa: FBT001
    choose = chooser(exclude=[pattern + "/" * slash])
    if not choose.descend("/".join(folder)):
        assert not choose.chosen("/".join([*folder, "z"]))
        assert not choose.chosen("/".join([*folder, "a", "z"]))
        assert not choose.descend("/".join([*folder, "z"]))


def test_excludes_win_over_includes() -> None:
    choose = chooser(["*.jpg", "*.png"], ["thumbs/", "*_small.*"])
    chosen = [name for name in ("a.jpg", "a.png", "a.gif", "thumbs/a.jpg", "b_small.jpg") if choose.chosen(name)]
    assert chosen == ["a.jpg", "a.png"]


def test_without_patterns_everything_is_chosen() -> None:
    assert chooser() == EVERYTHING
    assert EVERYTHING.chosen("a/b")
    assert EVERYTHING.descend("a")


@pytest.mark.parametrize("pattern", ["", "/", "!*.jpg", "a\\", "[a", "a/[", "../x", "a/./b", "a//b", "{1..2000}"])
def test_a_pattern_that_cannot_be_meant_is_refused(pattern: str) -> None:
    with pytest.raises(Misconfigured, match="read the globs"):
        chooser([pattern])
    with pytest.raises(Misconfigured):
        chooser(exclude=[pattern])
