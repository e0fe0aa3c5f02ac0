"""GPT-2, OPT and the Llama type (Llama, Mistral, Qwen2): decoders that see only earlier tokens.

`hidden` ends before the last norm, `final` is after it.  Known to go wrong: GPT-2 stores its matrices [in, out] and one
matrix for query, key and value; OPT counts positions from 2 and may have its norms after the additions, without a last
one; a classifier reads the last token that is not padding; rotary frequencies and angles are float32 as in the
reference, only cosine and sine are wide; a window of w sees the token itself and w - 1 before it.
"""
import math
from types import SimpleNamespace

import torch

from forward_pass import NAMES, Net

LLAMA = {"prefix": "model.", "word": "embed_tokens.weight", "layer": "layers.%d.", "last": "norm"}
NAMES["gpt2"] = {"prefix": "transformer.", "word": "wte.weight", "layer": "h.%d.", "last": "ln_f"}
NAMES["opt"] = {"prefix": "model.", "word": "decoder.embed_tokens.weight", "layer": "decoder.layers.%d."}
NAMES.update({"llama": LLAMA, "mistral": LLAMA, "qwen2": LLAMA})


class Decoder(Net):
    """What both share: the mask, attention, the heads."""
    typed = False
    is_decoder = True
    window = None

    def visible_keys(self, n, visible):
        """[B or 1, 1, query, key]"""
        distance = torch.arange(n)[:, None] - torch.arange(n)[None, :]
        seen = distance >= 0
        if self.window is not None:
            seen = seen & (distance < self.window)
        return seen[None, None] if visible is None else seen[None, None] & visible[:, None, None, :]

    def attend(self, q, k, v, scale, seen):
        """q, k, v [B, H, n, D] -> ([B, n, H D], probabilities).  A query without any key is a removed one: zeros, never read."""
        probs = self.rule.softmax(self.rule.scores(torch.matmul(q, k.transpose(2, 3)) * scale), seen)
        probs = torch.where(seen.any(-1, keepdim=True), probs, torch.zeros_like(probs))
        mixed = self.rule.mixed(probs, v).permute(0, 2, 1, 3)
        return mixed.reshape(*mixed.shape[:2], -1), probs

    def logits(self, x, ids):
        if self.head == "lm":
            return torch.matmul(x, self.weights.get("lm_head.weight", self.words).T)
        real = ids != self.config.get("pad_token_id", -1)
        last = torch.where(real, torch.arange(ids.shape[1]), torch.zeros_like(ids)).max(1).values
        return torch.matmul(x[torch.arange(len(x)), last], self.weights["score.weight"].T)

    def run(self, ids, types=None, positions=None, words=None, summed=None, embedded=None, visible=None):
        words = self.words[ids] if words is None else words
        positions = self.positions(ids) if positions is None else positions
        if summed is None:
            summed = self.placed(words, positions)
        x = summed if embedded is None else embedded
        seen, hidden, attention = self.visible_keys(ids.shape[1], visible), [x], []
        for index in range(self.layers):
            x, probs = self.layer(x, index, positions, seen)
            hidden.append(x)
            attention.append(probs)
        final = self.last_norm(x)
        logits = self.logits(self.leave(x if final is None else final), ids)
        return SimpleNamespace(summed=summed, hidden=hidden, attention=attention, final=final, logits=logits)

    def last_norm(self, x):
        return self.norm(x, self.names["last"])

    def leave(self, x):
        """The last state to what the head reads: the same unless words are narrower."""
        return x


