"""Vectors that a user computed: found by text, never by guess."""

import json

import numpy as np
import polars
import pytest
from safetensors.numpy import save_file

from polylect.base import InputError
from polylect.engine import embed, find_encoder

ROWS = [{"text": "one", "vector": [1.0, 2.0]},
        {"text": "two", "prompt": "Which?", "vector": [3, 4]},
        {"text": "今天", "vector": [5.0, 6.5]}]  # fmt: skip


def write_lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return f"vectors:{path}"


def write_all(folder):
    """The same vectors in every form."""
    table = np.array([row["vector"] for row in ROWS], np.float64)
    texts = [{k: v for k, v in row.items() if k != "vector"} for row in ROWS]
    names = [write_lines(folder / "lines.jsonl", ROWS)]
    polars.DataFrame([{"text": r["text"], "prompt": r.get("prompt"),
                       "vector": list(map(float, r["vector"]))} for r in ROWS]
                     ).write_parquet(folder / "table.parquet")  # fmt: skip
    np.save(folder / "numbers.npy", table)
    write_lines(folder / "numbers.jsonl", texts)
    save_file({"any": table.astype(np.float16)}, folder / "tensor.safetensors")
    polars.DataFrame([{"text": r["text"], "prompt": r.get("prompt")} for r in texts]
                     ).write_parquet(folder / "tensor.parquet")  # fmt: skip
    return names + [
        f"vectors:{folder / name}"
        for name in ("table.parquet", "numbers.npy", "tensor.safetensors")
    ]


def test_every_form_gives_the_same_vectors(tmp_path):
    names = write_all(tmp_path)
    for name in names:
        vectors = embed(["今天", "two", "one", "one"], name, contexts=["", "Which?", "any", ""])
        assert vectors.dtype == np.float32
        assert vectors.tolist() == [[5, 6.5], [3, 4], [1, 2], [1, 2]]
    assert len({find_encoder(name).digest for name in names}) == 1
    named = write_lines(tmp_path / "named.jsonl", [{**ROWS[0], "encoder": "e5"}])
    assert find_encoder(named).digest != find_encoder(names[0]).digest


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([ROWS[0], {"text": "x", "vector": [1.0]}], r":2: a vector of width 1, the first has 2"),
        ([{"text": "x", "vector": [1e39, 1.0]}], r":1: a number of the vector is not finite"),
        ([{"text": "x", "vector": []}], r":1: 'vector' is missing or empty"),
        ([{"text": "x", "vector": [1, "2"]}], r":1: '2' in 'vector' is no number"),
        ([{"text": "x", "vector": [1, None]}], r"in 'vector' is no number"),
        ([{"vector": [1.0]}], r":1: 'text' is missing"),
        ([], r"no row"),
        ([ROWS[0]], r"no vector for 1 of 2 texts, the first: 'two'"),
        (ROWS[:2], r"no vector for 1 of 2 texts, the first: 'two'"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(tmp_path, rows, message):
    name = write_lines(tmp_path / "v.jsonl", rows)
    with pytest.raises(InputError, match=message) as error:
        embed(["one", "two"], name, contexts=["", "another prompt"])
    assert "\n" not in str(error.value)


def test_tables_that_do_not_fit_are_refused(tmp_path):
    path = tmp_path / "v.npy"
    np.save(path, np.ones((2, 3)))
    with pytest.raises(InputError, match=r"There is no v.jsonl beside it"):
        embed(["one"], f"vectors:{path}")
    write_lines(path.with_suffix(".jsonl"), [{"text": "one"}])
    with pytest.raises(InputError, match="2 vectors, but 1 texts"):
        embed(["one"], f"vectors:{path}")
    for wrong in (np.ones(3), np.array([["a"]]), np.array([[object()]], object)):
        np.save(path, wrong, allow_pickle=True)
        with pytest.raises(InputError, match=r"not one table|cannot be read"):
            embed(["one"], f"vectors:{path}")
    np.save(path, np.array([[1.0, np.nan]]))
    with pytest.raises(InputError, match=r"v.jsonl:1: a number of the vector is not finite"):
        embed(["one"], f"vectors:{path}")
    path.write_bytes(b"no numbers")
    with pytest.raises(InputError, match="cannot be read"):
        embed(["one"], f"vectors:{path}")


def test_two_vectors_of_one_text_are_refused_where_they_differ(tmp_path):
    same = [*ROWS, ROWS[0]]
    assert embed(["one"], write_lines(tmp_path / "same.jsonl", same)).shape == (1, 2)
    name = write_lines(tmp_path / "two.jsonl", [*ROWS, {"text": "one", "vector": [0.0, 0.0]}])
    with pytest.raises(InputError, match=r"two.jsonl:4: another vector than .*:1 for the same"):
        embed(["one"], name)
