import json
import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from polylect.base import InputError, StorageError, read_text
from polylect.ranking import read_counts
from polylect.rows import (
    Battle,
    Conversation,
    Document,
    Generated,
    Judgment,
    Message,
    Passage,
    Preference,
    Prompt,
    Tool,
    ToolCall,
    Verdict,
    arrow_schema,
    read_dicts,
    read_rows,
    write_rows,
)

ROWS = {
    Document: [
        Document(id="1", language="de", source="s", text="Grüße\n\u2028 „quoted“\t", license="MIT"),
        Document(id="2", language="zh-Hant", source="s", text="漢字 👩‍👩‍👧", parallel="p"),
        Document(id="3", language="ar", source="s", text="مرحبا\u200f"),
    ],
    Conversation: [
        Conversation(
            id="c",
            language="hi",
            messages=(
                Message("system", "Answer in English.", tools=(Tool("weather", "now", "{}"),)),
                Message("user", "नमस्ते", documents=(Passage("a text", "its title", "1"),)),
                Message("assistant", "", trained=False, tool_calls=(ToolCall("weather"),)),
                Message("tool", "21 °C", tool_call_id="0"),
                Message("assistant", "hello", language="en"),
            ),
        ),
        Conversation(id="d", language="en", messages=(Message("user", ""),)),
    ],
    Preference: [
        Preference(
            id=v,
            language="fr",
            messages=(Message("user", "p"),),
            answer_a="a",
            answer_b="b",
            verdict=v,
            origin_b="translated",
            score_a=1.5,
            user="u",
        )
        for v in Verdict
    ],
    Battle: [
        Battle(model_a="x", model_b="y", verdict=Verdict.BOTH_BAD, count=3),
        Battle(model_a="x", model_b="y", verdict=Verdict.A, language="ja", voter="v", prompt="q"),
    ],
    Judgment: [
        Judgment(
            id="j",
            language="he",
            model_a="x",
            model_b="y",
            verdict=Verdict.INVALID,
            judge="judge",
            swapped=True,
            reason="שלום",
        )
    ],
}


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
@pytest.mark.parametrize("row_type", ROWS, ids=lambda row_type: row_type.__name__)
def test_round_trip(tmp_path, row_type, suffix):
    path = tmp_path / f"rows{suffix}"
    assert write_rows(path, row_type, iter(ROWS[row_type])) == len(ROWS[row_type])
    assert list(read_rows(path, row_type)) == ROWS[row_type]
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_equal_rows_give_equal_bytes_and_none_give_a_file(tmp_path, suffix):
    for name in "ab":
        write_rows(tmp_path / f"{name}{suffix}", Document, ROWS[Document])
        write_rows(tmp_path / f"{name}-empty{suffix}", Document, [])
    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()
    assert list(read_rows(tmp_path / f"a-empty{suffix}", Document)) == []


def test_more_rows_than_one_batch_keep_their_order(tmp_path):
    rows = [Battle(model_a="a", model_b="b", verdict=Verdict.A, count=i + 1) for i in range(9000)]
    write_rows(tmp_path / "b.parquet", Battle, rows)
    assert [row.count for row in read_rows(tmp_path / "b.parquet", Battle)] == [*range(1, 9001)]


def test_other_readers_see_the_declared_types(tmp_path):
    write_rows(tmp_path / "c.parquet", Conversation, ROWS[Conversation])
    table = pq.read_table(tmp_path / "c.parquet")
    message = table.schema.field("messages").type.value_type
    assert [message.field(name).type for name in ("role", "content", "language")] == 3 * [
        pa.string()
    ]
    assert message.field("trained").type == pa.bool_()
    call = pa.struct(
        [pa.field(name, pa.string(), nullable=False) for name in ("name", "arguments", "id")]
    )
    assert message.field("tool_calls").type.value_type == call
    assert "place" not in table.schema.names
    assert table.schema.metadata[b"polylect.row"] == b"Conversation"
    assert not table.schema.field("id").nullable
    assert arrow_schema(Battle).field("count").type == pa.int64()


def fails(path, row_type=Document):
    with pytest.raises(InputError) as caught:
        list(read_rows(path, row_type))
    text = str(caught.value)
    assert "\n" not in text
    return text


