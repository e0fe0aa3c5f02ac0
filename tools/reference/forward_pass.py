"""BERT and DistilBERT written out plainly, read from a model folder, in float64 (or float32 to measure its error).

The idea: one post-norm encoder with a table of tensor names for each family.  Word embeddings, their sum with the
positions and the state after the first norm can be replaced, so gradients can end in each of them; keys can be hidden.
`rule` says how gradients return (relevance_rules.py): what it may change is computed through it.
The other families are classes on top of this one: forward_encoders.py, forward_decoders.py, forward_t5.py.
Known to go wrong: DistilBERT's classifier uses ReLU where BERT's pooler uses tanh, its norm eps is fixed at 1e-12, and
the masked-LM head uses the activation of the config.
"""
import math
import os
from types import SimpleNamespace

import torch

from containers import read_folder, read_json
from relevance_rules import Gradient

NAMES = {
    "bert": {"prefix": "bert.", "layer": "encoder.layer.%d.", "q": "attention.self.query", "k": "attention.self.key",
             "v": "attention.self.value", "o": "attention.output.dense", "norm1": "attention.output.LayerNorm",
             "up": "intermediate.dense", "down": "output.dense", "norm2": "output.LayerNorm",
             "transform": "cls.predictions.transform.dense", "transform_norm": "cls.predictions.transform.LayerNorm",
             "bias": ("cls.predictions.bias", "cls.predictions.decoder.bias")},
    "distilbert": {"prefix": "distilbert.", "layer": "transformer.layer.%d.", "q": "attention.q_lin", "k": "attention.k_lin",
                   "v": "attention.v_lin", "o": "attention.out_lin", "norm1": "sa_layer_norm", "up": "ffn.lin1",
                   "down": "ffn.lin2", "norm2": "output_layer_norm", "transform": "vocab_transform",
                   "transform_norm": "vocab_layer_norm", "bias": ("vocab_projector.bias",)},
}
ACTIVATIONS = {
    "gelu": lambda x: x * 0.5 * (1.0 + torch.erf(x * math.sqrt(0.5))),
    "gelu_new": lambda x: x * 0.5 * (1.0 + torch.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x * x * x))),
    "relu": lambda x: torch.where(x > 0, x, torch.zeros_like(x)),
    "silu": lambda x: x / (1.0 + torch.exp(-x)),
}
HEADS = {"MaskedLM": "mlm", "SequenceClassification": "cls", "TokenClassification": "token", "QuestionAnswering": "qa",
         "PreTraining": "disc", "LMHeadModel": "lm", "CausalLM": "lm", "ConditionalGeneration": "lm"}


