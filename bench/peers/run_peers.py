"""Forward passes of Tokray, ONNX Runtime and CTranslate2 over the same weights, in turns.

Each engine computes the hidden states of all rows of the last layer, float32, the same number of threads.  Tokray's side is
bench/forward_server, which makes the random model; the other two get its weights, ONNX Runtime as a graph of the fused
operators that its own optimiser makes of such a model, CTranslate2 as its own model format.  Before anything is timed, the
hidden states of all three are compared.
"""

import argparse
import csv
import json
import pathlib
import statistics
import struct
import subprocess
import tempfile
import time

import ctranslate2
import numpy as np
import onnx
import onnxruntime
from ctranslate2.specs import common_spec, transformer_spec
from onnx import TensorProto, helper, numpy_helper

LAYERS = {"distilbert": 6, "bert": 12}
HEADS, HIDDEN, VOCABULARY, EPS = 12, 768, 30522, 1e-12
MIXED = [6 + i * 37 % 64 * 116 // 63 for i in range(64)]  # as bench/sized.c spreads them
ROWS = [("1 x 12", [12]), ("1 x 42", [42]), ("1 x 128", [128]), ("64 of 6-122", MIXED), ("8 x 512", [512] * 8)]
QUICK_ROWS = ROWS[:3]
GROUP = 8
PAUSE = 0.25  # threads that spin after their turn must not disturb the next one
TOLERANCE = 1e-4  # of hidden states around 1, after up to 12 layers in three orders of summation

NAMES = {  # our names for the tensors of a layer, and the checkpoint's
    "bert": {
        "prefix": "bert.",
        "layer": "encoder.layer.%d.",
        "query": "attention.self.query",
        "key": "attention.self.key",
        "value": "attention.self.value",
        "mix": "attention.output.dense",
        "attention_norm": "attention.output.LayerNorm",
        "up": "intermediate.dense",
        "down": "output.dense",
        "output_norm": "output.LayerNorm",
    },
    "distilbert": {
        "prefix": "distilbert.",
        "layer": "transformer.layer.%d.",
        "query": "attention.q_lin",
        "key": "attention.k_lin",
        "value": "attention.v_lin",
        "mix": "attention.out_lin",
        "attention_norm": "sa_layer_norm",
        "up": "ffn.lin1",
        "down": "ffn.lin2",
        "output_norm": "output_layer_norm",
    },
}


class Weights:
    """The tensors of a checkpoint by our names."""

    def __init__(self, folder, family):
        data = (pathlib.Path(folder) / "model.safetensors").read_bytes()
        size = struct.unpack("<Q", data[:8])[0]
        header = json.loads(data[8 : 8 + size])
        header.pop("__metadata__", None)
        self.names = NAMES[family]
        self.tensors = {}
        for name, entry in header.items():
            begin, end = (8 + size + at for at in entry["data_offsets"])
            self.tensors[name] = np.frombuffer(data[begin:end], np.float32).reshape(entry["shape"])

    def __call__(self, name, layer=None):
        """`word_embeddings.weight` of the embeddings, or `query.weight` of a layer."""
        if layer is None:
            return self.tensors[self.names["prefix"] + "embeddings." + name]
        part, kind = name.rsplit(".", 1)
        return self.tensors[self.names["prefix"] + self.names["layer"] % layer + self.names[part] + "." + kind]

    def fused(self, kind, layer):
        return np.concatenate([self("%s.%s" % (part, kind), layer) for part in ("query", "key", "value")])


class Tokray:
    name = "Tokray"

    def __init__(self, server, family, threads):
        self.process = subprocess.Popen(
            [server, "--threads", str(threads), family], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.folder = self.answer("folder")

    def answer(self, word):
        line = self.process.stdout.readline()
        if not line.startswith(word + " "):
            raise SystemExit("bench/peers: forward_server answered %r where %s was expected" % (line, word))
        return line[len(word) + 1 :].rstrip("\n")

    def ask(self, line, word):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.answer(word)

    def lay_out(self, lengths):
        self.ask("shape " + " ".join(map(str, lengths)), "rows")

    def hidden(self):
        with tempfile.NamedTemporaryFile() as file:
            self.ask("hidden " + file.name, "written")
            return np.fromfile(file.name, np.float32).reshape(-1, HIDDEN)

    def turn(self, seconds):
        return float(self.ask("time %g" % seconds, "seconds"))

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class InProcess:
    """An engine that runs in this process; lay_out prepares its batches, run computes all of them."""

    def lay_out(self, lengths):
        rows = np.arange(sum(lengths), dtype=np.int64)
        ids = (200 + rows * 7919 % 20000).astype(np.int32)
        self.prepare(np.split(ids, np.cumsum(lengths)[:-1]))
        self.run()

    def turn(self, seconds):
        times, begun = [], time.perf_counter()
        while not times or time.perf_counter() - begun < seconds:
            start = time.perf_counter()
            self.run()
            times.append(time.perf_counter() - start)
        return statistics.median(times)

    def close(self):
        pass


# ---- ONNX Runtime ----


def onnx_model(weights, family):
    """Embeddings and layers as the operators that onnxruntime.transformers.optimizer fuses a BERT into."""
    nodes, initializers = [], []

    def constant(name, array):
        initializers.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def add(op, inputs, outputs, fused=True, **attributes):
        nodes.append(helper.make_node(op, inputs, outputs, domain="com.microsoft" if fused else "", **attributes))
        return outputs[0]

    def norm(kind, layer, name):
        return constant(name, weights("%s.%s" % (kind, name.split("/")[-1]), layer))

    segmented = family == "bert"
    x = add(
        "EmbedLayerNormalization",
        [
            "ids",
            "types" if segmented else "",
            constant("word", weights("word_embeddings.weight")),
            constant("position", weights("position_embeddings.weight")),
            constant("segment", weights("token_type_embeddings.weight")) if segmented else "",
            constant("norm/weight", weights("LayerNorm.weight")),
            constant("norm/bias", weights("LayerNorm.bias")),
            "mask",
        ],
        ["embeddings", "lengths"],
        epsilon=EPS,
    )
    for l in range(LAYERS[family]):
        at = "%d/" % l

        def dense(kind, rows):
            matrix = constant(at + kind, weights(kind + ".weight", l).T)
            return add("MatMul", [rows, matrix], [at + kind + "/product"], fused=False)

        def skip_norm(kind, rows, skip, bias):
            inputs = [rows, skip] + [constant(at + kind + "/" + k, weights(kind + "." + k, l)) for k in ("weight", "bias")]
            bias = constant(at + bias + "/bias", weights(bias + ".bias", l))
            return add("SkipLayerNormalization", inputs + [bias], [at + kind], epsilon=EPS)

        qkv = constant(at + "qkv", weights.fused("weight", l).T), constant(at + "qkv/bias", weights.fused("bias", l))
        heads = add("Attention", [x, *qkv, "lengths"], [at + "heads"], num_heads=HEADS)
        middle = skip_norm("attention_norm", dense("mix", heads), x, "mix")
        up = add("BiasGelu", [dense("up", middle), constant(at + "up/bias", weights("up.bias", l))], [at + "gelu"])
        x = skip_norm("output_norm", dense("down", up), middle, "down")
    shape = ["batch", "tokens"]
    inputs = [helper.make_tensor_value_info(name, TensorProto.INT32, shape) for name in ("ids", "mask")]
    if segmented:
        inputs.append(helper.make_tensor_value_info("types", TensorProto.INT32, shape))
    output = helper.make_tensor_value_info(x, TensorProto.FLOAT, shape + [HIDDEN])
    graph = helper.make_graph(nodes, family, inputs, [output], initializers)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


class OnnxRuntime(InProcess):
    """Sentences of one length at once; mixed ones padded to the longest."""

    name = "ONNX Runtime"

    def __init__(self, model, threads, group=None):
        self.group = group
        if isinstance(model, onnxruntime.InferenceSession):
            self.session = model
        else:
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = threads
            options.inter_op_num_threads = 1
            self.session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
        self.inputs = {i.name for i in self.session.get_inputs()}

    def prepare(self, sentences):
        self.order = sorted(range(len(sentences)), key=lambda i: len(sentences[i])) if self.group else range(len(sentences))
        size = self.group or len(sentences)
        self.lengths = [len(s) for s in sentences]
        self.feeds = []
        for first in range(0, len(sentences), size):
            some = [sentences[i] for i in self.order[first : first + size]]
            ids = np.zeros((len(some), max(map(len, some))), np.int32)
            mask = np.zeros_like(ids)
            for row, sentence in enumerate(some):
                ids[row, : len(sentence)] = sentence
                mask[row, : len(sentence)] = 1
            feed = {"ids": ids, "mask": mask, "types": np.zeros_like(ids)}
            self.feeds.append({name: array for name, array in feed.items() if name in self.inputs})

    def run(self):
        self.outputs = [self.session.run(None, feed)[0] for feed in self.feeds]

    def hidden(self):
        rows = [row for output in self.outputs for row in output]
        kept = {i: rows[place][: self.lengths[i]] for place, i in enumerate(self.order)}
        return np.concatenate([kept[i] for i in range(len(self.lengths))])


# ---- CTranslate2 ----


def ct2_spec(weights, family):
    def linear(spec, kind, layer):
        spec.weight, spec.bias = weights(kind + ".weight", layer), weights(kind + ".bias", layer)

    def norm(spec, kind, layer):
        spec.gamma, spec.beta = weights(kind + ".weight", layer), weights(kind + ".bias", layer)

    segmented = family == "bert"
    encoder = transformer_spec.TransformerEncoderSpec(
        LAYERS[family],
        HEADS,
        pre_norm=False,
        activation=common_spec.Activation.GELU,
        layernorm_embedding=True,
        num_source_embeddings=2 if segmented else 1,
        embeddings_merge=common_spec.EmbeddingsMerge.ADD if segmented else common_spec.EmbeddingsMerge.CONCAT,
    )
    encoder.scale_embeddings = False
    encoder.embeddings[0].weight = weights("word_embeddings.weight")
    if segmented:
        encoder.embeddings[1].weight = weights("token_type_embeddings.weight")
    encoder.position_encodings.encodings = weights("position_embeddings.weight")
    encoder.layernorm_embedding.gamma = weights("LayerNorm.weight")
    encoder.layernorm_embedding.beta = weights("LayerNorm.bias")
    for l, layer in enumerate(encoder.layer):
        layer.self_attention.linear[0].weight = weights.fused("weight", l)
        layer.self_attention.linear[0].bias = weights.fused("bias", l)
        linear(layer.self_attention.linear[1], "mix", l)
        norm(layer.self_attention.layer_norm, "attention_norm", l)
        linear(layer.ffn.linear_0, "up", l)
        linear(layer.ffn.linear_1, "down", l)
        norm(layer.ffn.layer_norm, "output_norm", l)
    spec = transformer_spec.TransformerEncoderModelSpec(encoder)
    spec.register_vocabulary(["t%d" % i for i in range(VOCABULARY)])
    spec.config.unk_token = "t0"
    spec.config.layer_norm_epsilon = EPS
    spec.validate()
    spec.optimize(quantization=None)
    return spec


class CTranslate2(InProcess):
    """All sentences at once: it packs them itself."""

    name = "CTranslate2"

    def __init__(self, spec, threads):
        with tempfile.TemporaryDirectory() as folder:
            spec.save(folder)
            self.encoder = ctranslate2.Encoder(
                folder, device="cpu", compute_type="float32", intra_threads=threads, inter_threads=1
            )

    def prepare(self, sentences):
        self.sentences = [s.tolist() for s in sentences]

    def run(self):
        self.output = self.encoder.forward_batch(self.sentences).last_hidden_state

    def hidden(self):
        return np.concatenate([row[: len(s)] for row, s in zip(np.array(self.output), self.sentences)])


# ---- the comparison ----


def check(engines, row):
    """The same question must have been answered by all; returns the largest difference."""
    ours, largest = engines[0].hidden(), 0
    for engine in engines[1:]:
        worst = float(np.abs(engine.hidden() - ours).max())
        if not worst <= TOLERANCE:
            raise SystemExit("bench/peers: %s differs from Tokray by %g on %s" % (engine.name, worst, row))
        largest = max(largest, worst)
    return largest


def measure(engines, lengths, rounds, seconds):
    """Medians of the turns, in the engines' order."""
    times = [[] for _ in engines]
    for _ in range(rounds):
        for engine, list_of in zip(engines, times):
            time.sleep(PAUSE)
            list_of.append(engine.turn(seconds))
    return [statistics.median(t) for t in times]


def best_of(engines, medians):
    """One figure a name: the best way to use each engine."""
    best = {}
    for engine, median in zip(engines, medians):
        best[engine.name] = min(median, best.get(engine.name, median))
    return best


def compare(family, options, writer):
    tokray = Tokray(options.server, family, options.threads)
    weights = Weights(tokray.folder, family)
    padded = OnnxRuntime(onnx_model(weights, family), options.threads)
    grouped = OnnxRuntime(padded.session, options.threads, GROUP)
    packed = CTranslate2(ct2_spec(weights, family), options.threads)
    for row, lengths in QUICK_ROWS if options.quick else ROWS:
        engines = [tokray, padded, packed] + ([grouped] if len(set(lengths)) > 1 else [])
        for engine in engines:
            engine.lay_out(lengths)
        largest = check(engines, row)
        best = best_of(engines, measure(engines, lengths, options.rounds, options.seconds))
        ours, ort, ct2 = (best[c.name] for c in (Tokray, OnnxRuntime, CTranslate2))
        print(
            "%-11s %-12s %10.2f %13.2f %12.2f %13.2f %13.2f %11.0e"
            % (family, row, 1e3 * ours, 1e3 * ort, 1e3 * ct2, ort / ours, ct2 / ours, largest),
            flush=True,
        )
        milliseconds = ["%.3f" % (1e3 * t) for t in (ours, ort, ct2)]
        writer.writerow([family, row, options.threads, *milliseconds, "%.1e" % largest])
    tokray.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--server", required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--csv", default="/dev/null")
    parser.add_argument("--quick", action="store_true", help="DistilBERT size, single sentences, three rounds")
    parser.add_argument("--rounds", type=int, help="turns of each engine (5, quick: 3)")
    options = parser.parse_args()
    options.seconds = 0.2 if options.quick else 0.5
    options.rounds = options.rounds or (3 if options.quick else 5)
    print(
        "forward passes, float32, %d threads, medians in ms of %d turns; ONNX Runtime %s, CTranslate2 %s"
        % (options.threads, options.rounds, onnxruntime.__version__, ctranslate2.__version__)
    )
    print(
        "%-11s %-12s %10s %13s %12s %13s %13s %11s"
        % ("model", "sentences", "Tokray", "ONNX Runtime", "CTranslate2", "ORT / Tokray", "CT2 / Tokray", "difference"),
        flush=True,
    )
    with open(options.csv, "w", newline="") as file:
        writer = csv.writer(file)
        times = ["tokray_ms", "onnxruntime_ms", "ctranslate2_ms"]
        writer.writerow(["model", "sentences", "threads", *times, "largest_difference"])
        for family in ["distilbert"] if options.quick else ["distilbert", "bert"]:
            compare(family, options, writer)


if __name__ == "__main__":
    main()
