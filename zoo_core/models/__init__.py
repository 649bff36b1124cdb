"""Models from specs: built afresh, filled with verified tensors, adapted to another head, frozen in part.

No family is known here; what a model is made of belongs to the plugin that brings it.
"""
