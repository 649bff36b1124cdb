"""Reads images and labels from the user's tables: paths in any, encoded bytes in Parquet as Hugging Face writes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from zoo_core.data import (
    Faults,
    Listed,
    cell,
    find_columns,
    media_rows,
    stated_class,
    suffix_of,
)
from zoo_vision.configs.data import Images, LabelledImages
from zoo_vision.datasets.samples import Image, LabelledImage

MAX_IMAGE = 64 << 20
"""Bytes of one image in a table."""


def tabled_images(
    tables: Sequence[Path], config: Images | LabelledImages, names: Sequence[str], faults: Faults
) -> Iterator[Listed]:
    """The images of tables, in the order of their rows; rows that can't be samples go to `faults`.

    The column of images has paths, relative ones from the table's folder, or in .parquet the bytes; by default it is
    `path`, in .parquet `image` where there is one. Whole numbers as labels are turned into names by the table's own list of
    classes or by `names`. Raises `DataError`, naming table and row, for what is wrong with a table.
    """
    asked = {"image": config.image_column, "group": config.group_column}
    if isinstance(config, LabelledImages):
        asked |= {"label": config.label_column}

    def columns_of(table: Path) -> Mapping[str, str]:
        usual = ("image", "path") if suffix_of(table) == ".parquet" else ("path",)
        return find_columns(table, asked, {"image": usual}, "image", config)

    for row in media_rows(tables, columns_of, "image", config, faults, largest=MAX_IMAGE, noun="an image"):
        name = row.where if isinstance(row.source, bytes) else ""
        try:
            label = ""
            if "label" in asked:
                label = stated_class(_label(row.values["label"]), row.classes or names, config.missing)
            group = cell("group", row.values["group"]) if config.group_column else ""
        except ValueError as error:
            faults.add(row.where, str(error))
        else:
            image = LabelledImage(row.source, label, name=name) if "label" in asked else Image(row.source, name=name)
            yield Listed(image, image.name, label, group)


def _label(value: object) -> str:
    if isinstance(value, float) and value == value:
        raise ValueError("a label is a name or a whole number, found float")
    return cell("label", value)
