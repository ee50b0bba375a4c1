"""Domain vectors and clusters: against plain numpy, and whatever the order of lines."""

import json
import random

import numpy as np
import pytest
from expert_models import TEXTS, write_data, write_model
from hypothesis import given, settings
from hypothesis import strategies as st

from polylect.base import InputError, Ledger
from polylect.engine import embed
from polylect.experts import (
    ClusterConfig,
    cluster_texts,
    domain_records,
    embed_domain,
    find_clusters,
    find_domains,
    read_domain,
)


def write_rows(file, texts, **row):
    lines = [json.dumps({"text": text, **row}, ensure_ascii=False) for text in texts]
    file.write_text("\n".join(lines) + "\n")
    return file


def test_a_vector_is_the_mean_of_its_texts(tmp_path):
    texts = [TEXTS["de"].format(i) for i in range(50)]
    file = write_rows(tmp_path / "de.jsonl", [*texts, *texts[:9]], language="de")
    domain = read_domain(file, 1000, 0, Ledger())
    assert sorted(domain.texts) == sorted(texts)
    assert (domain.num_documents, domain.languages, domain.source) == (59, ["de"], "de.jsonl")
    found = find_domains([domain], "ngrams#width=32")
    mean = embed(domain.texts, "ngrams#width=32").astype(np.float64).mean(axis=0)
    assert (found.vectors[0] == mean.astype(np.float32)).all()
    assert list(found.records) == domain_records([domain], "ngrams#width=32")
    assert found.records[0]["encoder"] == "ngrams#width=32"


def test_which_texts_are_drawn_depends_on_content_and_seed_alone(tmp_path):
    texts = [f"{TEXTS['fr'].format(i)} {i * 7}" for i in range(200)]
    shuffled = [*texts, *texts[:50]]
    random.Random(3).shuffle(shuffled)
    first = read_domain(write_rows(tmp_path / "a.jsonl", texts), 20, 0, Ledger())
    other = read_domain(write_rows(tmp_path / "b.jsonl", shuffled), 20, 0, Ledger())
    assert first.texts == other.texts
    assert first.digest == other.digest
    assert len(set(first.texts)) == 20
    assert set(read_domain(tmp_path / "a.jsonl", 20, 1, Ledger()).texts) != set(first.texts)


def test_every_kind_of_file_is_read_and_no_text_is_dropped_for_its_language(tmp_path):
    import polars

    (tmp_path / "plain.txt").write_text("Ein Satz.\n\nNoch ein Satz.\n")
    polars.DataFrame({"text": ["x = 1", "zzkq"]}).write_parquet(tmp_path / "rows.parquet")
    (tmp_path / "code.py").write_text("def f():\n    return 1\n")
    for name, num in (("plain.txt", 1), ("rows.parquet", 2), ("code.py", 1), (".", 4)):
        domain = read_domain(tmp_path / name, 100, 0, Ledger())
        assert len(domain.texts) == num, domain
    assert read_domain(tmp_path / "code.py", 9, 0, Ledger()).languages == ["code"]
    told = read_domain(tmp_path / "rows.parquet", 9, 0, Ledger(), default_language="cy")
    assert told.languages == ["cy"]


def test_the_hidden_states_of_a_seed_are_an_encoder(tmp_path):
    seed = write_model(tmp_path / "seed", "gemma2")
    files = write_data(tmp_path)
    texts = [read_domain(file, 100, 0, Ledger()) for file in files]
    found = find_domains(texts, f"hidden:{seed.path}", cache=tmp_path / "cache")
    assert found.vectors.shape == (4, 24)
    assert found.records[0]["encoder"] == "hidden:seed"
    again = find_domains(texts, f"hidden:{seed.path}", cache=tmp_path / "cache")
    assert again.digest == found.digest


def test_equal_domains_are_counted_and_vectors_that_are_0_refused(tmp_path):
    file = write_rows(tmp_path / "a.jsonl", ["one", "two"])
    domain = read_domain(file, 10, 0, Ledger())
    ledger = Ledger()
    find_domains([domain, domain], "ngrams", ledger=ledger)
    assert ledger.total("equal: the vectors of two domains") == 1
    function = tmp_path / "zeros.py"
    function.write_text("def zeros(texts):\n    return [[0.0, 0.0] for _ in texts]\n")
    from polylect.engine import find_encoder

    with pytest.raises(InputError, match=r"a\.jsonl: the vector of the domain is 0 by function"):
        embed_domain(domain, find_encoder(f"function:{function}:zeros"))


def test_clusters_find_the_languages_of_unlabeled_text(tmp_path):
    texts = {tag: [text.format(i) for i in range(20)] for tag, text in TEXTS.items()}
    lines = [text for each in texts.values() for text in each]
    found = []
    for number in range(2):
        random.Random(number).shuffle(lines)
        file = write_rows(tmp_path / f"{number}.jsonl", [*lines, lines[0]])
        ledger = Ledger()
        found.append(cluster_texts([file], "ngrams#width=256", ClusterConfig(num=4), ledger=ledger))
        assert ledger.total("dropped: exact duplicate") == 1
    first, other = found
    assert (first.labels == other.labels).all()
    assert (first.centroids == other.centroids).all()
    by_text = {d.text: label for d, label in zip(first.documents, first.labels, strict=True)}
    groups = [{by_text[text] for text in each} for each in texts.values()]
    assert [len(group) for group in groups] == [1, 1, 1, 1]
    assert len(set().union(*groups)) == 4
    with pytest.raises(InputError, match="80 distinct texts for 81 clusters"):
        cluster_texts([tmp_path / "0.jsonl"], "ngrams", ClusterConfig(num=81))


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 5), st.integers(0, 40), st.integers(2, 6), st.integers(0, 3), st.booleans())
def test_clusters_are_a_fixed_point_and_none_is_empty(num, more, width, seed, repeats):
    source = np.random.default_rng([num, more, width, seed])
    points = source.standard_normal((num + more, width + 1))
    if repeats:
        points = np.repeat(points, 2, axis=0)
    labels, cosines, centroids = find_clusters(points, ClusterConfig(num=num, seed=seed))
    units = points / np.linalg.norm(points, axis=1, keepdims=True)
    sizes = np.bincount(labels, minlength=num)
    assert (sizes > 0).all()
    assert (np.diff(sizes) <= 0).all()
    assert np.allclose(np.linalg.norm(centroids, axis=1), 1)
    assert np.allclose(cosines, (units * centroids[labels]).sum(axis=1))
    for cluster in range(num):
        mean = units[labels == cluster].sum(axis=0)
        assert np.allclose(mean / np.linalg.norm(mean), centroids[cluster], atol=1e-9)


def test_vectors_without_a_direction_are_refused():
    with pytest.raises(InputError, match="the vector of text 2 is 0 or not finite"):
        find_clusters(np.array([[1.0, 0.0], [0.0, 0.0]]), ClusterConfig(num=1))
    with pytest.raises(InputError, match="only 1 different vectors"):
        find_clusters(np.ones((5, 3)), ClusterConfig(num=2))
