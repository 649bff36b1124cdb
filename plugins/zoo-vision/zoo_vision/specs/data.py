"""The image data sets and readers, as the plugin offers them; free of torch."""

from __future__ import annotations

from zoo_core.contract import DataSpec

DATA: list[DataSpec] = [
    DataSpec(
        name="image",
        summary="pictures from your folders, patterns or tables, for pretraining without labels",
        target="zoo_vision.datasets.readers:read_images",
        config="zoo_vision.configs.data:Images",
        modality="image",
        kind="image",
    ),
    DataSpec(
        name="labelled-image",
        summary="labelled pictures: a folder for each class, tables, .parquet with bytes, or IDX files",
        target="zoo_vision.datasets.readers:read_labelled_images",
        config="zoo_vision.configs.data:LabelledImages",
        modality="image",
        kind="labelled-image",
    ),
    DataSpec(
        name="torchvision",
        summary="a classification data set that torchvision knows, by its class name",
        target="zoo_vision.datasets.torchvision_sets:read_torchvision",
        config="zoo_vision.configs.data:TorchvisionSet",
        modality="image",
        kind="labelled-image",
    ),
    DataSpec(
        name="fashion-mnist",
        summary="70,000 grey pictures of clothing, 28×28, ten classes; 55,000 / 5,000 / 10,000",
        target="zoo_vision.datasets.catalog:fashion_mnist",
        config="zoo_vision.configs.data:Subset",
        modality="image",
        kind="labelled-image",
        fetch="zoo_vision.datasets.sources:fetch_fashion_mnist",
        license="MIT",
        source="Debian dataset-fashion-mnist (Xiao, Rasul and Vollgraf, 2017, Zalando), official test split",
    ),
    DataSpec(
        name="emoji",
        summary="3,781 emoji, 64×64 with transparency, nine categories; variants of one never cross splits",
        target="zoo_vision.datasets.catalog:emoji",
        config="zoo_vision.configs.data:Subset",
        modality="image",
        kind="labelled-image",
        fetch="zoo_vision.datasets.sources:fetch_emoji",
        license="Apache-2.0 (the pictures, Noto Emoji by Google), MIT (the package)",
        source="npm emoji-datasource-google 16.0.0",
    ),
    DataSpec(
        name="stamps",
        summary="713 cut-outs of things, photographed or drawn, up to 256 pixels, eight classes",
        target="zoo_vision.datasets.catalog:stamps",
        config="zoo_vision.configs.data:Subset",
        modality="image",
        kind="labelled-image",
        fetch="zoo_vision.datasets.sources:fetch_stamps",
        license="GPL-2.0-or-later and public domain, by picture",
        source="Debian tuxpaint-stamps-default 2022.06.04",
    ),
    DataSpec(
        name="digits",
        summary="1,797 handwritten digits, 8×8 grey, that come with scikit-learn",
        target="zoo_vision.datasets.catalog:digits",
        config="zoo_vision.configs.data:Subset",
        modality="image",
        kind="labelled-image",
        license="CC-BY-4.0",
        source="scikit-learn load_digits: test part of UCI's Optical Recognition of Handwritten Digits (Alpaydin, Kaynak)",
    ),
]
"""Everything that `zoo_data` returns."""
