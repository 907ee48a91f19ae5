"""The file of vectors: rows that last, a tail that was torn, and the nearest of any."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.tantivy_index import vectors
from search.tantivy_index.vectors import NAME, append, nearest, opened


def row(*numbers: float) -> bytes:
    return np.array(numbers, "<f4").tobytes()


def test_rows_are_numbered_in_their_order_and_others_have_no_number(tmp_path: Path) -> None:
    assert append(tmp_path, [None, None]) == [None, None]
    assert opened(tmp_path) is None
    assert append(tmp_path, [row(1, 2), None, row(1, 2, 3), row(3, 4)]) == [0, None, None, 1]
    assert append(tmp_path, [row(5, 6)]) == [2]
    found = opened(tmp_path)
    assert found is not None
    assert found.tolist() == [[1, 2], [3, 4], [5, 6]]


def test_a_torn_row_is_overwritten(tmp_path: Path) -> None:
    append(tmp_path, [row(1, 2)])
    with (tmp_path / NAME).open("ab") as file:
        file.write(b"\1\2\3")
    found = opened(tmp_path)
    assert found is not None
    assert found.tolist() == [[1, 2]]
    assert append(tmp_path, [row(3, 4)]) == [1]
    found = opened(tmp_path)
    assert found is not None
    assert found.tolist() == [[1, 2], [3, 4]]


def test_a_head_that_was_torn_is_written_anew_and_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"imsw")
    assert opened(tmp_path) is None
    assert append(tmp_path, [row(1, 2)]) == [0]
    (tmp_path / NAME).write_bytes(b"something else entirely")
    with pytest.raises(ValueError, match="no vectors"):
        opened(tmp_path)


@given(st.integers(1, 60), st.integers(1, 20), st.integers(0, 2**32 - 1), st.booleans())
def test_the_nearest_are_the_true_ones_over_any_number_of_blocks(number: int, most: int, seed: int, some: bool) -> None:  # noqa: FBT001
    dice = np.random.default_rng(seed)
    rows = dice.integers(-3, 4, (number, 4)).astype("<f4")
    wanted = dice.integers(-3, 4, 4).astype("<f4")
    chosen = np.flatnonzero(dice.random(number) < 0.5) if some else None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vectors, "BLOCK", 7)
        found, scores = nearest(rows, wanted.tobytes(), most, chosen)
    among = range(number) if chosen is None else chosen.tolist()
    every = sorted((-float(rows[at] @ wanted), at) for at in among)
    assert scores.tolist() == [-score for score, _ in every[:most]]
    assert all(float(rows[at] @ wanted) == score for at, score in zip(found.tolist(), scores.tolist(), strict=True))
    assert len(set(found.tolist())) == len(found)


def test_a_vector_of_another_length_is_like_nothing() -> None:
    assert nearest(np.ones((2, 4), "<f4"), row(1, 2), 3)[0].tolist() == []
