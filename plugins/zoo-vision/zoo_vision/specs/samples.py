"""What raw samples of images have, as data sets state it and tasks read it."""

from zoo_core.contract import SampleType

IMAGE = SampleType(name="image", fields=("image",))
LABELLED_IMAGE = SampleType(name="image", fields=("image", "label"))
