"""Fields of the files that timm and Hugging Face Transformers write beside image models."""

from __future__ import annotations

from zoo_core.contract import FieldRules

_STORED = frozenset(
    (
        "transformers_version", "output_hidden_states", "output_attentions", "return_dict", "torchscript",
        "use_bfloat16", "use_cache", "initializer_range", "dtype", "torch_dtype", "chunk_size_feed_forward",
        "label2id", "num_labels", "finetuning_task", "function_to_apply", "attn_implementation", "license",
    )
)  # fmt: skip
"""Of any `config.json` of Transformers: how things are computed, stored or trained."""

VIT = FieldRules(
    file="config.json",
    read=frozenset(
        (
            "architectures", "id2label", "problem_type", "image_size", "patch_size", "num_channels", "hidden_size",
            "num_hidden_layers", "num_attention_heads", "intermediate_size", "layer_norm_eps",
        )
    ),
    fixed={
        "model_type": ("vit",),
        "hidden_act": ("gelu",),
        "qkv_bias": (True,),
        "quantization_config": (None,),
        "pruned_heads": ({}, None),
        "is_encoder_decoder": (False,),
    },
    harmless=_STORED
    | {
        "hidden_dropout_prob", "attention_probs_dropout_prob", "encoder_stride", "pooler_output_size", "pooler_act",
    },
)  # fmt: skip
TIMM = FieldRules(
    file="config.json",
    read=frozenset(
        (
            "architecture", "architectures", "model_args", "pretrained_cfg", "num_classes", "label_names",
            "label_descriptions", "labels", "id2label", "problem_type",
        )
    ),
    fixed={"model_type": ("timm_wrapper",), "quantization_config": (None,), "do_pooling": (True,)},
    harmless=_STORED | {"num_features", "global_pool", "is_encoder_decoder"},
)  # fmt: skip
PRETRAINED = FieldRules(
    file="config.json: pretrained_cfg",
    read=frozenset(
        (
            "architecture", "input_size", "mean", "std", "crop_pct", "crop_mode", "interpolation", "num_classes",
            "label_offset", "label_names", "label_descriptions", "classifier", "license",
        )
    ),
    harmless=frozenset(
        (
            "url", "file", "state_dict", "hf_hub_id", "hf_hub_filename", "source", "tag", "custom_load",
            "test_input_size", "min_input_size", "fixed_input_size", "test_crop_pct", "pool_size", "test_pool_size",
            "first_conv", "description", "origin_url", "paper_name", "paper_ids", "notes", "crop_border_pixels",
        )
    ),
)  # fmt: skip
PIXELS = FieldRules(
    file="preprocessor_config.json",
    read=frozenset(
        ("size", "crop_size", "do_center_crop", "image_mean", "image_std", "resample", "rescale_factor")
    ),
    fixed={
        "do_resize": (True,),
        "do_rescale": (True,),
        "do_normalize": (True,),
        "do_convert_rgb": (None, True, False),
        "do_pad": (None, False),
        "do_flip_channel_order": (None, False),
        "do_grayscale": (None, False),
        "do_reduce_labels": (None, False),
        "crop_pct": (None,),
        "rescale_offset": (None, False),
        "offset": (None, False),
        "size_divisor": (None,),
    },
    harmless=frozenset(
        (
            "image_processor_type", "feature_extractor_type", "processor_class", "default_to_square", "data_format",
            "input_data_format", "return_tensors", "device", "disable_grouping", "image_seq_length", "pad_size",
        )
    ),
)  # fmt: skip
