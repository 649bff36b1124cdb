"""What raw samples of texts have, as data sets state it and tasks read it."""

from zoo_core.contract import SampleType

TEXT = SampleType(name="text", fields=("text",))
LABELLED_TEXT = SampleType(name="text", fields=("text", "label"))
TEXT_PAIR = SampleType(name="text-pair", fields=("source", "target"))
