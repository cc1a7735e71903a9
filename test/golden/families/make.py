"""Tiny random models of the families that the lab reads, in the form in which their exporters write them, and what torch computes with them.

    python make.py [FAMILY ...]

needs torch, transformers 4.57, optimum-onnx 0.1, accelerate, onnx, onnxruntime, onnxruntime-genai 0.11.4 and safetensors; nothing is fetched. Weights are
multiples of 1/32, so that they compress: graphs are stored gzipped. Of each family: `config.json`; `<export>/model.onnx.gz` (and the file of weights
beside it, where the exporter makes one); `golden.safetensors`: ids, the losses of a whole pass in F64, its last logits, and keys and values of the prefix.
"""
import gzip
import os
import shutil
import sys
import tempfile
import warnings
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
warnings.filterwarnings("ignore")

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast
from transformers import Gemma2Config, Gemma3TextConfig, GPT2Config, LlamaConfig, MistralConfig, Phi3Config, Qwen2Config, Qwen3Config

HERE = Path(__file__).parent
VOCAB, CONTEXT, PREFIX, LAST_ROWS = 320, 32, 16, 4

COMMON = dict(vocab_size=VOCAB, hidden_size=64, intermediate_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=128, bos_token_id=0, eos_token_id=1, pad_token_id=1)
# The real numbers scaled down: windows shorter than the text that is scored, so that a graph without them gives other losses.
WINDOW = 8
LLAMA3 = dict(rope_type="llama3", factor=32.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=64)
LONGROPE = dict(type="longrope", short_factor=[1.0, 1.0, 1.1, 1.1, 1.2, 1.3, 1.4, 1.6], long_factor=[1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0])
FAMILIES = {
    "llama": LlamaConfig(**COMMON, rope_theta=500000.0, rope_scaling=LLAMA3, tie_word_embeddings=True),
    "tinyllama": LlamaConfig(**COMMON, rope_theta=10000.0, tie_word_embeddings=False),
    "smollm": LlamaConfig(**{**COMMON, "num_key_value_heads": 1}, rope_theta=10000.0, tie_word_embeddings=True),
    "qwen2": Qwen2Config(**COMMON, rope_theta=1e6, tie_word_embeddings=False, use_sliding_window=False, sliding_window=WINDOW),
    "qwen2.5": Qwen2Config(**COMMON, rope_theta=1e6, tie_word_embeddings=True, use_sliding_window=False, sliding_window=WINDOW),
    "qwen3": Qwen3Config(**COMMON, head_dim=32, rope_theta=1e6, tie_word_embeddings=True),
    "mistral": MistralConfig(**COMMON, head_dim=16, rope_theta=10000.0, sliding_window=WINDOW, tie_word_embeddings=False),
    "phi3": Phi3Config(**{**COMMON, "num_key_value_heads": 4}, rope_theta=10000.0, original_max_position_embeddings=128, sliding_window=WINDOW),
    "phi3-longrope": Phi3Config(**{**COMMON, "num_key_value_heads": 4}, rope_theta=10000.0, original_max_position_embeddings=64, rope_scaling=LONGROPE),
    "gemma2": Gemma2Config(**COMMON, head_dim=16, query_pre_attn_scalar=16, sliding_window=WINDOW, attn_logit_softcapping=5.0, final_logit_softcapping=4.0),
    "gemma3": Gemma3TextConfig(**{**COMMON, "num_hidden_layers": 6}, head_dim=16, query_pre_attn_scalar=16, sliding_window=WINDOW, rope_theta=1e6, rope_local_base_freq=10000.0),
    "gpt2": GPT2Config(vocab_size=VOCAB, n_positions=128, n_embd=64, n_layer=2, n_head=4, bos_token_id=0, eos_token_id=0),
}
# Beside Optimum's, which each has.
FUSED = ["llama", "qwen2.5", "qwen3", "mistral", "phi3", "phi3-longrope", "gemma2", "gemma3"]
FUSED_INT4 = ["llama", "qwen2.5"]
HALF = ["smollm"]
BLOCKS = ["tinyllama"]
LOGITS_TO_KEEP = ["llama"]


# What builder 0.11.4 does otherwise than the model: of Gemma 2 it gives the window to the odd layers, where the model has it in the even ones.
# The golden of such an export is of a model that does the same.
AS_BUILT = {"gemma2": {"layer_types": ["full_attention", "sliding_attention"]}}


def build(config):
    """The model with weights that make attention and positions matter."""
    torch.manual_seed(20)
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            noise = torch.randn(weight.shape)
            if weight.dim() == 1:
                weight.copy_(weight + 0.2 * noise)
            else:
                weight.copy_(noise * (0.25 if "embed" in name or "wte" in name else 1.4 / weight.shape[0 if "c_" in name else 1] ** 0.5))
            weight.copy_((weight * 32).round() / 32)
    return model


