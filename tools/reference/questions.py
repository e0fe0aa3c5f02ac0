"""A question: one input, the predicted row, the frozen target and foil, the players, and scores of changed inputs.

Definitions: the target is the clean argmax, the foil the clean runner-up.  Players are the tokens that are not special;
of a masked LM the predicted mask is none.  Measures: logit z_a; diff and margin z_a - z_b; logprob; prob; logodds
log p - log(1 - p); meanfoil z_a - mean of the others.  A one-label model has only the logit, a multi-label model the
logit and the difference (its labels do not share a softmax).
"""
import os

import torch

import folders
from containers import read_json
from forward_goldens import tokenizer_of
from forward_pass import Net

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


class Question:
    def __init__(self, out, case):
        folder = os.path.join(out, "models", case)
        self.case, self.net = case, Net(folder)
        self.tokenizer = tokenizer_of(folder, folders.case_of(case))
        self.name = "pair" if case == "bert-pair" else "explain"
        self.entry = entry = read_json(os.path.join(out, "golden", case + ".json"))["inputs"][self.name]
        self.ids, self.types = torch.tensor([entry["ids"]]), torch.tensor([entry["types"]])
        self.row = entry["mask_positions"][0] if self.net.head == "mlm" else None
        self.pad, self.unk, self.mask = (self.tokenizer.token_to_id(t) for t in ("[PAD]", "[UNK]", "[MASK]"))
        added = self.tokenizer.get_added_tokens_decoder()
        special = {i for i, token in added.items() if token.special}
        self.ordinary = [i for i in range(self.tokenizer.get_vocab_size()) if i not in added]
        self.players = [i for i, token in enumerate(entry["ids"]) if token not in special]
        logits = self.row_of(self.net.run(self.ids, self.types).logits)[0].detach()
        order = torch.argsort(logits, descending=True).tolist()
        self.target, self.foil = order[0], order[1] if len(order) > 1 else None
        if self.foil is not None and logits[self.target] - logits[self.foil] < 1e-2:
            raise ValueError(f"{case}: target and foil are too close to tell apart in float32; change the text")
        several = self.foil is not None
        multi = self.net.problem == "multi_label_classification"
        self.kinds = ("logit",) if not several else ("logit", "diff") if multi else MAIN
        self.all_kinds = self.kinds + (MORE if several and not multi else ())

    def row_of(self, logits, row=None):
        row = self.row if row is None else row
        return logits if row is None else logits[:, row]

    def score(self, run, kind, row=None):
        return measure(self.row_of(run.logits, row), kind, self.target, self.foil)

    def mean_embedding(self):
        return self.net.words[torch.tensor(self.ordinary)].mean(0)

    def describe(self, golden, stage):
        run = self.net.run(self.ids, self.types)
        text = self.tokenizer.id_to_token(self.target) if self.net.head == "mlm" else None
        golden.json.update({
            "case": self.case, "stage": stage, "input": self.name, "text": self.entry["text"], "pair": self.entry["pair"],
            "ids": self.entry["ids"], "token_type_ids": self.entry["types"] if self.net.family == "bert" else None,
            "decoder_ids": None, "tokens": self.entry["tokens"], "head": self.net.head, "prediction_row": self.row,
            "target": self.target, "foil": self.foil, "target_token": text, "token_players": self.players, "arrays": "float64",
            "mask_id": self.mask, "unk_id": self.unk, "pad_id": self.pad,
            "f": {kind: float(self.score(run, kind)[0]) for kind in self.all_kinds}})

    def removed(self, operator, gone):
        """The run over inputs with positions removed: gone [B, n] of booleans."""
        batch = gone.shape[0]
        ids, types, words, visible = self.ids.expand(batch, -1).clone(), self.types.expand(batch, -1), None, None
        if operator in ("mask", "pad", "unk"):
            ids[gone] = {"mask": self.mask, "pad": self.pad, "unk": self.unk}[operator]
        elif operator in ("zero", "mean"):
            words = self.net.words[ids].clone()
            words[gone] = 0.0 if operator == "zero" else self.mean_embedding()
        elif operator == "attn":
            visible = ~gone
        else:
            raise ValueError(operator)
        return self.net.run(ids, types, words=words, visible=visible)

    def values(self, operator, gone, kinds):
        """kind -> f of every changed input."""
        with torch.no_grad():
            if operator != "delete":
                run = self.removed(operator, gone)
                return {kind: self.score(run, kind) for kind in kinds}
            found = {kind: [] for kind in kinds}
            for line in gone:  # deletion closes the gap: each input has its own length and positions
                stay = torch.nonzero(~line)[:, 0]
                run = self.net.run(self.ids[:, stay], self.types[:, stay])
                row = None if self.row is None else stay.tolist().index(self.row)
                for kind in kinds:
                    found[kind].append(self.score(run, kind, row)[0])
            return {kind: torch.stack(scores) for kind, scores in found.items()}