GOOD = '{"id": "1", "language": "de", "source": "s", "text": "t"}\n'


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"id": "1", ', "not JSON"),
        ("[1, 2]", "a row is an object, this is '[1, 2]'"),
        (GOOD.replace("text", "txet"), "unknown key 'txet' (did you mean text?)"),
        (GOOD.replace("text", "txet"), "'text' is missing"),
        (GOOD.replace('"1"', "1"), "'id' is 1: give text"),
        (GOOD.replace('"de"', '"d-e"'), "unknown language 'd-e'"),
        (GOOD.replace('"t"', '" \\n"'), "'text' is empty — remove the row"),
        (GOOD.replace('"t"', "null"), "'text' is null"),
    ],
)
def test_a_bad_line_is_named_by_file_and_line(tmp_path, line, words):
    path = tmp_path / "rows.jsonl"
    path.write_text(GOOD + "\n" + line.strip() + "\n" + GOOD, encoding="utf-8")
    text = fails(path)
    assert text.startswith(f"{path}:3: ")
    assert text.count(str(path)) == 1
    assert words in text


def test_a_row_before_the_bad_one_is_still_read(tmp_path):
    (tmp_path / "r.jsonl").write_text(GOOD + "{")
    rows = read_rows(tmp_path / "r.jsonl", Document)
    assert next(rows).id == "1"
    with pytest.raises(InputError, match=r"r\.jsonl:2"):
        next(rows)


def test_not_utf8_is_named_with_line_byte_and_way_out(tmp_path):
    path = tmp_path / "rows.jsonl"
    line = GOOD.replace('"t"', '"caf\xe9"')
    path.write_bytes(GOOD.encode() + line.encode("latin-1"))
    text = fails(path)
    assert text.startswith(f"{path}:2: not UTF-8 (byte {line.index(chr(0xE9))} of the line)")
    assert "iconv -f LATIN1 -t UTF-8 rows.jsonl" in text


def test_byte_order_mark_blank_lines_and_windows_line_ends(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode() + b"\r\n \n")
    assert [row.id for row in read_rows(path, Document)] == ["1"]
    assert [where for where, _ in read_dicts(path)] == [f"{path}:1"]


def parquet(path, **columns):
    base = {"id": ["1", "2"], "language": ["de", "de"], "source": ["s", "s"], "text": ["t", "u"]}
    pq.write_table(pa.table(base | columns), path)
    return path


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"text": ["t", " "]}, "row 2: 'text' is empty"),
        ({"language": ["de", "x!"]}, "row 2: unknown language 'x!'"),
        ({"text": ["t", None]}, "row 2: 'text' is null"),
        ({"text": [b"t", b"\xff"]}, "row 1: 'text' is "),
        ({"id": [1, 2]}, "row 1: 'id' is 1"),
        ({"licens": ["a", "b"]}, "row 1: unknown key 'licens' (did you mean license?)"),
    ],
)
def test_a_bad_parquet_row_is_named_by_file_and_row(tmp_path, columns, words):
    path = parquet(tmp_path / "rows.parquet", **columns)
    text = fails(path)
    assert text.startswith(f"{path}: {words.partition(':')[0]}")
    assert words in text


def test_a_parquet_file_without_a_column_that_has_a_default(tmp_path):
    rows = list(read_rows(parquet(tmp_path / "rows.parquet"), Document))
    assert [row.license for row in rows] == ["", ""]


@pytest.mark.parametrize("part", [0.0, 0.5, 0.9])
def test_a_truncated_parquet_file(tmp_path, part):
    path = parquet(tmp_path / "rows.parquet")
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * part)])
    assert fails(path).startswith(f"{path}: not a whole Parquet file")


def test_files_that_are_not_there_or_of_another_kind(tmp_path):
    assert "no such file" in fails(tmp_path / "none.jsonl")
    (tmp_path / "rows.csv").write_text("a,b")
    assert "unknown kind of file '.csv' — use .parquet, .jsonl or .ndjson" in fails(
        tmp_path / "rows.csv"
    )
    (tmp_path / "rows.ndjson").write_text(GOOD)
    assert len(list(read_rows(tmp_path / "rows.ndjson", Document))) == 1


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_an_error_between_rows_leaves_no_file(tmp_path, suffix):
    def rows():
        yield ROWS[Document][0]
        raise RuntimeError("source broke")

    with pytest.raises(RuntimeError, match="source broke"):
        write_rows(tmp_path / f"r{suffix}", Document, rows())
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_a_place_that_cannot_be_written(tmp_path, suffix):
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError, match="choose another path"):
        write_rows(tmp_path / f"file/r{suffix}", Document, ROWS[Document])


