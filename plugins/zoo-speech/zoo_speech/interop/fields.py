"""Fields of the files that Hugging Face Transformers writes beside speech models."""

from __future__ import annotations

from zoo_transformers import GENERATION, STORED, config_rules, names

from zoo_core.contract import FieldRules

_TRAINING = """
    apply_spec_augment mask_time_prob mask_time_length mask_time_min_masks mask_feature_prob mask_feature_length
    mask_feature_min_masks activation_dropout mask_channel_length mask_channel_min_space mask_channel_other
    mask_channel_prob mask_channel_selection mask_time_min_space mask_time_other mask_time_selection
"""
_WHISPER = """
    max_length forced_decoder_ids median_filter_width lang_to_id task_to_id no_timestamps_token_id alignment_heads
    prev_sot_token_id return_timestamps max_initial_timestamp_index
"""
_WRITING = dict.fromkeys(
    GENERATION | names("prompt_ids compression_ratio_threshold logprob_threshold no_speech_threshold"),
    "answers go by the options of a prediction",
)

WHISPER_FIELDS = {
    "vocab_size": "vocab_size",
    "n_mels": "num_mel_bins",
    "hidden_size": "d_model",
    "encoder_layers": "encoder_layers",
    "decoder_layers": "decoder_layers",
    "num_heads": "encoder_attention_heads decoder_attention_heads",
    "intermediate_size": "encoder_ffn_dim decoder_ffn_dim",
    "max_length": "max_target_positions",
    "dropout": "dropout",
    "start_id": "decoder_start_token_id",
    "eos_id": "eos_token_id",
}
_RULES = "suppress_tokens begin_suppress_tokens is_multilingual language task"
WHISPER = config_rules(
    "whisper",
    WHISPER_FIELDS,
    read=f"max_source_positions pad_token_id classifier_proj_size {_RULES}",
    fixed={
        "activation_function": ("gelu",),
        "scale_embedding": (False,),
        "tie_word_embeddings": (True,),
        "use_weighted_layer_sum": (False,),
    },
    harmless=f"attention_dropout encoder_layerdrop decoder_layerdrop num_hidden_layers {_TRAINING} {_WHISPER}",
    advice=_WRITING,
)
WHISPER_GENERATION = FieldRules(
    file="generation_config.json",
    read=names(_RULES),
    harmless=STORED | names(f"decoder_start_token_id eos_token_id pad_token_id {_WHISPER}"),
    advice={name: instead for name, instead in _WRITING.items() if name not in names(f"{_RULES} {_WHISPER}")},
)
SPECTROGRAMS = FieldRules(
    file="preprocessor_config.json",
    read=names("feature_size sampling_rate hop_length n_fft chunk_length"),
    fixed={"do_normalize": (False, None), "padding_value": (0.0, None), "dither": (0.0, None)},
    harmless=names("""
        feature_extractor_type processor_class return_attention_mask padding_side mel_filters n_samples nb_max_frames
    """),
)
WAV2VEC2_FIELDS = {
    "vocab_size": "vocab_size",
    "hidden_size": "hidden_size",
    "num_layers": "num_hidden_layers",
    "num_heads": "num_attention_heads",
    "intermediate_size": "intermediate_size",
    "position_kernel": "num_conv_pos_embeddings",
    "position_groups": "num_conv_pos_embedding_groups",
    "dropout": "hidden_dropout",
    "attention_dropout": "attention_dropout",
    "layer_drop": "layerdrop",
    "code_groups": "num_codevector_groups",
    "codes": "num_codevectors_per_group",
    "code_size": "codevector_dim",
    "conv_widths": "conv_dim",
    "conv_kernels": "conv_kernel",
    "conv_strides": "conv_stride",
}
WAV2VEC2 = config_rules(
    "wav2vec2",
    WAV2VEC2_FIELDS,
    read="feat_extract_norm do_stable_layer_norm conv_bias classifier_proj_size proj_codevector_dim pad_token_id",
    fixed={
        "hidden_act": ("gelu",),
        "feat_extract_activation": ("gelu",),
        "layer_norm_eps": (1e-5,),
        "add_adapter": (False,),
        "adapter_attn_dim": (None,),
        "use_weighted_layer_sum": (False,),
    },
    harmless=f"""
    feat_proj_dropout feat_quantizer_dropout final_dropout feat_extract_dropout num_feat_extract_layers
    contrastive_logits_temperature num_negatives diversity_loss_weight ctc_loss_reduction ctc_zero_infinity tdnn_dim
    tdnn_kernel tdnn_dilation xvector_output_dim adapter_kernel_size adapter_stride num_adapter_layers output_hidden_size
    eos_token_id attention_bias {_TRAINING}
    """,
)
WAVEFORMS = FieldRules(
    file="preprocessor_config.json",
    read=names("sampling_rate do_normalize"),
    fixed={"feature_size": (1,), "padding_value": (0.0, 0)},
    harmless=names("feature_extractor_type processor_class return_attention_mask padding_side tokenizer_class"),
)
SYMBOLS = FieldRules(
    file="tokenizer_config.json",
    read=names("word_delimiter_token"),
    fixed={"do_lower_case": (False, None), "target_lang": (None,), "replace_word_delimiter_char": (" ",)},
    harmless=names("""
    tokenizer_class processor_class bos_token eos_token unk_token pad_token return_attention_mask do_normalize
    special_tokens_map_file tokenizer_file name_or_path clean_up_tokenization_spaces model_max_length added_tokens_decoder
    additional_special_tokens extra_special_tokens backend is_local local_files_only padding_side use_fast
    """),
)
