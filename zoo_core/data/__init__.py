"""What all readers of users' data share: folders, tables, splits, files by their first bytes, and bad samples.

Readers of one modality belong to its plugin; here nothing knows what a sample means.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo_core import names_of

if TYPE_CHECKING:
    from zoo_core.data.bad import Faults as Faults
    from zoo_core.data.bad import FirstFault as FirstFault
    from zoo_core.data.bad import settle_faults as settle_faults
    from zoo_core.data.fetch import Fetcher as Fetcher
    from zoo_core.data.fetch import PreparedFiles as PreparedFiles
    from zoo_core.data.fetch import data_root as data_root
    from zoo_core.data.files import find_files as find_files
    from zoo_core.data.files import is_pattern as is_pattern
    from zoo_core.data.files import matching_files as matching_files
    from zoo_core.data.files import tables_at as tables_at
    from zoo_core.data.files import tables_of_folder as tables_of_folder
    from zoo_core.data.folders import Tally as Tally
    from zoo_core.data.folders import WantedFiles as WantedFiles
    from zoo_core.data.folders import class_folders as class_folders
    from zoo_core.data.folders import files_below as files_below
    from zoo_core.data.folders import split_folders as split_folders
    from zoo_core.data.image_survey import image_notices as image_notices
    from zoo_core.data.image_survey import survey_images as survey_images
    from zoo_core.data.images import Array as Array
    from zoo_core.data.images import DecodeFailure as DecodeFailure
    from zoo_core.data.images import ImageHeader as ImageHeader
    from zoo_core.data.images import ImageLimits as ImageLimits
    from zoo_core.data.images import image_header as image_header
    from zoo_core.data.images import read_image as read_image
    from zoo_core.data.options import BadSamples as BadSamples
    from zoo_core.data.options import ClassNames as ClassNames
    from zoo_core.data.options import GroupColumn as GroupColumn
    from zoo_core.data.options import HeldOut as HeldOut
    from zoo_core.data.options import SplitOptions as SplitOptions
    from zoo_core.data.options import SplitShares as SplitShares
    from zoo_core.data.options import SplitSource as SplitSource
    from zoo_core.data.options import SplitWhole as SplitWhole
    from zoo_core.data.options import Subset as Subset
    from zoo_core.data.options import TableOptions as TableOptions
    from zoo_core.data.pixels import pixels_of as pixels_of
    from zoo_core.data.sampling import even_places as even_places
    from zoo_core.data.sampling import spread as spread
    from zoo_core.data.split_data import UNSPLIT as UNSPLIT
    from zoo_core.data.split_data import Listed as Listed
    from zoo_core.data.split_data import Parts as Parts
    from zoo_core.data.split_data import SplitData as SplitData
    from zoo_core.data.split_data import SplitReader as SplitReader
    from zoo_core.data.split_data import draw_subset as draw_subset
    from zoo_core.data.split_data import lines_of as lines_of
    from zoo_core.data.splits import SPLITS as SPLITS
    from zoo_core.data.splits import WHOLE as WHOLE
    from zoo_core.data.splits import joined_groups as joined_groups
    from zoo_core.data.splits import sorted_labels as sorted_labels
    from zoo_core.data.splits import split_by_hash as split_by_hash
    from zoo_core.data.splits import split_of_file as split_of_file
    from zoo_core.data.splits import subset_by_hash as subset_by_hash
    from zoo_core.data.tables.labels import stated as stated
    from zoo_core.data.tables.labels import stated_class as stated_class
    from zoo_core.data.tables.lines import FREE_BYTES as FREE_BYTES
    from zoo_core.data.tables.lines import MAX_RATIO as MAX_RATIO
    from zoo_core.data.tables.lines import check_file as check_file
    from zoo_core.data.tables.lines import file_key as file_key
    from zoo_core.data.tables.lines import open_file as open_file
    from zoo_core.data.tables.lines import suffix_of as suffix_of
    from zoo_core.data.tables.media import cell as cell
    from zoo_core.data.tables.media import find_columns as find_columns
    from zoo_core.data.tables.media import media_rows as media_rows
    from zoo_core.data.tables.rows import TABLE_SUFFIXES as TABLE_SUFFIXES
    from zoo_core.data.tables.rows import class_names as class_names
    from zoo_core.data.tables.rows import read_lines as read_lines
    from zoo_core.data.tables.rows import read_table as read_table
    from zoo_core.data.tables.rows import row_name as row_name
    from zoo_core.data.tables.rows import scan_lines as scan_lines
    from zoo_core.data.tables.rows import scan_table as scan_table
    from zoo_core.data.tables.rows import tables_by_split as tables_by_split
    from zoo_core.storage.fs import digest_file as digest_file
    from zoo_core.storage.fs import digest_of as digest_of
    from zoo_core.storage.fs import read_bytes as read_bytes
    from zoo_core.storage.fs import read_into as read_into
    from zoo_core.storage.kinds import RASTER_SUFFIXES as RASTER_SUFFIXES
    from zoo_core.storage.kinds import kind_of as kind_of
    from zoo_core.storage.paths import expanded as expanded
    from zoo_core.storage.paths import list_files as list_files
    from zoo_core.storage.paths import resolve_path as resolve_path
    from zoo_core.storage.rehearsal import rehearse as rehearse
    from zoo_core.storage.silence import silenced as silenced

__getattr__, __dir__, __all__ = names_of(__name__, __file__)
