"""A model folder to its forward pass."""
import os

import torch

from containers import read_json
from forward_decoders import Gpt2, Llama, Opt
from forward_encoders import Albert, Electra, Roberta
from forward_pass import Net
from forward_t5 import T5

CLASSES = {"bert": Net, "distilbert": Net, "roberta": Roberta, "electra": Electra, "albert": Albert, "gpt2": Gpt2,
           "opt": Opt, "llama": Llama, "mistral": Llama, "qwen2": Llama, "t5": T5}


def open_net(folder, dtype=torch.float64):
    family = read_json(os.path.join(folder, "config.json"))["model_type"]
    return CLASSES[family](folder, dtype)
