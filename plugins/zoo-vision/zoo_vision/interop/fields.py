"""Fields of the files that timm and Hugging Face Transformers write beside image models."""

from __future__ import annotations

from zoo_transformers import config_rules, names

from zoo_core.contract import FieldRules

VIT_FIELDS = {
    "img_size": "image_size",
    "patch_size": "patch_size",
    "in_chans": "num_channels",
    "embed_dim": "hidden_size",
    "depth": "num_hidden_layers",
    "num_heads": "num_attention_heads",
}
VIT = config_rules(
    "vit",
    VIT_FIELDS,
    read="intermediate_size layer_norm_eps",
    fixed={"hidden_act": ("gelu",), "qkv_bias": (True,), "is_encoder_decoder": (False,)},
    harmless="hidden_dropout_prob attention_probs_dropout_prob encoder_stride pooler_output_size pooler_act",
)
TIMM = config_rules(
    "timm_wrapper",
    {},
    read="architecture model_args pretrained_cfg num_classes label_names label_descriptions labels",
    fixed={"do_pooling": (True,)},
    harmless="num_features global_pool",
)
PRETRAINED = FieldRules(
    file="config.json: pretrained_cfg",
    read=names("""
        architecture input_size mean std crop_pct crop_mode interpolation num_classes label_offset label_names
        label_descriptions classifier license
    """),
    harmless=names("""
        url file state_dict hf_hub_id hf_hub_filename source tag custom_load test_input_size min_input_size
        fixed_input_size test_crop_pct pool_size test_pool_size first_conv description origin_url paper_name
        paper_ids notes crop_border_pixels
    """),
)
PIXELS = FieldRules(
    file="preprocessor_config.json",
    read=names("size crop_size do_center_crop image_mean image_std resample rescale_factor"),
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
    harmless=names("""
        image_processor_type feature_extractor_type processor_class default_to_square data_format input_data_format
        return_tensors device disable_grouping image_seq_length pad_size
    """),
)