class Net:
    typed = True  # token types are added to the embeddings
    is_decoder = False  # a token sees only earlier ones, and there is no other stack

    def __init__(self, folder, dtype=torch.float64):
        self.config = config = read_json(os.path.join(folder, "config.json"))
        self.family = config["model_type"]
        self.typed = self.typed and self.family != "distilbert"
        self.names = NAMES[self.family]
        self.weights = {name: tensor.to(dtype) for name, tensor in read_folder(folder).items() if tensor.is_floating_point()}
        self.prefix = self.names["prefix"]
        word = self.names.get("word", "embeddings.word_embeddings.weight")
        if self.prefix + word not in self.weights:
            self.prefix = ""
        self.d = self.first("hidden_size", "dim", "n_embd", "d_model")
        self.heads = self.first("num_attention_heads", "n_heads", "n_head", "num_heads")
        self.layers = self.first("num_hidden_layers", "n_layers", "n_layer", "num_layers")
        self.layers_decoder = None
        self.act_name = self.first("hidden_act", "activation", "activation_function", "dense_act", absent="gelu")
        self.act = ACTIVATIONS[self.act_name]
        self.eps = self.first("layer_norm_eps", "layer_norm_epsilon", "rms_norm_eps", absent=1e-12)
        self.head = next(head for name, head in HEADS.items() if config["architectures"][0].endswith(name))
        self.labels = len(config.get("id2label", ())) if self.head in ("cls", "token") else 0
        self.problem = config.get("problem_type")
        self.words = self.get(word)
        self.rule = Gradient()

    def first(self, *keys, absent=None):
        """The config's value under the family's name for it."""
        return next((self.config[key] for key in keys if key in self.config), absent)

    def get(self, name, body=True):
        """A tensor by its usual name, with the missing prefix and the gamma/beta spelling put right."""
        full = (self.prefix if body else "") + name
        if full not in self.weights:
            full = full.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
        return self.weights[full]

    def linear(self, x, name, body=True):
        return self.rule.added("linear", torch.matmul(x, self.get(name + ".weight", body).T), self.get(name + ".bias", body))

    def norm(self, x, name, body=True):
        centred = x - x.mean(-1, keepdim=True)
        spread = torch.sqrt((centred * centred).mean(-1, keepdim=True) + self.eps)
        return self.rule.added("layernorm", centred / self.rule.factor(spread) * self.get(name + ".weight", body), self.get(name + ".bias", body))

    def active(self, x):
        return self.rule.active(self.act, x)

    def split_heads(self, x):
        batch, n, _ = x.shape
        return x.reshape(batch, n, self.heads, self.d // self.heads).permute(0, 2, 1, 3)

    def layer_at(self, index):
        """Where the tensors of a layer are."""
        return self.names["layer"] % index

    def positions(self, ids):
        return torch.arange(ids.shape[1]).expand(ids.shape)

    def enter(self, x):
        """Embeddings to the first layer's input: the same unless they are narrower."""
        return x

    def layer(self, x, index, visible):
        """One block: (output, attention probabilities [B, H, query, key])."""
        at = self.layer_at(index)
        q, k, v = (self.split_heads(self.linear(x, at + self.names[part])) for part in "qkv")
        scores = self.rule.scores(torch.matmul(q, k.transpose(2, 3)) / math.sqrt(self.d // self.heads))
        probs = self.rule.softmax(scores, None if visible is None else visible[:, None, None, :])
        mixed = self.rule.mixed(probs, v).permute(0, 2, 1, 3).reshape(x.shape)
        x = self.norm(x + self.linear(mixed, at + self.names["o"]), at + self.names["norm1"])
        hidden = self.active(self.linear(x, at + self.names["up"]))
        return self.norm(x + self.linear(hidden, at + self.names["down"]), at + self.names["norm2"]), probs

    def logits(self, x):
        """[B, n, V] of a masked LM, [B, n, C] of a token head, [B, C] of a classifier."""
        if self.head == "mlm":
            y = self.norm(self.active(self.linear(x, self.names["transform"], False)), self.names["transform_norm"], False)
            bias = next(self.weights[name] for name in self.names["bias"] if name in self.weights)
            return self.rule.added("linear", torch.matmul(y, self.words.T), bias)
        if self.head in ("token", "qa"):
            return self.linear(x, "classifier" if self.head == "token" else "qa_outputs", False)
        if self.family == "bert":
            return self.linear(self.rule.active(torch.tanh, self.linear(x[:, 0], "pooler.dense")), "classifier", False)
        return self.linear(self.rule.active(ACTIVATIONS["relu"], self.linear(x[:, 0], "pre_classifier", False)), "classifier", False)

    def run(self, ids, types=None, positions=None, words=None, summed=None, embedded=None, visible=None):
        """ids [B, n].  words, summed, embedded [B, n, d] replace the embeddings at their three stages; visible [B, n]."""
        words = self.words[ids] if words is None else words
        if positions is None:
            positions = self.positions(ids)
        if summed is None:
            summed = self.rule.added("position", words, self.get("embeddings.position_embeddings.weight")[positions])
            if self.typed:
                types = torch.zeros_like(ids) if types is None else types
                summed = self.rule.added("segment", summed, self.get("embeddings.token_type_embeddings.weight")[types])
        x = self.enter(self.norm(summed, "embeddings.LayerNorm")) if embedded is None else embedded
        hidden, attention = [x], []
        for index in range(self.layers):
            x, probs = self.layer(x, index, visible)
            hidden.append(x)
            attention.append(probs)
        return SimpleNamespace(summed=summed, hidden=hidden, attention=attention, logits=self.logits(x))
