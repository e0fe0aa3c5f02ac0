"""A question: one input, the predicted row, the frozen target and foil, the players, and scores of changed inputs.

Definitions: the target is the clean argmax, the foil the clean runner-up.  Players are the tokens that are not
special; of a masked LM the predicted mask is none.  The row is the predicted mask, the last row of a language model,
the token whose label is surest, the likeliest start of an answer (logit only).  A decoder can be asked without a
token by closing attention to it, but not without the first token when that is no special one, and not without the
last.  Measures: logit z_a; diff and margin z_a - z_b; logprob; prob; logodds log p - log(1 - p); meanfoil z_a - mean
of the others.  A one-label model has only the logit, a multi-label model the logit and the difference (its labels do
not share a softmax).
"""
import os

import torch

import folders
from containers import read_json
from families import open_net
from forward_goldens import mask_of, tokenizer_of

MAIN = ("logit", "diff", "logprob", "prob")
MORE = ("logodds", "margin", "meanfoil")


def measure(logits, kind, target, foil):
    """f of logits [..., C]."""
    score = logits[..., target]
    if kind == "logit":
        return score
    if kind in ("diff", "margin"):
        return score - logits[..., foil]
    if kind == "logprob":
        return score - torch.logsumexp(logits, -1)
    if kind == "prob":
        return torch.exp(score - torch.logsumexp(logits, -1))
    others = torch.cat([logits[..., :target], logits[..., target + 1:]], -1)
    if kind == "logodds":
        return score - torch.logsumexp(others, -1)
    return score - others.mean(-1)  # meanfoil


def first_id(tokenizer, *tokens):
    return next((i for i in map(tokenizer.token_to_id, tokens) if i is not None), None)


