"""What raw samples of speech have, as data sets state it and tasks read it."""

from zoo_core.contract import SampleType

SPEECH = SampleType(name="speech", fields=("waveform",))
TRANSCRIBED_SPEECH = SampleType(name="speech", fields=("waveform", "text"))
LABELLED_SPEECH = SampleType(name="speech", fields=("waveform", "label"))
