"""Models that see, of random weights, in the classes that transformers loads the real ones with."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, pre_tokenizers, processors
from tokenizers.models import WordLevel
from transformers import (
    BartConfig,
    BertConfig,
    CLIPImageProcessorPil,
    Florence2Config,
    Florence2ForConditionalGeneration,
    Florence2Processor,
    Florence2VisionConfig,
    GroundingDinoConfig,
    GroundingDinoForObjectDetection,
    GroundingDinoImageProcessorPil,
    GroundingDinoProcessor,
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2VLImageProcessorPil,
    Sam2HieraDetConfig,
    Sam2VideoConfig,
    Sam2VideoModel,
    Sam2VisionConfig,
    SwinConfig,
)

WORDS = (
    "a",
    "dog",
    "cat",
    "red",
    "name",
    "the",
    "object",
    ".",
    "user",
    "assistant",
    "locate",
    "objects",
    "in",
    "image",
)


def write_sam2(folder: Path) -> Path:
    """A Sam2VideoModel of 64 x 64 pixels."""
    hiera = Sam2HieraDetConfig(
        hidden_size=8,
        num_attention_heads=1,
        blocks_per_stage=[1, 1, 2, 1],
        embed_dim_per_stage=[8, 16, 32, 64],
        num_attention_heads_per_stage=[1, 1, 2, 4],
        window_size_per_stage=[8, 4, 4, 4],
        global_attention_blocks=[3],
        window_positional_embedding_background_size=[4, 4],
        image_size=[64, 64],
    )
    vision = Sam2VisionConfig(
        backbone_config=hiera,
        backbone_channel_list=[64, 32, 16, 8],
        backbone_feature_sizes=[[16, 16], [8, 8], [4, 4]],
        fpn_hidden_size=128,
    )
    config = Sam2VideoConfig(
        vision_config=vision,
        prompt_encoder_config={"hidden_size": 128, "image_size": 64, "patch_size": 16, "mask_input_channels": 4},
        mask_decoder_config={
            "hidden_size": 128,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "mlp_dim": 16,
            "iou_head_depth": 2,
            "iou_head_hidden_dim": 16,
        },
        image_size=64,
        memory_attention_hidden_size=128,
        memory_attention_num_layers=1,
        memory_attention_num_attention_heads=1,
        memory_attention_feed_forward_hidden_size=32,
        memory_attention_rope_feat_sizes=[4, 4],
        memory_encoder_hidden_size=128,
        memory_encoder_output_channels=64,
        mask_downsampler_embed_dim=128,
        memory_fuser_num_layers=1,
        memory_fuser_embed_dim=128,
        memory_fuser_intermediate_dim=32,
        num_maskmem=3,
    )
    _save(Sam2VideoModel, config, folder)
    return folder


def write_grounding_dino(folder: Path) -> Path:
    """A GroundingDinoForObjectDetection with 6 queries, and its processor."""
    text = BertConfig(vocab_size=40, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
    swin = SwinConfig(
        image_size=32,
        window_size=2,
        embed_dim=8,
        depths=[1, 1, 1, 1],
        num_heads=[1, 1, 2, 2],
        out_features=["stage2", "stage3", "stage4"],
    )
    config = GroundingDinoConfig(
        backbone_config=swin,
        text_config=text,
        d_model=32,
        num_queries=6,
        encoder_layers=1,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=16,
        decoder_ffn_dim=16,
        num_feature_levels=4,
        max_text_len=32,
    )
    _save(GroundingDinoForObjectDetection, config, folder)
    size = {"shortest_edge": 96, "longest_edge": 128}
    tokens = _tokens(cls_token="[CLS]", sep_token="[SEP]", pad_token="[PAD]", unk_token="[UNK]")
    GroundingDinoProcessor(GroundingDinoImageProcessorPil(size=size), tokens).save_pretrained(folder)
    return folder


def write_florence(folder: Path) -> Path:
    """A Florence2ForConditionalGeneration of 32 x 32 pixels, and its processor."""
    special = [f"<loc_{number}>" for number in range(1000)]
    tokens = _tokens(
        *special,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        extra_special_tokens={"image_token": "<image>"},
    )
    text = BartConfig(
        vocab_size=len(tokens),
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=16,
        decoder_ffn_dim=16,
        max_position_embeddings=512,
        bos_token_id=tokens.bos_token_id,
        eos_token_id=tokens.eos_token_id,
        pad_token_id=tokens.pad_token_id,
        decoder_start_token_id=tokens.eos_token_id,
        forced_eos_token_id=None,
    )
    vision = Florence2VisionConfig(
        depths=[1, 1, 1, 1],
        embed_dim=[8, 8, 8, 16],
        num_heads=[1, 1, 1, 2],
        num_groups=[1, 1, 1, 2],
        window_size=2,
        projection_dim=16,
        max_temporal_embeddings=4,
        max_position_embeddings=8,
    )
    config = Florence2Config(text_config=text, vision_config=vision, image_token_id=tokens.image_token_id)
    _save(Florence2ForConditionalGeneration, config, folder)
    pictures = CLIPImageProcessorPil(size={"height": 32, "width": 32}, do_center_crop=False)
    pictures.image_seq_length = 2  # one patch, and the mean of all
    Florence2Processor(pictures, tokens, post_processor_config={"description_with_bboxes": {}}).save_pretrained(folder)
    return folder


def write_qwen(folder: Path) -> Path:
    """A Qwen2_5_VLForConditionalGeneration, its tokenizer and image processor."""
    marks = ("<|im_start|>", "<|vision_start|>", "<|image_pad|>", "<|vision_end|>", "<|video_pad|>")
    tokens = _tokens(*marks, eos_token="<|im_end|>", pad_token="<|pad|>", unk_token="<|unk|>")
    ids = {mark: tokens.convert_tokens_to_ids(mark) for mark in marks}
    config = Qwen2_5_VLConfig(
        text_config={
            "vocab_size": len(tokens),
            "hidden_size": 16,
            "intermediate_size": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [1, 1, 2]},
            "bos_token_id": None,
            "eos_token_id": tokens.eos_token_id,
            "pad_token_id": tokens.pad_token_id,
        },
        vision_config={
            "depth": 1,
            "hidden_size": 16,
            "intermediate_size": 16,
            "num_heads": 2,
            "out_hidden_size": 16,
            "patch_size": 14,
            "window_size": 56,
            "fullatt_block_indexes": [0],
        },
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
    )
    _save(Qwen2_5_VLForConditionalGeneration, config, folder)
    tokens.save_pretrained(folder)
    Qwen2VLImageProcessorPil(size={"shortest_edge": 56 * 56, "longest_edge": 84 * 84}).save_pretrained(folder)
    return folder


def _save(kind: type, config: object, folder: Path) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        kind(config).save_pretrained(folder)


def _tokens(*special: str, **named: object) -> PreTrainedTokenizerFast:
    """A tokenizer of whole words, with these special tokens in front."""
    own = [token for token in named.values() if isinstance(token, str)]
    vocabulary = {token: number for number, token in enumerate([*own, *WORDS])}
    inner = Tokenizer(WordLevel(vocabulary, unk_token=str(named["unk_token"])))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    inner.decoder = decoders.Metaspace()
    if "cls_token" in named:
        marks = [(str(named[name]), vocabulary[str(named[name])]) for name in ("sep_token", "cls_token")]
        inner.post_processor = processors.BertProcessing(*marks)
    tokens = PreTrainedTokenizerFast(tokenizer_object=inner, **named)
    tokens.add_special_tokens({"additional_special_tokens": list(special)}) if special else None
    return tokens