def golden(model, path):
    ids = torch.tensor([[0] + [(i * 37 + i // 3) % (VOCAB - 3) + 2 for i in range(CONTEXT - 1)]])
    with torch.no_grad():
        logits = model(ids).logits.double()[0]
        past = model(ids[:, :PREFIX], use_cache=True).past_key_values
    nll = torch.logsumexp(logits[:-1], -1) - logits[:-1].gather(1, ids[0, 1:, None])[:, 0]
    arrays = {"ids": ids[0].int().numpy(), "nll": nll.numpy(), "logits": logits[-LAST_ROWS:].float().numpy()}
    for layer in range(model.config.num_hidden_layers):
        for side, values in (("key", past.layers[layer].keys), ("value", past.layers[layer].values)):
            # A sliding layer keeps only what its window needs: its last tokens.
            arrays[f"{side}.{layer}"] = np.ascontiguousarray(values[0].float().numpy())
    save_file(arrays, path)


def optimum(model, folder, half=False):
    from optimum.exporters.onnx import onnx_export_from_model

    with tempfile.TemporaryDirectory() as at:
        onnx_export_from_model(model.half() if half else model, at, task="text-generation-with-past", do_validation=False)
        keep(Path(at), folder)


def builder(model, folder, precision):
    from onnxruntime_genai.models.builder import create_model

    with tempfile.TemporaryDirectory() as at:
        source, made = f"{at}/source", f"{at}/made"
        # Builder 0.11.4 does not look for it in rope_scaling, and takes max_position_embeddings in its place.
        scaling = model.config.rope_scaling if hasattr(model.config, "rope_scaling") else None
        if scaling and "original_max_position_embeddings" in scaling:
            model.config.original_max_position_embeddings = scaling["original_max_position_embeddings"]
        model.save_pretrained(source)
        letters = {chr(0x4E00 + i): i for i in range(VOCAB)}
        PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE(vocab=letters, merges=[]))).save_pretrained(source)
        create_model(None, source, made, precision, "cpu", f"{at}/cache")
        keep(Path(made), folder)


def blocks(source, folder):
    """Weights of an Optimum export in blocks of four bits, as files called model_q4.onnx have them."""
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

    quantizer = MatMulNBitsQuantizer(load(source), block_size=32, is_symmetric=True)
    quantizer.process()
    write(folder, "model.onnx", quantizer.model.model.SerializeToString())


def logits_to_keep(source, folder):
    """A fused export with the input by which transformers.js asks for fewer logits: a scalar that slices the last hidden states, 0 for all."""
    model = load(source)
    head = next(node for node in model.graph.node if node.output[0] == "logits")
    hidden = head.input[0]
    constants = [("last", [2**63 - 1]), ("axis", [1]), ("none", [0])]
    model.graph.initializer.extend(helper.make_tensor(f"keep.{name}", TensorProto.INT64, [1], values) for name, values in constants)
    model.graph.input.append(helper.make_tensor_value_info("num_logits_to_keep", TensorProto.INT64, []))
    nodes = [
        helper.make_node("Neg", ["num_logits_to_keep"], ["keep.negative"]),
        helper.make_node("Unsqueeze", ["keep.negative", "keep.none"], ["keep.begin"]),
        helper.make_node("Slice", [hidden, "keep.begin", "keep.last", "keep.axis"], ["keep.hidden"]),
    ]
    head.input[0] = "keep.hidden"
    others = [node for node in model.graph.node if node is not head and node.output[0] != "logits"]
    ordered = [*others, *nodes, head]
    del model.graph.node[:]
    model.graph.node.extend(ordered)
    write(folder, "model.onnx", model.SerializeToString())
    for data in source.glob("*.data.gz"):
        shutil.copy(data, folder)


def load(folder):
    return onnx.ModelProto.FromString(gzip.decompress((folder / "model.onnx.gz").read_bytes()))


def keep(made, folder):
    for name in sorted(os.listdir(made)):
        if name.startswith("model.onnx"):
            write(folder, name, (made / name).read_bytes())


def write(folder, name, content):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.gz").write_bytes(gzip.compress(content, mtime=0))


def make(family):
    folder = HERE / family
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    model = build(FAMILIES[family])
    golden(model, folder / "golden.safetensors")
    model.config.to_json_file(folder / "config.json", use_diff=True)
    if family in AS_BUILT:
        (folder / "genai-fp32").mkdir()
        golden(build(type(FAMILIES[family]).from_dict({**FAMILIES[family].to_dict(), **AS_BUILT[family]})), folder / "genai-fp32" / "golden.safetensors")
    if family in FUSED:
        builder(model, folder / "genai-fp32", "fp32")
    if family in FUSED_INT4:
        builder(model, folder / "genai-int4", "int4")
    if family in LOGITS_TO_KEEP:
        logits_to_keep(folder / "genai-fp32", folder / "genai-logits-to-keep")
    optimum(model, folder / "optimum")
    if family in BLOCKS:
        blocks(folder / "optimum", folder / "optimum-q4")
    if family in HALF:
        optimum(model, folder / "optimum-fp16", half=True)


for family in sys.argv[1:] or FAMILIES:
    make(family)
