"""Hybrid models of a megabyte, written at test time: attention in some layers, a recurrent state in others.

No package index has such a file that is small. The weights are random and always the same, so the answers
mean nothing; what is tested is whether a state is kept, shared, cut and saved exactly. `lfm2` remembers its
last tokens (short convolutions), `qwen35` all of them (a gated delta rule, as in Qwen 3.5).
"""

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tests.models.hostile_files import header, number_value, string_value, tensor, text

INT32, FLOAT32, BOOL, STRING, ARRAY = 5, 6, 7, 8, 9  # kinds of values
F32, Q4_0 = 0, 2  # kinds of tensors
ALIGNMENT = 32
BLOCK = 32  # numbers that share a scale in Q4_0

WIDTH, HEAD, HEADS, KV_HEADS, HIDDEN, LAYERS = 128, 32, 4, 2, 256, 4
CONTEXT = 4096
RECURRENT = (True, False, True, False)  # by layer
CONTROLS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
TEMPLATE = (
    "{% for message in messages %}"
    "<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
# Qwen 3.5's delta rule: how much one head remembers, and how many there are.
STATE, STATE_HEADS, CONVOLUTION = 32, 4, 4

Shapes = dict[str, tuple[int, ...]]


def write_hybrid(path: Path, kind: str, seed: int = 7) -> Path:
    """Write a model of this architecture; the same seed makes the same file."""
    values, shapes = {"lfm2": _lfm2, "qwen35": _qwen35}[kind]()
    values = [*_general(kind), *values, *_vocabulary()]
    chance = np.random.default_rng(seed)
    infos, data, offset = [], [], 0
    for name, shape in shapes.items():
        stored, raw = _weights(name, shape, chance)
        infos.append(tensor(name, shape, stored, offset))
        raw += bytes(-len(raw) % ALIGNMENT)
        data.append(raw)
        offset += len(raw)
    head = header(len(infos), len(values)) + b"".join(values) + b"".join(infos)
    path.write_bytes(head + bytes(-len(head) % ALIGNMENT) + b"".join(data))
    return path


def _general(kind: str) -> list[bytes]:
    numbers = {
        "context_length": CONTEXT,
        "embedding_length": WIDTH,
        "block_count": LAYERS,
        "feed_forward_length": HIDDEN,
        "attention.head_count": HEADS,
        "rope.dimension_count": HEAD,
    }
    return [
        string_value("general.architecture", kind),
        string_value("general.name", f"tiny {kind}"),
        *(number_value(f"{kind}.{name}", value) for name, value in numbers.items()),
        _float(f"{kind}.attention.layer_norm_rms_epsilon", 1e-5),
        _float(f"{kind}.rope.freq_base", 1_000_000.0),
    ]


def _lfm2() -> tuple[list[bytes], Shapes]:
    values = [
        _array("lfm2.attention.head_count_kv", INT32, [0 if past else KV_HEADS for past in RECURRENT]),
        number_value("lfm2.shortconv.l_cache", CONVOLUTION),
    ]
    shapes = _frame("token_embd_norm.weight", "ffn_norm.weight")
    for layer, is_recurrent in enumerate(RECURRENT):
        block = f"blk.{layer}"
        if is_recurrent:
            shapes |= {
                f"{block}.shortconv.conv.weight": (CONVOLUTION, WIDTH),
                f"{block}.shortconv.in_proj.weight": (WIDTH, 3 * WIDTH),
                f"{block}.shortconv.out_proj.weight": (WIDTH, WIDTH),
            }
        else:
            shapes |= _attention(block, HEADS * HEAD)
    return values, shapes


def _qwen35() -> tuple[list[bytes], Shapes]:
    inner = STATE * STATE_HEADS
    numbers = {
        "attention.head_count_kv": KV_HEADS,
        "attention.key_length": HEAD,
        "attention.value_length": HEAD,
        "ssm.conv_kernel": CONVOLUTION,
        "ssm.inner_size": inner,
        "ssm.state_size": STATE,
        "ssm.time_step_rank": STATE_HEADS,
        "ssm.group_count": STATE_HEADS,
    }
    values = [
        *(number_value(f"qwen35.{name}", value) for name, value in numbers.items()),
        _array("qwen35.rope.dimension_sections", INT32, [HEAD // 8] * 4),
        _array("qwen35.attention.recurrent_layers", BOOL, RECURRENT),
    ]
    shapes = _frame("output_norm.weight", "post_attention_norm.weight")
    for layer, is_recurrent in enumerate(RECURRENT):
        block = f"blk.{layer}"
        if is_recurrent:
            shapes |= {
                f"{block}.attn_qkv.weight": (WIDTH, 3 * inner),
                f"{block}.attn_gate.weight": (WIDTH, inner),
                f"{block}.ssm_conv1d.weight": (CONVOLUTION, 3 * inner),
                f"{block}.ssm_dt.bias": (STATE_HEADS,),
                f"{block}.ssm_a": (STATE_HEADS,),
                f"{block}.ssm_beta.weight": (WIDTH, STATE_HEADS),
                f"{block}.ssm_alpha.weight": (WIDTH, STATE_HEADS),
                f"{block}.ssm_norm.weight": (STATE,),
                f"{block}.ssm_out.weight": (inner, WIDTH),
            }
        else:
            shapes |= _attention(block, 2 * HEADS * HEAD)  # each query comes with a gate
    return values, shapes


def _frame(last_norm: str, second_norm: str) -> Shapes:
    shapes: Shapes = {"token_embd.weight": (WIDTH, len(_words())), last_norm: (WIDTH,)}
    for layer in range(LAYERS):
        block = f"blk.{layer}"
        shapes |= {
            f"{block}.attn_norm.weight": (WIDTH,),
            f"{block}.{second_norm}": (WIDTH,),
            f"{block}.ffn_gate.weight": (WIDTH, HIDDEN),
            f"{block}.ffn_up.weight": (WIDTH, HIDDEN),
            f"{block}.ffn_down.weight": (HIDDEN, WIDTH),
        }
    return shapes


def _attention(block: str, queries: int) -> Shapes:
    return {
        f"{block}.attn_q.weight": (WIDTH, queries),
        f"{block}.attn_k.weight": (WIDTH, KV_HEADS * HEAD),
        f"{block}.attn_v.weight": (WIDTH, KV_HEADS * HEAD),
        f"{block}.attn_output.weight": (HEADS * HEAD, WIDTH),
        f"{block}.attn_q_norm.weight": (HEAD,),
        f"{block}.attn_k_norm.weight": (HEAD,),
    }


def _weights(name: str, shape: tuple[int, ...], chance: np.random.Generator) -> tuple[int, bytes]:
    if "norm" in name:
        # Sharp attention, or all of a long lesson would be averaged away and the answer not depend on it.
        size = 3.0 if "_q_norm" in name or "_k_norm" in name else 1.0
        return F32, np.full(shape, size, np.float32).tobytes()
    if name.endswith("ssm_a"):  # how fast a head forgets: slowly, so that a wrong state is noticed late, too
        return F32, np.full(shape, -0.02, np.float32).tobytes()
    wide = chance.standard_normal(shape[::-1], np.float32)  # GGUF names the innermost size first
    if len(shape) == 1 or name.endswith(("conv.weight", "conv1d.weight")):
        return F32, wide.tobytes()
    # What attention finds counts most, the last token least: else all answers would begin alike.
    loud = 20.0 if "attn_output" in name else 2.0
    scale = 0.3 if name.startswith("token_embd") else loud / np.sqrt(shape[0])
    return Q4_0, _pack(wide * np.float32(scale))


def _pack(numbers: npt.NDArray[np.float32]) -> bytes:
    """Q4_0: a half-precision scale and 32 numbers of four bits, the first 16 in the low halves."""
    blocks = numbers.reshape(-1, BLOCK)
    scales = (np.abs(blocks).max(axis=1) / 8).astype(np.float16)
    steps = np.clip(np.rint(blocks / scales[:, None].astype(np.float32)) + 8, 0, 15).astype(np.uint8)
    halves = steps[:, : BLOCK // 2] | steps[:, BLOCK // 2 :] << 4
    return np.hstack([scales[:, None].view(np.uint8), halves]).tobytes()


def _words() -> list[str]:
    """A word for each byte, in the letters that GPT-2 writes bytes with, and the control tokens."""
    shown = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    hidden = (byte for byte in range(256) if byte not in shown)
    return [*map(chr, shown), *(chr(256 + place) for place, _ in enumerate(hidden)), *CONTROLS]


def _vocabulary() -> list[bytes]:
    words = _words()
    kinds = [3 if word in CONTROLS else 1 for word in words]  # control, normal
    return [
        string_value("tokenizer.ggml.model", "gpt2"),
        string_value("tokenizer.ggml.pre", "gpt-2"),
        _array("tokenizer.ggml.tokens", STRING, words),
        _array("tokenizer.ggml.token_type", INT32, kinds),
        _array("tokenizer.ggml.merges", STRING, ["Ġ t"]),  # it must name one
        number_value("tokenizer.ggml.eos_token_id", words.index("<|im_end|>")),
        string_value("tokenizer.chat_template", TEMPLATE),
    ]


def _float(key: str, value: float) -> bytes:
    return text(key) + struct.pack("<If", FLOAT32, value)


def _array(key: str, kind: int, values: Sequence[int] | Sequence[str]) -> bytes:
    letter = {INT32: "<i", BOOL: "<?", STRING: ""}[kind]
    raw = b"".join(text(value) if isinstance(value, str) else struct.pack(letter, value) for value in values)
    return text(key) + struct.pack("<IIQ", ARRAY, kind, len(values)) + raw
