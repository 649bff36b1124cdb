"""What raw samples have that generators learn from, as data sets state it and tasks read it."""

from zoo_core.contract import SampleType

POINT = SampleType(name="point", fields=("x", "y"))
IMAGE = SampleType(name="image", fields=("image",))
LABELLED_IMAGE = SampleType(name="image", fields=("image", "label"))