class Question:
    def __init__(self, out, case):
        folder = os.path.join(out, "models", case)
        self.case, self.folder, self.net = case, folder, open_net(folder)
        self.tokenizer = tokenizer_of(folder, folders.case_of(case))
        self.name = "pair" if case == "bert-pair" else "explain"
        self.entry = entry = read_json(os.path.join(out, "golden", case + ".json"))["inputs"][self.name]
        self.ids, self.types = torch.tensor([entry["ids"]]), torch.tensor([entry["types"]])
        self.decoder = torch.tensor([entry["decoder_ids"]]) if "decoder_ids" in entry else None
        self.positions = self.net.positions(self.ids)
        self.is_decoder = self.net.is_decoder
        self.mask = mask_of(self.tokenizer)
        self.pad = None if self.is_decoder else first_id(self.tokenizer, "[PAD]", "<pad>")
        self.unk = first_id(self.tokenizer, *(["</s>"] if self.net.family == "opt" else ["[UNK]", "<unk>", "<|endoftext|>"]))
        self.baseline = "mask" if self.mask is not None else "mean" if self.is_decoder else "pad"
        self.choose_players()
        logits = self.choose_row()
        order = torch.argsort(logits, descending=True).tolist()
        several = len(order) > 1 and self.net.head != "qa"
        self.target, self.foil = (0 if self.net.head == "qa" else order[0]), order[1] if several else None
        if self.foil is not None and logits[self.target] - logits[self.foil] < 1e-2:
            raise ValueError(f"{case}: target and foil are too close to tell apart in float32; change the text")
        multi = self.net.problem == "multi_label_classification"
        self.kinds = ("logit",) if not several else ("logit", "diff") if multi else MAIN
        self.all_kinds = self.kinds + (MORE if several and not multi else ())

    def choose_players(self):
        added = self.tokenizer.get_added_tokens_decoder()
        self.special = {i for i, token in added.items() if token.special and not token.content.startswith("<extra_id_")}
        self.ordinary = [i for i in range(self.tokenizer.get_vocab_size()) if i not in added]
        self.players = [i for i, token in enumerate(self.entry["ids"]) if token not in self.special]
        last = len(self.entry["ids"]) - 1
        self.removable = [i for i in self.players if 0 < i < last] if self.is_decoder else self.players

    def choose_row(self):
        """Sets the predicted row and returns its logits."""
        logits = self.run(1).logits[0].detach()
        if self.net.head == "cls":
            self.row = None
            return logits
        if self.net.head == "mlm":
            self.row = self.entry["mask_positions"][0]
        elif self.net.head == "lm":
            self.row = logits.shape[0] - 1
        elif self.net.head == "token":
            best = torch.topk(logits[self.players], 2).values
            self.row = self.players[int(torch.argmax(best[:, 0] - best[:, 1]))]
        else:
            self.row = self.players[int(torch.argmax(logits[self.players, 0]))]
        return logits[self.row]

    def run(self, batch, **changes):
        """`batch` copies of the input with changes."""
        inputs = {"ids": self.ids, "types": self.types, "positions": self.positions}
        if self.decoder is not None:
            inputs["decoder"] = self.decoder
        return self.net.run(**{key: value.expand(batch, -1) for key, value in inputs.items() if key not in changes}, **changes)

    def row_of(self, logits, row=None):
        row = self.row if row is None else row
        return logits if row is None else logits[:, row]

    def score(self, run, kind, row=None):
        return measure(self.row_of(run.logits, row), kind, self.target, self.foil)

    def mean_embedding(self):
        return self.net.words[torch.tensor(self.ordinary)].mean(0)

    def describe(self, golden, stage):
        run = self.run(1)
        text = self.tokenizer.id_to_token(self.target) if self.net.head in ("mlm", "lm") else None
        pad = self.net.config.get("pad_token_id") if self.is_decoder else self.pad
        golden.json.update({
            "case": self.case, "stage": stage, "input": self.name, "text": self.entry["text"], "pair": self.entry["pair"],
            "ids": self.entry["ids"], "token_type_ids": self.entry["types"] if self.net.config.get("type_vocab_size", 1) > 1 else None,
            "decoder_ids": self.entry.get("decoder_ids"), "tokens": self.entry["tokens"], "head": self.net.head, "prediction_row": self.row,
            "target": self.target, "foil": self.foil, "target_token": text, "token_players": self.players, "arrays": "float64",
            "mask_id": self.mask, "unk_id": self.unk, "pad_id": pad,
            "f": {kind: float(self.score(run, kind)[0]) for kind in self.all_kinds}})

    def removed(self, operator, gone):
        """The run over inputs with positions removed: gone [B, n] of booleans."""
        ids, changes = self.ids.repeat(len(gone), 1), {}
        if operator in ("mask", "pad", "unk"):
            ids[gone] = {"mask": self.mask, "pad": self.pad, "unk": self.unk}[operator]
        elif operator in ("zero", "mean"):
            words = self.net.words[ids].clone()
            words[gone] = 0.0 if operator == "zero" else self.mean_embedding()
            changes["words"] = words
        elif operator == "attn":
            changes["visible"] = ~gone
        else:
            raise ValueError(operator)
        return self.run(len(gone), ids=ids, **changes)

    def deleted(self, line):
        """(run, row) of the input with a line's positions deleted: the gap closes, positions are counted anew."""
        stay = torch.nonzero(~line)[:, 0]
        ids, types = self.ids[:, stay], self.types[:, stay]
        run = self.run(1, ids=ids, types=types, positions=self.net.positions(ids))
        return run, self.row if self.row is None or self.decoder is not None else stay.tolist().index(self.row)

    def values(self, operator, gone, kinds):
        """kind -> f of every changed input."""
        with torch.no_grad():
            if operator != "delete":
                run = self.removed(operator, gone)
                return {kind: self.score(run, kind) for kind in kinds}
            found = {kind: [] for kind in kinds}
            for line in gone:
                run, row = self.deleted(line)
                for kind in kinds:
                    found[kind].append(self.score(run, kind, row)[0])
            return {kind: torch.stack(scores) for kind, scores in found.items()}