class Gpt2(Decoder):
    def placed(self, words, positions):
        return self.rule.added("position", words, self.get("wpe.weight")[positions])

    def conv(self, x, name):
        return self.rule.added("linear", torch.matmul(x, self.get(name + ".weight")), self.get(name + ".bias"))

    def layer(self, x, index, positions, seen):
        at = self.layer_at(index)
        q, k, v = (self.split_heads(part) for part in self.conv(self.norm(x, at + "ln_1"), at + "attn.c_attn").split(self.d, dim=-1))
        scale = 1.0 / math.sqrt(self.d // self.heads) if self.config.get("scale_attn_weights", True) else 1.0
        if self.config.get("scale_attn_by_inverse_layer_idx", False):
            scale /= index + 1
        mixed, probs = self.attend(q, k, v, scale, seen)
        x = x + self.conv(mixed, at + "attn.c_proj")
        return x + self.conv(self.active(self.conv(self.norm(x, at + "ln_2"), at + "mlp.c_fc")), at + "mlp.c_proj"), probs


class Opt(Decoder):
    def __init__(self, folder, dtype=torch.float64):
        super().__init__(folder, dtype)
        self.eps, self.before = 1e-5, self.config.get("do_layer_norm_before", True)
        self.has_last_norm = self.before and not self.config.get("_remove_final_layer_norm", False)

    def project(self, x, name):
        y = torch.matmul(x, self.get(name + ".weight").T)
        has_bias = self.config.get("enable_bias", True) and "project" not in name
        return self.rule.added("linear", y, self.get(name + ".bias")) if has_bias else y

    def enter(self, x):
        return self.project(x, "decoder.project_in") if self.words.shape[1] != self.d else x

    def leave(self, x):
        return self.project(x, "decoder.project_out") if self.words.shape[1] != self.d else x

    def placed(self, words, positions):
        return self.rule.added("position", self.enter(words), self.get("decoder.embed_positions.weight")[positions + 2])

    def last_norm(self, x):
        return self.norm(x, "decoder.final_layer_norm") if self.has_last_norm else None

    def layer(self, x, index, positions, seen):
        at = self.layer_at(index)
        y = self.norm(x, at + "self_attn_layer_norm") if self.before else x
        q, k, v = (self.split_heads(self.project(y, f"{at}self_attn.{letter}_proj")) for letter in "qkv")
        mixed, probs = self.attend(q, k, v, (self.d // self.heads) ** -0.5, seen)
        x = x + self.project(mixed, at + "self_attn.out_proj")
        x = x if self.before else self.norm(x, at + "self_attn_layer_norm")
        y = self.norm(x, at + "final_layer_norm") if self.before else x
        x = x + self.project(self.active(self.project(y, at + "fc1")), at + "fc2")
        return x if self.before else self.norm(x, at + "final_layer_norm"), probs


class Llama(Decoder):
    def __init__(self, folder, dtype=torch.float64):
        super().__init__(folder, dtype)
        config = self.config
        self.key_heads = config.get("num_key_value_heads", self.heads)
        self.size = config.get("head_dim") or self.d // self.heads
        self.frequencies = self.scaled(1.0 / config.get("rope_theta", 10000.0) ** (torch.arange(0, self.size, 2).float() / self.size))
        if self.family == "mistral":
            self.window = config.get("sliding_window")

    def scaled(self, plain):
        """Frequencies for longer texts than the model was trained on."""
        scaling = self.config.get("rope_scaling")
        if scaling is None:
            return plain
        factor, kind = scaling["factor"], scaling.get("rope_type", scaling.get("type"))
        if kind == "linear":
            return plain / factor
        if kind != "llama3":
            raise ValueError(kind)
        low, high, old = scaling["low_freq_factor"], scaling["high_freq_factor"], scaling["original_max_position_embeddings"]
        waves = 2 * math.pi / plain
        smooth = (old / waves - low) / (high - low)
        between = (1 - smooth) * plain / factor + smooth * plain
        return torch.where(waves > old / low, plain / factor, torch.where(waves < old / high, plain, between))

    def norm(self, x, name):
        return x / self.rule.factor(torch.sqrt((x * x).mean(-1, keepdim=True) + self.eps)) * self.get(name + ".weight")

    def placed(self, words, positions):
        return words

    def project(self, x, name):
        y = torch.matmul(x, self.get(name + ".weight").T)
        has_bias = self.prefix + name + ".bias" in self.weights
        return self.rule.added("linear", y, self.get(name + ".bias")) if has_bias else y

    def rotated(self, x, positions):
        """Pairs (i, i + D/2) turned by position times frequency i.  x [B, heads, n, D]"""
        angles = (positions[:, None, :, None].float() * self.frequencies).to(x.dtype)
        cos, sin = torch.cos(angles), torch.sin(angles)
        a, b = x[..., :self.size // 2], x[..., self.size // 2:]
        return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)

    def heads_of(self, x, name, heads):
        batch, n, _ = x.shape
        return self.project(x, name).reshape(batch, n, heads, self.size).permute(0, 2, 1, 3)

    def layer(self, x, index, positions, seen):
        at, each = self.layer_at(index), self.heads // self.key_heads
        y = self.norm(x, at + "input_layernorm")
        q = self.rotated(self.heads_of(y, at + "self_attn.q_proj", self.heads), positions)
        k = self.rotated(self.heads_of(y, at + "self_attn.k_proj", self.key_heads), positions)
        v = self.heads_of(y, at + "self_attn.v_proj", self.key_heads)
        k, v = (t.repeat_interleave(each, dim=1) for t in (k, v))  # a key head serves `each` neighbouring query heads
        mixed, probs = self.attend(q, k, v, 1.0 / math.sqrt(self.size), seen)
        x = x + self.project(mixed, at + "self_attn.o_proj")
        y = self.norm(x, at + "post_attention_layernorm")
        gate = self.active(self.project(y, at + "mlp.gate_proj"))
        return x + self.project(self.rule.gated(gate, self.project(y, at + "mlp.up_proj")), at + "mlp.down_proj"), probs
