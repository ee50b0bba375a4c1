from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from polylect.base import Ledger, digest_of
from polylect.mixtures import CollectConfig, overlap
from polylect.mixtures.collect import collect
from polylect.mixtures.pieces import code_pieces, paragraph_pieces
from polylect.rows import Document, Split, write_rows
from polylect.text import train_bpe

TOKENIZER = train_bpe(
    {
        "de": ["Der schnelle braune Fuchs springt über den faulen Hund. <EOS> <PAD>"],
        "hi": ["वह किताब पढ़ रहा है।"],
        "ar": ["هذا نص قصير"],
        "code": ["def f(x):\n    return x + 1\n"],
    },
    vocab_size=500,
)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
LINES = ("Der Hund schläft tief im Garten hinter dem alten Haus.",
         "Le chien dort profondément dans le jardin derrière la maison.", "OK", "x  y", "x y",
         "Noch ein Satz.", "İstanbul", "今日は")  # fmt: skip


@dataclass(frozen=True)
class Given:
    name: str
    rows: tuple[Document, ...]

    @property
    def digest(self):
        return digest_of(self.rows)

    def documents(self, languages, ledger):
        return (one for one in self.rows if one.language in languages)


@st.composite
def sources(draw):
    found = []
    for name in ("a", "b", "c"):
        rows = draw(
            st.lists(
                st.builds(
                    dict,
                    language=st.sampled_from(["de", "fr", "zh-Hant", "code"]),
                    text=st.one_of(st.sampled_from(LINES), st.text("abc \n", min_size=1).filter(
                        lambda text: text.strip())),
                    parallel=st.sampled_from(["", *(f"p{n}" for n in range(12))]),
                ),
                max_size=40,
            )
        )  # fmt: skip
        documents = tuple(
            Document(id=f"{name}{number}", source=name, **row) for number, row in enumerate(rows)
        )
        found.append(Given(name, documents))
    # Something of everything, so that there is a training side to speak of.
    sure = tuple(
        Document(id=f"{tag}{number}", source="sure", language=tag, text=f"{tag} {number}",
                 parallel=f"sure{number}")
        for tag in ("de", "fr", "code") for number in range(60)
    )  # fmt: skip
    return [*found, Given("sure", sure)]


def _collect(given_sources, **options):
    ledger = Ledger()
    config = CollectConfig(min_test_documents=1, **options)
    return collect(given_sources, config, ledger), ledger


@given(TEXT)
@settings(max_examples=300, deadline=None)
def test_decoding_gives_the_text_back(text):
    (ids,) = TOKENIZER.encode([text])
    assert TOKENIZER.decode(ids) == text
    assert all(one > 2 for one in ids)


@given(st.lists(TEXT, max_size=5))
@settings(deadline=None)
def test_a_batch_is_its_texts_one_by_one(texts):
    together = TOKENIZER.encode(texts)
    alone = [TOKENIZER.encode([text])[0] for text in texts]
    assert [one.tolist() for one in together] == [one.tolist() for one in alone]


@given(sources(), st.integers(0, 3))
@settings(max_examples=40, deadline=None)
def test_kept_and_dropped_are_what_was_read(found, seed):
    kept, ledger = _collect(found, seed=seed)
    num_read = sum(len(one.rows) for one in found)
    assert ledger.total("read: documents") == num_read
    assert sum(map(len, kept.values())) + ledger.total("dropped:") == num_read


@given(sources(), st.integers(0, 3))
@settings(max_examples=40, deadline=None)
def test_translations_are_never_on_two_sides(found, seed):
    kept, _ = _collect(found, seed=seed)
    sides: dict[str, Split] = {}
    for split, rows in kept.items():
        for one in rows:
            if one.parallel:
                assert sides.setdefault(one.parallel, split) == split


@given(sources(), st.randoms(use_true_random=False))
@settings(max_examples=15, deadline=None)
def test_any_order_of_sources_gives_the_same_bytes(tmp_path_factory, found, random):
    shuffled = list(found)
    random.shuffle(shuffled)
    folder = tmp_path_factory.mktemp("order")
    (first, ledger), (second, other) = _collect(found), _collect(shuffled)
    assert ledger == other
    for split in Split:
        write_rows(folder / "a.parquet", Document, first[split])
        write_rows(folder / "b.parquet", Document, second[split])
        assert (folder / "a.parquet").read_bytes() == (folder / "b.parquet").read_bytes()


@given(st.text("ab\n #()", max_size=400), st.integers(5, 60))
@settings(deadline=None)
def test_cutting_loses_nothing_but_white_space(text, most):
    for cut in (paragraph_pieces, code_pieces):
        pieces = list(cut(text, most))
        assert "".join("".join(pieces).split()) == "".join(text.split())
        longest_line = max((len(line) for line in text.splitlines(keepends=True)), default=0)
        assert all(len(one) <= max(most, longest_line) + 2 for one in pieces)
        assert all(one.strip() for one in pieces)


@given(st.lists(st.text("abc ", min_size=1, max_size=60).filter(str.strip), max_size=6))
@settings(deadline=None)
def test_text_overlaps_with_itself_wholly(texts):
    documents = [
        Document(id=str(number), language="de", source="s", text=text)
        for number, text in enumerate(texts)
    ]
    frame = overlap(documents, documents, gram_characters=5)
    assert frame["grams"].sum() == frame["grams_seen"].sum()
    assert frame["lines"].sum() == frame["lines_seen"].sum()
