"""The image data sets and readers, as the plugin offers them; free of torch."""

from __future__ import annotations

from zoo_core.contract import DataSpec
from zoo_vision.specs.samples import IMAGE, LABELLED_IMAGE

DATA: list[DataSpec] = [
    DataSpec(
        name="image",
        summary="images from your folders, patterns or tables, for pretraining without labels",
        target="zoo_vision.datasets.readers:read_images",
        config="zoo_vision.configs.data:Images",
        samples=IMAGE,
    ),
    DataSpec(
        name="labelled-image",
        summary="labelled images: a folder for each class, tables, .parquet with bytes, or IDX files",
        target="zoo_vision.datasets.readers:read_labelled_images",
        config="zoo_vision.configs.data:LabelledImages",
        samples=LABELLED_IMAGE,
    ),
    DataSpec(
        name="torchvision",
        summary="a classification data set that torchvision knows, by its class name",
        target="zoo_vision.datasets.torchvision_sets:read_torchvision",
        config="zoo_vision.configs.data:TorchvisionSet",
        samples=LABELLED_IMAGE,
    ),
    DataSpec(
        name="fashion-mnist",
        summary="70,000 grey images of clothing, 28×28, ten classes; 55,000 / 5,000 / 10,000",
        target="zoo_vision.datasets.catalog:read_prepared",
        config="zoo_vision.configs.data:Subset",
        samples=LABELLED_IMAGE,
        arguments={"dimensions": 3},
        files={
            "train-images.idx": "fcded99742cb9e5da4bfde5c5d0378273a6b5b0888bbf5b6fa554a97346ea0af",
            "train-labels.idx": "a779f46e7eeee96998e8aa379204a77b3ffd6525809589ee76c92c403e5a47d8",
            "validation-images.idx": "d0d48fdd555a624b81d27034c0df79f83089d5662119e3c5ab654fca64043434",
            "validation-labels.idx": "68855c49d936a0679affa902ed6ee0d8b2c2697f6ef518156249d38805ad4033",
            "test-images.idx": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            "test-labels.idx": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        },
        fetch="zoo_vision.datasets.sources:fetch_fashion_mnist",
        license="MIT",
        source="Debian dataset-fashion-mnist (Xiao, Rasul and Vollgraf, 2017, Zalando), official test split",
    ),
    DataSpec(
        name="emoji",
        summary="3,781 emoji, 64×64 with transparency, nine categories; variants of one never cross splits",
        target="zoo_vision.datasets.catalog:read_prepared",
        config="zoo_vision.configs.data:Subset",
        samples=LABELLED_IMAGE,
        arguments={"dimensions": 4},
        files={
            "train-images.idx": "5541c0936605eaee85644bda3185f8ac6073c011c868fe83c88ac99ebde1e104",
            "train-labels.idx": "c5c7cb4ef79e7fadc6f8ce68a10620a2f74e5b9966aa1ec7d716c8a5e504e455",
            "validation-images.idx": "4d259b79983c45e9585b1dfafe47d203a1b31c5048cbea055b5b713d97bf929d",
            "validation-labels.idx": "e250befc54d85fc5db07e5f5a8ffd86ecc4c06b26bd9a06038bc113015194bea",
            "test-images.idx": "edbc9d13f2d32e3d56f099afdc80b52710df50babe0e65c97de652c0f463a982",
            "test-labels.idx": "2c6382c30002ab8555fe8b10effcb9bea402db5479cbab5af7522b065bf6c548",
        },
        fetch="zoo_vision.datasets.sources:fetch_emoji",
        license="Apache-2.0 (the images, Noto Emoji by Google), MIT (the package)",
        source="npm emoji-datasource-google 16.0.0",
    ),
    DataSpec(
        name="stamps",
        summary="713 cut-outs of things, photographed or drawn, up to 256 pixels, eight classes",
        target="zoo_vision.datasets.catalog:read_prepared",
        config="zoo_vision.configs.data:Subset",
        samples=LABELLED_IMAGE,
        arguments={"dimensions": 1},
        files={
            "train-images.idx": "8e3e5b7b444107663044505d2f1b17613ddcb0dd3ca8c49e1e5e9dccb3baafce",
            "train-sizes.idx": "18e67f83e36126f7b15ab5ef5bc9e76b3fc3b0dccedf43b0aab19e3753d92a5c",
            "train-labels.idx": "32f0d9b288f2fc231d05fa29d9697103a8992827650ec064804c07a0a25715d2",
            "validation-images.idx": "4b3e1dc6177dffe592de6acd44a20dbe95fde907c320d43cb6669527b29cfdfe",
            "validation-sizes.idx": "ebc70d5969b594e746ee4503de18b6d183f133080e3a8e8b9ae6a3f0d8e172bd",
            "validation-labels.idx": "07d10a903ca1687302098be74efe01f983a14c57cafdd46d90b1ac5d5c67c103",
            "test-images.idx": "b5f12cb00f0ac277c31e9087f58142e4b9ae660c852b10b255d945ea8e9a25e9",
            "test-sizes.idx": "204490259c2ea6dd75ee864ddf9e1f25a2ee41a5e6982a2480388ccc76a04fd8",
            "test-labels.idx": "f48620e24f6a3e9b205cbbba2c28d9945750b8445ada29a6ffd05e3dcb56e594",
        },
        fetch="zoo_vision.datasets.sources:fetch_stamps",
        license="GPL-2.0-or-later and public domain, by image",
        source="Debian tuxpaint-stamps-default 2022.06.04",
    ),
    DataSpec(
        name="digits",
        summary="1,797 handwritten digits, 8×8 grey, that come with scikit-learn",
        target="zoo_vision.datasets.catalog:read_digits",
        config="zoo_vision.configs.data:Subset",
        samples=LABELLED_IMAGE,
        license="CC-BY-4.0",
        source="scikit-learn load_digits: test part of UCI's Optical Recognition of Handwritten Digits (Alpaydin, Kaynak)",
    ),
]
"""Everything that `zoo_data` returns."""
