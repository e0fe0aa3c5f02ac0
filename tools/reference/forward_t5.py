"""T5: an encoder and a decoder with relative positions, in float64 (v1.0 with ReLU and a tied head, v1.1 gated and untied).

`named` holds every state and attention matrix under its golden name; a stack's hidden.L is before its last norm,
hidden.final after it.  Known to go wrong: no 1/sqrt(d) in attention; the table of position biases is stored with the
first layer and used by all of a stack, not by cross attention; a tied head wants the state times d^-0.5.
"""
import math
from types import SimpleNamespace

import numpy as np
import torch

from forward_pass import ACTIVATIONS, NAMES, Net

NAMES["t5"] = {"prefix": "", "word": "shared.weight"}


class T5(Net):
    typed = False

    def __init__(self, folder, dtype=torch.float64):
        super().__init__(folder, dtype)
        config = self.config
        self.layers_decoder = config.get("num_decoder_layers", self.layers)
        forward = config["feed_forward_proj"]
        self.gated = forward.startswith("gated-")
        self.act_name = "gelu_new" if forward == "gated-gelu" else forward[len("gated-"):] if self.gated else forward
        self.act = ACTIVATIONS[self.act_name]
        self.scale = self.d ** -0.5 if config.get("tie_word_embeddings", True) else 1.0

    def norm(self, x, name):
        return x / self.rule.factor(torch.sqrt((x * x).mean(-1, keepdim=True) + self.eps)) * self.get(name + ".weight")

    def project(self, x, name):
        return torch.matmul(x, self.get(name + ".weight").T)

    def bucket(self, distance, both_ways):
        """Of key position - query position; the logarithm in float32, in the published order."""
        count, most = self.config["relative_attention_num_buckets"], self.config["relative_attention_max_distance"]
        first = 0
        if both_ways:
            count //= 2
            first, distance = (count if distance > 0 else 0), abs(distance)
        else:
            distance = max(-distance, 0)
        exact = count // 2
        if distance < exact:
            return first + distance
        part = np.log(np.float32(distance) / np.float32(exact)) / np.float32(math.log(most / exact))
        return first + min(count - 1, exact + int(part * np.float32(count - exact)))

    def bias(self, stack, n):
        """[H, query, key]"""
        table = self.get(f"{stack}.block.0.layer.0.SelfAttention.relative_attention_bias.weight")
        buckets = [[self.bucket(key - query, stack == "encoder") for key in range(n)] for query in range(n)]
        return table[torch.tensor(buckets)].permute(2, 0, 1)

    def attend(self, x, source, at, added, seen):
        """(what is added to x, probabilities).  added: to the scores; seen [B or 1, 1, query or 1, key]"""
        def heads(y, name):
            return self.project(y, at + name).reshape(y.shape[0], y.shape[1], self.heads, -1).permute(0, 2, 1, 3)
        scores = self.rule.scores(torch.matmul(heads(x, "q"), heads(source, "k").transpose(2, 3)))
        probs = self.rule.softmax(scores if added is None else self.rule.added("relbias", scores, added), seen)
        mixed = self.rule.mixed(probs, heads(source, "v")).permute(0, 2, 1, 3)
        return self.project(mixed.reshape(*x.shape[:2], -1), at + "o"), probs

    def feed(self, x, at):
        if self.gated:
            return self.project(self.rule.gated(self.active(self.project(x, at + "wi_0")), self.project(x, at + "wi_1")), at + "wo")
        return self.project(self.active(self.project(x, at + "wi")), at + "wo")

    def stack(self, stack, x, seen, named, source=None, source_seen=None):
        """All layers of the encoder, or of the decoder when there is a source; the state after the last norm."""
        added = self.bias(stack, x.shape[1])
        named[stack + ".hidden.0"] = x
        for index in range(self.layers if source is None else self.layers_decoder):
            at, layer = f"{stack}.block.{index}.layer.", index + 1
            change, probs = self.attend(*2 * [self.norm(x, at + "0.layer_norm")], at + "0.SelfAttention.", added, seen)
            x, named[f"{stack}.attention.probs.{layer}"] = x + change, probs
            if source is not None:
                change, probs = self.attend(self.norm(x, at + "1.layer_norm"), source, at + "1.EncDecAttention.", None, source_seen)
                x, named[f"{stack}.cross.probs.{layer}"] = x + change, probs
            last = at + ("1" if source is None else "2")
            x = x + self.feed(self.norm(x, last + ".layer_norm"), last + ".DenseReluDense.")
            named[f"{stack}.hidden.{layer}"] = x
        named[stack + ".hidden.final"] = self.norm(x, stack + ".final_layer_norm")
        return named[stack + ".hidden.final"]

    def run(self, ids, types=None, positions=None, words=None, visible=None, decoder=None, decoder_words=None, decoder_visible=None):
        """words, decoder_words replace the embeddings of the source and of the decoder's input."""
        def keys(rows, shown):
            return (torch.ones_like(rows, dtype=torch.bool) if shown is None else shown)[:, None, None, :]
        named, n = {}, decoder.shape[1]
        seen, before = keys(ids, visible), torch.arange(n)[:, None] >= torch.arange(n)[None, :]
        source = self.stack("encoder", self.words[ids] if words is None else words, seen, named)
        x = self.words[decoder] if decoder_words is None else decoder_words
        x = self.stack("decoder", x, before & keys(decoder, decoder_visible), named, source, seen)
        return SimpleNamespace(named=named, logits=self.project(x * self.scale, "lm_head" if "lm_head.weight" in self.weights else "shared"))