def json_row(row_type, **changes):
    from polylect.base import plain

    return json.dumps(plain(ROWS[row_type][0]) | changes)


@pytest.mark.parametrize(
    ("row_type", "changes", "words"),
    [
        (Conversation, {"messages": []}, "'messages' is empty"),
        (Conversation, {"messages": [{"role": "user", "content": "", "language": "q"}]}, "'q'"),
        (Conversation, {"messages": [{"role": "u", "content": "x"}]}, "the role is 'u'"),
        (Preference, {"answer_b": "a"}, "the two answers are equal, but one is preferred"),
        (Preference, {"verdict": "a"}, "'verdict' is 'a'"),
        (Battle, {"model_b": "x"}, "'x' battles itself"),
        (Battle, {"count": 0}, "'count' is 0"),
        (Battle, {"language": "q"}, "unknown language 'q'"),
        (Judgment, {"swapped": "yes"}, "'swapped' is 'yes'"),
    ],
)
def test_what_the_row_types_refuse(tmp_path, row_type, changes, words):
    path = tmp_path / "rows.jsonl"
    path.write_text(json_row(row_type, **changes))
    text = fails(path, row_type)
    assert text.startswith(f"{path}:1: ")
    assert words in text


def test_a_tie_of_equal_answers_is_allowed_and_verdicts_swap():
    prompt = (Message("user", "p"),)
    Preference(language="de", messages=prompt, answer_a="a", answer_b="a", verdict=Verdict.TIE)
    swapped = {verdict: verdict.swapped() for verdict in Verdict}
    assert swapped[Verdict.A] is Verdict.B
    assert swapped[Verdict.B] is Verdict.A
    assert all(
        verdict.swapped() is verdict for verdict in (Verdict.TIE, Verdict.BOTH_BAD, Verdict.INVALID)
    )


def test_a_preference_for_the_second_answer_turns_answers_and_scores():
    row = Preference(
        language="de", messages=(Message("user", "p"),), answer_a="a", answer_b="b",
        verdict=Verdict.B, score_a=1.0, score_b=2.0,
    )  # fmt: skip
    assert (row.chosen, row.rejected, row.scores) == ("b", "a", (2.0, 1.0))


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_further_turns_of_a_prompt_are_kept_and_need_no_column_where_there_are_none(
    tmp_path, suffix
):
    path = tmp_path / f"rows{suffix}"
    turns = (Message("user", "2+2?"), Message("assistant", "4"), Message("user", "why?"))
    plain = Prompt(id="1", language="en", prompt="p", system="s")
    longer = Prompt.of(turns, "en", id="2")
    assert plain.messages == (Message("system", "s"), Message("user", "p"))
    assert (longer.prompt, longer.system, longer.messages) == ("why?", "", turns)
    write_rows(path, Prompt, [plain])
    ((_, columns),) = read_dicts(path)
    assert [*columns] == ["id", "language", "prompt", "system", "category", "origin"]
    write_rows(path, Prompt, [plain, longer])
    assert list(read_rows(path, Prompt)) == [plain, longer]
    answer = Generated(id="2", language="en", sample=0, model="m", answer="so", turns=turns)
    write_rows(path, Generated, [answer])
    assert next(read_rows(path, Generated)).messages == turns
    assert answer.question == "[user]\n2+2?\n\n[assistant]\n4\n\n[user]\nwhy?"


def test_a_row_that_was_read_knows_its_place(tmp_path):
    path = tmp_path / "rows.jsonl"
    write_rows(path, Conversation, ROWS[Conversation])
    assert [row.place for row in read_rows(path, Conversation)] == [f"{path}:1", f"{path}:2"]


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.jsonl.gz", "rows.parquet"])
def test_a_pointer_of_git_lfs_is_called_that(name, tmp_path):
    path = tmp_path / name
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n")
    for read in (lambda: [*read_dicts(path)], lambda: read_text(path), lambda: read_counts(path)):
        with pytest.raises(InputError, match="is a Git LFS pointer") as caught:
            read()
        assert "git lfs pull" in caught.value.hint


def test_a_sparse_column_may_have_its_default_in_some_rows(tmp_path):
    prompts = [
        Prompt(id="1", language="de", prompt="a"),
        Prompt.of([Message("user", "a"), Message("assistant", "b"), Message("user", "c")], "de",
                  id="2", source="s"),
    ]  # fmt: skip
    write_rows(tmp_path / "rows.parquet", Prompt, prompts)
    assert list(read_rows(tmp_path / "rows.parquet", Prompt)) == prompts
