from collections import Counter

import numpy as np
import pytest

from polylect.base import InputError
from polylect.mixtures import (
    Mixture,
    Share,
    Stage,
    TokenStore,
    make_loader,
    uniform_shares,
    write_tokens,
)
from polylect.rows import Document, Split
from polylect.text import train_bpe

LENGTHS = {"de": 40, "fr": 25, "hi": 6, "ja": 1}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Documents of 1 to about 60 tokens in three languages, two sources in one of them."""
    folder = tmp_path_factory.mktemp("tokens")
    random = np.random.default_rng(0)
    documents = []
    for language, num in LENGTHS.items():
        for i in range(num):
            num_words = 60 if language == "ja" else random.integers(1, 20)
            words = random.integers(0, 10_000, num_words)
            documents.append(
                Document(
                    id=f"{language}{i}",
                    language=language,
                    source="b" if language == "de" and i % 4 == 0 else "a",
                    text=" ".join(map(str, words)),
                )
            )
    order = random.permutation(len(documents))
    documents = [documents[i] for i in order]
    tokenizer = train_bpe({"de": [one.text for one in documents]}, vocab_size=300)
    tokenizer.save(folder / "tokenizer")
    write_tokens(iter(documents), tokenizer, folder, Split.TRAIN)
    return TokenStore(folder, Split.TRAIN)


def loader_of(store, *stages, seed=0, context_tokens=16, batch_tokens=64):
    return make_loader(
        store,
        Mixture(stages=stages, seed=seed),
        context_tokens=context_tokens,
        batch_tokens=batch_tokens,
    )


def stage(tokens, *shares, **kwargs):
    return Stage(tokens=tokens, shares=shares or uniform_shares(["de", "fr", "hi"]), **kwargs)


def batches(loader):
    return [loader.batch(k) for k in range(loader.num_steps)]


def test_the_store_gives_back_what_was_encoded(store):
    documents = store.documents
    tokenizer = store.tokenizer()
    assert documents.height == sum(LENGTHS.values())
    assert documents["tokens"].sum() == sum(store.sizes().values())
    texts = [
        tokenizer.decode(store.ids(row["start"], row["tokens"]))
        for row in documents.iter_rows(named=True)
    ]
    assert [len(text) for text in texts] == documents["bytes"].to_list()
    assert set(store.sizes()) == {("de", "a"), ("de", "b"), ("fr", "a"), ("hi", "a"), ("ja", "a")}
    with pytest.raises(InputError, match="tokenize the text first"):
        _ = TokenStore(store.folder, Split.TEST).documents


@pytest.mark.parametrize("tokens", [30, 61, 500, 1500, 4000])
@pytest.mark.parametrize("context_tokens", [2, 3, 16, 256])
def test_the_ledger_is_exact(store, tokens, context_tokens):
    loader = loader_of(store, stage(tokens, temperature=3.0), context_tokens=context_tokens)
    counted = Counter()
    for batch in batches(loader):
        for language, length in zip(batch.languages, batch.lengths, strict=True):
            counted[language] += length
            assert 2 <= length <= context_tokens
    assert {k: v for k, v in loader.tokens_by_language.items() if v} == dict(counted)
    unused = loader.ledger.total("unused: ")
    assert counted.total() + unused == tokens
    assert unused <= 3 * len(LENGTHS)


def test_the_shares_are_the_plans(store):
    from polylect.mixtures import plan

    mixture = Mixture(stages=(stage(1200, temperature=2.0),))
    loader = loader_of(store, *mixture.stages)
    for row in plan(mixture, store.sizes()):
        assert abs(loader.tokens_by_language[row["language"]] - row["tokens"]) <= 3


def test_runs_are_pieces_of_documents_with_bos_and_eos(store):
    tokenizer = store.tokenizer()
    loader = loader_of(store, stage(2500))
    starts, lengths = store.documents["start"].to_list(), store.documents["tokens"].to_list()
    cut = 0
    for batch in batches(loader):
        ends = np.cumsum(batch.lengths)
        for end, length, item in zip(ends, batch.lengths, batch.items, strict=True):
            ids = batch.ids[end - length : end]
            weight = batch.loss_weight[end - length : end]
            assert ids[0] == tokenizer.bos_id
            assert weight.tolist() == [0.0] + [1.0] * (length - 1)
            assert batch.languages[batch.items.index(item)] == store.documents["language"][item]
            whole = [*store.ids(starts[item], lengths[item]).tolist(), tokenizer.eos_id]
            body = ids[1:].tolist()
            offsets = range(0, len(whole), 15)
            assert any(whole[at : at + len(body)] == body for at in offsets)
            cut += not any(whole[at : at + 15] == body for at in offsets)
    # Full pieces, but for the few at the end of a share, which are counted.
    assert cut <= 2 * len(LENGTHS)
    assert loader.ledger.total("cut: ") <= 2 * len(LENGTHS)


def test_an_epoch_holds_every_document_once(store):
    sizes = store.sizes()
    documents = store.documents
    room = 256
    for language in ("fr", "hi"):
        own = documents.filter(documents["language"] == language)
        total = sizes[language, "a"] + 2 * own.height  # BOS and EOS
        share = Share(language=language, max_epochs=9.0)
        one = loader_of(store, stage(total, share), context_tokens=room)
        items = Counter(item for batch in batches(one) for item in batch.items)
        assert set(items.values()) == {1}
        assert len(items) == own.height
        assert not one.ledger
        two = loader_of(store, stage(2 * total, share), context_tokens=room)
        orders = [item for batch in batches(two) for item in batch.items]
        first, second = orders[: own.height], orders[own.height :]
        assert sorted(first) == sorted(second) == sorted(items)
        assert first != second  # another order in the second epoch
        assert two.ledger.by_event() == {"repeated: further epochs over a share": 1}


def test_a_long_document_is_split_and_counted(store):
    loader = loader_of(store, stage(400, Share(language="fr")), context_tokens=16)
    lengths = store.documents.filter(store.documents["language"] == "fr")["tokens"].to_list()
    assert 0 < loader.ledger.total("split: ") <= sum(-(-(n + 1) // 15) - 1 for n in lengths)


@pytest.mark.parametrize(
    ("tokens", "lengths", "cut"),
    [
        (16, (16,), 0),
        (10, (10,), 1),
        (34, (16, 16, 2), 1),
        # One token left over could hold nothing to predict: the run before gives one up.
        (17, (15, 2), 2),
        (33, (16, 15, 2), 2),
    ],
)
def test_the_last_run_is_cut_to_make_the_count_exact(store, tokens, lengths, cut):
    loader = loader_of(store, stage(tokens, Share(language="ja")), batch_tokens=1000)
    assert loader.batch(0).lengths == lengths
    assert loader.ledger.total("cut: ") == cut
    assert loader.ledger.total("unused: ") == 0


def test_a_batch_is_the_same_in_any_order(store):
    stages = (stage(900), stage(300, Share(language="hi", max_epochs=9.0)))
    loader = loader_of(store, *stages)
    forward = batches(loader)
    again = loader_of(store, *stages)
    for k in reversed(range(again.num_steps)):
        one, two = forward[k], again.batch(k)
        assert one.ids.tobytes() == two.ids.tobytes()
        assert one.loss_weight.tobytes() == two.loss_weight.tobytes()
        assert (one.lengths, one.languages, one.items) == (two.lengths, two.languages, two.items)


def test_another_seed_is_another_order_of_the_same_amounts(store):
    one, two, same = (loader_of(store, stage(900), seed=seed) for seed in (0, 1, 0))
    assert np.array_equal(one.runs, same.runs)
    assert not np.array_equal(one.runs, two.runs)
    assert one.tokens_by_language.keys() == two.tokens_by_language.keys()
    for tag, num in one.tokens_by_language.items():
        assert abs(num - two.tokens_by_language[tag]) <= 3


def test_batches_are_of_their_size_within_one_run(store):
    loader = loader_of(store, stage(3000), batch_tokens=100)
    sizes = [batch.num_tokens for batch in batches(loader)]
    assert all(100 - 16 < size < 100 + 16 for size in sizes[:-1])
    assert loader.num_steps == 30


@pytest.mark.parametrize("micro_batch_tokens", [1, 50, 100, 130, 10_000])
def test_passes_are_the_runs_of_the_step_in_smaller_rows(store, micro_batch_tokens):
    loader = loader_of(store, stage(500), stage(250), batch_tokens=200)
    for step, whole in enumerate(batches(loader)):
        rows = loader.passes(step, micro_batch_tokens)
        assert np.concatenate([row.ids for row in rows]).tolist() == whole.ids.tolist()
        assert sum((row.lengths for row in rows), ()) == whole.lengths
        assert sum((row.languages for row in rows), ()) == whole.languages
        assert all(row.num_tokens < micro_batch_tokens + 16 for row in rows)
        if micro_batch_tokens == 1:
            assert len(rows) == len(whole.lengths)


def test_stages_come_in_order_and_share_no_batch(store):
    loader = loader_of(store, stage(210, Share(language="fr")), stage(210, Share(language="de")))
    languages = [set(batch.languages) for batch in batches(loader)]
    assert languages == [{"fr"}] * 4 + [{"de"}] * 4


def test_languages_are_mixed_evenly_over_the_stage(store):
    loader = loader_of(store, stage(3000, Share(language="de"), Share(language="fr")))
    share = loader.tokens_by_language["de"] / 3000
    found = []
    for batch in batches(loader):
        mine = sum(n for n, tag in zip(batch.lengths, batch.languages, strict=True) if tag == "de")
        found.append(mine / batch.num_tokens)
    assert np.abs(np.array(found[:-1]) - share).max() < 0.35
    assert abs(np.mean(found[: len(found) // 2]) - share) < 0.03


def test_a_source_can_be_asked_for(store):
    loader = loader_of(store, stage(200, Share(language="de", source="b")))
    sources = {store.documents["source"][i] for batch in batches(loader) for i in batch.items}
    assert sources == {"b"}


def test_a_stage_too_small_for_anybody_is_the_users_mistake(store):
    with pytest.raises(InputError, match="stage 1 of the mixture: 2 tokens over 3 shares"):
        loader_of(store, stage(2, temperature=1e9))


def test_a_share_too_small_for_a_run_is_counted_not_lost(store):
    loader = loader_of(store, stage(50, Share(language="de"), Share(language="hi", part=0.02)))
    assert loader.tokens_by_language == {"de": 49, "hi": 0}
    assert list(loader.ledger.rows())[-1] == ("unused: share too small for a run", "hi", 1)


def tokens_read(loader):
    """How often each token of the text was read: (document, place) by count."""
    counted = Counter()
    for document, first, tokens, _, _ in loader.runs.tolist():
        counted.update((document, place) for place in range(first, first + tokens))
    return counted


@pytest.mark.parametrize("parts", [(300, 300), (17, 500, 40), (100, 7, 9, 200)])
@pytest.mark.parametrize("context_tokens", [3, 16, 256])
def test_a_later_stage_goes_on_in_the_text(store, parts, context_tokens):
    shares = (Share(language="de", source="a"), Share(language="fr"))
    stages = tuple(stage(tokens, *shares) for tokens in parts)
    whole = loader_of(store, *stages, context_tokens=context_tokens)
    assert set(tokens_read(whole).values()) == {1}  # less than an epoch: nothing twice
    one = loader_of(store, stage(sum(parts), *shares), context_tokens=context_tokens)
    # As much text as one stage reads, but for a BOS where a stage stops within a document.
    assert abs(sum(tokens_read(one).values()) - sum(tokens_read(whole).values())) <= 4 * len(parts)


@pytest.mark.parametrize("parts", [(300, 300), (1900, 900, 700)])
def test_a_training_that_goes_on_reads_what_one_training_would(store, parts):
    stages = tuple(stage(tokens, temperature=2.0) for tokens in parts)
    whole = loader_of(store, *stages)
    runs, ledger = [], Counter()
    for number in range(len(parts)):
        mixture = Mixture(stages=stages[: number + 1])
        sizes = {"context_tokens": 16, "batch_tokens": 64}
        alone = make_loader(store, mixture, first_stage=number, **sizes)
        assert alone.num_steps == int(np.unique(alone.bounds).size) - 1
        runs.append(alone.runs)
        ledger.update(alone.ledger.by_event())
        assert alone.read()["tokens"].sum() == sum(alone.tokens_by_language.values())
    assert np.array_equal(np.concatenate(runs), whole.runs)
    assert ledger == whole.ledger.by_event()


def test_a_stage_of_another_mix_has_its_own_place_in_each_text(store):
    first = stage(150, Share(language="fr"))
    second = stage(300, Share(language="fr"), Share(language="hi", max_epochs=99.0))
    loader = loader_of(store, first, second)
    of = dict(zip(range(len(loader.languages)), loader.languages, strict=True))
    counted = tokens_read(loader)
    assert {num for (document, _), num in counted.items() if of[document] == "fr"} == {1}


def test_what_was_read_is_told_by_language_and_source(store):
    loader = loader_of(store, stage(900, *(Share(language="de", source=s) for s in "ab")))
    rows = loader.read().to_dicts()
    assert [(row["language"], row["source"]) for row in rows] == [("de", "a"), ("de", "b")]
    held = Counter()
    for batch in batches(loader):
        for item, length in zip(batch.items, batch.lengths, strict=True):
            held[store.documents["source"][item]] += length
    assert {row["source"]: row["tokens"] for row in rows} == dict(held)
    assert sum(row["tokens"] - row["runs"] for row in rows) == sum(
        row["predicted"] for row in rows
    ) == sum(int((batch.loss_weight > 0).sum()) for batch in batches(loader))  # fmt: skip
