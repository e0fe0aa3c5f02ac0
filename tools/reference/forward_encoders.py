"""RoBERTa, ELECTRA and ALBERT: BERT's layers with other embeddings, heads and sharing of weights.

Known to go wrong: RoBERTa counts positions from the padding id, and a padding id inside the text does not count; its
masked-LM head and ELECTRA's use GELU whatever the config says, ELECTRA's detector uses the config's activation; ALBERT
runs inner_group_num blocks for each of its layers (each block counts as a layer here: one state, one attention).
"""
import torch

from forward_pass import ACTIVATIONS, NAMES, Net

NAMES["roberta"] = {**NAMES["bert"], "prefix": "roberta.", "bias": ("lm_head.bias", "lm_head.decoder.bias")}
NAMES["electra"] = {**NAMES["bert"], "prefix": "electra."}
NAMES["albert"] = {
    "prefix": "albert.", "layer": "encoder.albert_layer_groups.%d.albert_layers.%d.", "q": "attention.query", "k": "attention.key",
    "v": "attention.value", "o": "attention.dense", "norm1": "attention.LayerNorm", "up": "ffn", "down": "ffn_output",
    "norm2": "full_layer_layer_norm"}
gelu = ACTIVATIONS["gelu"]


class Roberta(Net):
    def positions(self, ids):
        padding = self.config["pad_token_id"]
        real = (ids != padding).long()
        return real.cumsum(1) * real + padding

    def logits(self, x):
        if self.head == "mlm":
            y = self.norm(self.rule.active(gelu, self.linear(x, "lm_head.dense", False)), "lm_head.layer_norm", False)
            bias = next(self.weights[name] for name in self.names["bias"] if name in self.weights)
            return self.rule.added("linear", torch.matmul(y, self.words.T), bias)
        return self.linear(self.rule.active(torch.tanh, self.linear(x[:, 0], "classifier.dense", False)), "classifier.out_proj", False)


class Electra(Net):
    def enter(self, x):
        return self.linear(x, "embeddings_project") if self.words.shape[1] != self.d else x

    def logits(self, x):
        if self.head == "mlm":
            y = self.norm(self.rule.active(gelu, self.linear(x, "generator_predictions.dense", False)), "generator_predictions.LayerNorm", False)
            return self.rule.added("linear", torch.matmul(y, self.words.T), self.weights["generator_lm_head.bias"])
        if self.head == "disc":  # one logit a token: was it replaced?
            y = self.active(self.linear(x, "discriminator_predictions.dense", False))
            return self.linear(y, "discriminator_predictions.dense_prediction", False)
        return self.linear(self.rule.active(gelu, self.linear(x[:, 0], "classifier.dense", False)), "classifier.out_proj", False)


class Albert(Net):
    def __init__(self, folder, dtype=torch.float64):
        super().__init__(folder, dtype)
        self.inner = self.config["inner_group_num"]
        self.layers *= self.inner

    def layer_at(self, index):
        of_group = self.layers // self.config["num_hidden_groups"]
        return self.names["layer"] % (index // of_group, index % self.inner)

    def enter(self, x):
        return self.linear(x, "encoder.embedding_hidden_mapping_in")

    def logits(self, x):
        if self.head == "mlm":
            y = self.norm(self.active(self.linear(x, "predictions.dense", False)), "predictions.LayerNorm", False)
            return self.rule.added("linear", torch.matmul(y, self.words.T), self.weights["predictions.bias"])
        return self.linear(self.rule.active(torch.tanh, self.linear(x[:, 0], "pooler")), "classifier", False)
