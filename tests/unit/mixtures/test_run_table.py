"""Tables of runs: every form is read alike, and what cannot be is refused with its place."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polylect.base import InputError
from polylect.mixtures import as_run_table, read_run_table, write_run_table

ROWS = [
    {"run": "نص · seed 0", "variant": "نص", "seed": 0, "scale": 0.5, "tokens": 100,
     "share:text": 1.0, "share:code": 0.0, "share:initial/text": 0.9, "share:cooldown/text": 0.1,
     "share:initial/code": 0.0, "share:cooldown/code": 0.0, "loss:ar": 1.5, "loss:code/py": 2.0},
    {"run": "نص · seed 1", "variant": "نص", "seed": 1, "scale": 0.5, "tokens": 100,
     "share:text": 1.0, "share:code": 0.0, "share:initial/text": 0.9, "share:cooldown/text": 0.1,
     "share:initial/code": 0.0, "share:cooldown/code": 0.0, "loss:ar": 1.6, "loss:code/py": 2.1},
    {"run": "half", "variant": "half", "seed": 0, "scale": 1, "tokens": 200,
     "share:text": 0.5, "share:code": 0.5, "share:initial/text": 0.5, "share:cooldown/text": 0.0,
     "share:initial/code": 0.3, "share:cooldown/code": 0.2, "loss:ar": 1.7, "loss:code/py": 1.1},
]  # fmt: skip


@pytest.mark.parametrize("suffix", ["parquet", "jsonl", "csv"])
def test_every_kind_of_file_is_read_alike(tmp_path, suffix):
    path = tmp_path / f"runs.{suffix}"
    write_run_table(pl.DataFrame(ROWS), path)
    table = read_run_table(path)
    assert table.frame.equals(as_run_table(pl.DataFrame(ROWS)).frame)
    assert table.streams == ("text", "code")
    assert table.stage_streams == (
        "initial/text", "cooldown/text", "initial/code", "cooldown/code"
    )  # fmt: skip
    assert table.cells == ("ar", "code/py")
    assert table.shares().tolist() == [[1, 0], [1, 0], [0.5, 0.5]]
    assert table.shares(["initial/code"]).tolist() == [[0], [0], [0.3]]
    assert table.losses(["code/py"]).tolist() == [[2.0], [2.1], [1.1]]
    assert table.mixtures().tolist() == [0, 0, 1]
    assert table.scales == (0.5, 1)
    assert table.at_scale(0.5).runs == ("نص · seed 0", "نص · seed 1")


def test_a_folder_is_read_by_its_table(tmp_path):
    with pytest.raises(InputError, match=r"no runs\.parquet in this folder"):
        read_run_table(tmp_path)
    write_run_table(pl.DataFrame(ROWS), tmp_path / "runs.parquet")
    assert read_run_table(tmp_path).runs == tuple(row["run"] for row in ROWS)


def test_the_least_table_has_shares_and_losses():
    table = as_run_table(pl.DataFrame({"share:a": [1, 0], "share:b": [0, 1], "loss:x": [1, 2]}))
    assert table.runs == ("1", "2")
    row = table.frame.row(0, named=True)
    assert (row["seed"], row["scale"], row["tokens"], row["variant"]) == (0, 1.0, None, "")


def test_a_stream_with_a_slash_is_a_stream():
    table = as_run_table(
        pl.DataFrame({"share:code/py": [1.0, 0.3], "share:text": [0.0, 0.7], "loss:x": [1, 2]})
    )
    assert table.streams == ("code/py", "text")
    assert not table.stage_streams


def test_the_pair_of_tables_of_regmix(tmp_path):
    mixtures, losses = tmp_path / "train_mixture_1m.csv", tmp_path / "train_pile_loss_1m.csv"
    mixtures.write_text("index,train_the_pile_arxiv,train_the_pile_github\n7,0.3,0.699\n9,1.0,0\n")
    losses.write_text("index,metric/the_pile_arxiv_val_loss\n9,3.25\n7,4.5\n")
    table = read_run_table(mixtures, losses)
    assert table.runs == ("7", "9")
    assert table.streams == ("the_pile_arxiv", "the_pile_github")
    assert table.cells == ("the_pile_arxiv",)
    assert np.allclose(table.shares(), [[0.3 / 0.999, 0.699 / 0.999], [1, 0]])
    assert table.losses().tolist() == [[4.5], [3.25]]
    losses.write_text("index,metric/the_pile_arxiv_val_loss\n9,3.25\n8,4.5\n")
    with pytest.raises(InputError, match="2 rows of one are not in the other"):
        read_run_table(mixtures, losses)
    with pytest.raises(InputError, match="no column share:STREAM"):
        read_run_table(mixtures)


@settings(max_examples=60, deadline=None)
@given(
    parts=st.lists(
        st.lists(st.integers(0, 1000), min_size=3, max_size=3).filter(any), min_size=1, max_size=8
    ),
    digits=st.integers(3, 12),
)
def test_shares_sum_to_one_however_they_were_rounded(parts, digits):
    shares = np.array(parts, float)
    shares = (shares / shares.sum(axis=1, keepdims=True)).round(digits)
    frame = pl.DataFrame({f"share:{n}": shares[:, n] for n in range(3)} | {"loss:x": 1.0})
    table = as_run_table(frame)
    assert np.allclose(table.shares().sum(axis=1), 1, atol=1e-12)
    assert np.abs(table.shares() - shares).max() < 0.01
    assert as_run_table(table.frame).frame.equals(table.frame)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda f: f.clear(), "no runs"),
        (lambda f: f.drop("loss:ar", "loss:code/py"), "no column loss:CELL; it has run, variant"),
        (lambda f: f.with_columns(pl.lit("half").alias("run")), "two runs are called 'half'"),
        (lambda f: f.with_columns(pl.lit(None).alias("loss:ar")), "loss:ar: no value"),
        (lambda f: f.with_columns(pl.lit("n/a").alias("loss:ar")), "loss:ar: 'n/a'"),
        (lambda f: f.with_columns(pl.lit(float("nan")).alias("loss:ar")), "loss:ar: nan"),
        (lambda f: f.with_columns(pl.lit(0).alias("loss:ar")), "loss:ar: 0"),
        (lambda f: f.with_columns(pl.lit(-0.5).alias("share:code")), "share:code: -0.5"),
        (lambda f: f.with_columns(pl.lit(0).alias("scale")), "scale: 0"),
        (lambda f: f.with_columns(pl.lit(0.8).alias("share:code")), "'نص · seed 0'.*sum to 1.8"),
        (lambda f: f.with_columns(pl.col("share:text") * 100, pl.col("share:code") * 100),
         "sum to 100.*fractions, not per cent"),
        (lambda f: f.with_columns(pl.lit(0.3).alias("share:initial/text")),
         "shares of 'text' by stage sum to 0.4, not to 1"),
        (lambda f: f.drop("share:initial/code", "share:cooldown/code"),
         "no column share:STAGE/code"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_with_its_place(change, words):
    with pytest.raises(InputError, match=words) as error:
        as_run_table(change(pl.DataFrame(ROWS)), "runs.csv")
    assert str(error.value).startswith("runs.csv: ")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("runs.csv", "", "empty"),
        ("runs.csv", "run,share:a,loss:x\n1,1\n", "loss:x: no value"),
        ("runs.xlsx", "x", "unknown kind of file"),
        ("runs.jsonl", '{"run": 1,', "runs.jsonl:1"),
    ],
)
def test_broken_files_are_one_line(tmp_path, name, content, words):
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=words) as error:
        read_run_table(tmp_path / name)
    assert "\n" not in str(error.value)


def test_unknown_names_are_refused_with_the_nearest():
    table = as_run_table(pl.DataFrame(ROWS))
    with pytest.raises(InputError, match=r"no loss:arr — did you mean ar"):
        table.losses(["arr"])
    with pytest.raises(InputError, match=r"no runs at scale 2 — there are runs at 0\.5, 1"):
        table.at_scale(2)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("Loss:yo", "loss:yo"), ("LOSS:yo", "loss:yo"), ("los:yo", "loss:yo"),
        ("losses:yo", "loss:yo"), (" loss : yo", "loss:yo"), ("loss :نص", "loss:نص"),
        ("loss\uff1a日本", "loss:日本"), ("Share:x", "share:x"), ("shares:x", "share:x"),
        ("shar:x/y", "share:x/y"), ("Seed", "seed"), ("SCALE ", "scale"),
        ("num parameters", "num_parameters"), ("Run", "run"),
    ],
)  # fmt: skip
def test_a_column_that_is_nearly_known_is_refused(name, meant):
    frame = pl.DataFrame(ROWS).drop("seed", "scale", "run").with_columns(pl.lit(1.0).alias(name))
    with pytest.raises(InputError, match=f"runs.csv: column .* — did you mean {meant}\\?$"):
        as_run_table(frame, "runs.csv")


def test_a_column_of_another_kind_is_kept_and_listed():
    others = ["note", "class:x", "metric/loss", "http://x", "نص", "loss_yo"]
    frame = pl.DataFrame(ROWS).with_columns(pl.lit(1).alias(name) for name in others)
    assert as_run_table(frame).unread == tuple(others)
    assert as_run_table(pl.DataFrame(ROWS)).unread == ()


@pytest.mark.parametrize("cell", ['Yorùbá "x"', "a,b", "נ\nש", "''", '"'])
def test_names_of_columns_in_a_csv_are_what_was_written(tmp_path, cell):
    frame = pl.DataFrame({"run": ["a", "b"], "share:x": [1.0, 1.0], f"loss:{cell}": [1.5, 2.5]})
    frame.write_csv(tmp_path / "runs.csv")
    assert read_run_table(tmp_path / "runs.csv").cells == (cell,)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("run;share:a;loss:x\n1;1,0;2,5\n", "separated by ';', not by commas, and .* decimal com"),
        ("run;share:a;loss:x\n1;1.0;2.5\n", "separated by ';', not by commas —"),
        ("run\tshare:a\tloss:x\n1\t1\t2\n", "separated by a tab, not by commas"),
        ("run,share:a,loss:x,loss:x\n1,1,2,2\n", "two columns are called 'loss:x'"),
    ],
)  # fmt: skip
def test_another_separator_is_named_with_the_way_out(tmp_path, monkeypatch, text, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs.csv").write_text(text)
    with pytest.raises(InputError, match=words) as error:
        read_run_table("runs.csv")
    assert "\n" not in str(error.value)
    code = str(error.value).partition('-c "')[2].rpartition('"')[0]
    if code:
        exec(code)
        assert read_run_table("runs-commas.csv").losses().max() in (2.0, 2.5)
