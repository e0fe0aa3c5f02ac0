#!/usr/bin/env python3
"""Explanations by Tokray, Captum, shap, transformers-interpret and Inseq: same model, input, target, baseline, points, evaluations.

    python explain_peers.py --build BUILD [--quick] [--threads N] [--rounds N] [--csv FILE] [PART OF A LINE]

First the scores must agree (1e-4 of the largest), but for methods that draw at random, where the number of evaluations is the same.  Then, in turns: one explanation in a warm process (model loaded before), and
a whole process for one input, from its start to its end, with the most memory it had (ru_maxrss).  Ratios are peer / Tokray.
The same file is the peers' child: it imports only what the library named needs.
"""

import argparse
import csv
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

POINTS = 50
TOLERANCE = 1e-4
PAUSE = 0.3  # threads that spin after their turn must not disturb the next one
GROUP = 16  # points or variants that Captum takes at once, where that is faster than its default
SAMPLES = 200  # evaluations of methods that draw
PARTS = 500  # evaluations of Partition SHAP
SENTENCE = "The plot is thin and the jokes are old, but the acting is superb and the ending stays with you for days."
PROMPT, OUTPUT = "Lily was sad because", " she could not find her toy."


# ---- peers: each makes a function that explains once and gives the scores, flat, input order ----


def load_classifier(folder):
    from transformers import AutoModelForSequenceClassification

    return AutoModelForSequenceClassification.from_pretrained(folder).eval()


def input_of(case, tokenizer):
    import torch

    return torch.tensor([case["ids"]]) if "ids" in case else tokenizer(case["text"], return_tensors="pt")["input_ids"]


def tokenizer_of(case, folder):
    from transformers import AutoTokenizer

    return None if "ids" in case else AutoTokenizer.from_pretrained(folder)


def words_of(model):
    return model.get_input_embeddings()


def captum_ig(case, folder, at_once=None):
    from captum.attr import LayerIntegratedGradients

    model, tokenizer = load_classifier(folder), tokenizer_of(case, folder)
    method = LayerIntegratedGradients(lambda ids: model(input_ids=ids).logits, words_of(model))

    def explain():
        ids = input_of(case, tokenizer)
        target = int(model(input_ids=ids).logits.argmax())
        baseline = ids.clone()
        baseline[:, 1:-1] = case["mask"]
        scores = method.attribute(ids, baseline, target=target, n_steps=POINTS, internal_batch_size=at_once)
        return scores.sum(-1)[0].tolist()

    return explain


def captum_ig_grouped(case, folder):
    return captum_ig(case, folder, GROUP)


def captum_local(case, folder, method_name):
    """Saliency and Input x Gradient on the word embeddings."""
    import captum.attr

    model, tokenizer = load_classifier(folder), tokenizer_of(case, folder)
    method = getattr(captum.attr, method_name)(lambda rows: model(inputs_embeds=rows).logits)

    def explain():
        ids = input_of(case, tokenizer)
        rows = words_of(model)(ids).detach()
        target = int(model(inputs_embeds=rows).logits.argmax())
        if method_name == "Saliency":
            return method.attribute(rows, target=target, abs=False).norm(dim=-1)[0].tolist()
        return method.attribute(rows, target=target).sum(-1)[0].tolist()

    return explain


def captum_saliency(case, folder):
    return captum_local(case, folder, "Saliency")


def captum_gxi(case, folder):
    return captum_local(case, folder, "InputXGradient")


def captum_layer_gxi(case, folder):
    from captum.attr import LayerGradientXActivation

    model, tokenizer = load_classifier(folder), tokenizer_of(case, folder)
    method = LayerGradientXActivation(lambda ids: model(input_ids=ids).logits, words_of(model))

    def explain():
        ids = input_of(case, tokenizer)
        target = int(model(input_ids=ids).logits.argmax())
        return method.attribute(ids, target=target).sum(-1)[0].tolist()

    return explain


def captum_removal(case, folder, run):
    """Tokens become the mask token; first and last stay."""
    import torch

    model, tokenizer = load_classifier(folder), tokenizer_of(case, folder)

    @torch.no_grad()
    def logits(inner, ids):
        first, last = ids[:, :1].expand(len(inner), 1), ids[:, -1:].expand(len(inner), 1)
        return model(input_ids=torch.cat([first, inner, last], 1)).logits

    def explain():
        ids = input_of(case, tokenizer)
        with torch.no_grad():
            target = int(model(input_ids=ids).logits.argmax())
        return [0.0] + run(lambda inner: logits(inner, ids), ids[:, 1:-1], case["mask"], target)[0].tolist() + [0.0]

    return explain


def captum_ablation(case, folder, at_once=1):
    from captum.attr import FeatureAblation

    return captum_removal(case, folder, lambda f, inner, mask, target: FeatureAblation(f).attribute(
        inner, baselines=mask, target=target, perturbations_per_eval=at_once))


def captum_ablation_grouped(case, folder):
    return captum_ablation(case, folder, GROUP)


def captum_kernel_shap(case, folder):
    from captum.attr import KernelShap

    return captum_removal(case, folder, lambda f, inner, mask, target: KernelShap(f).attribute(
        inner, baselines=mask, target=target, n_samples=SAMPLES))


def captum_lime(case, folder):
    from captum.attr import LimeBase
    from captum._utils.models.linear_model import SkLearnLasso
    import torch

    def run(f, inner, mask, target):
        n = inner.shape[1]
        method = LimeBase(f, SkLearnLasso(alpha=0.001), similarity_func=lambda a, b, z, **_: float(torch.exp(-8 * (1 - (z.sum() / n).sqrt()) ** 2)),
                          perturb_func=lambda x, **_: torch.bernoulli(torch.full((1, n), 0.5)), perturb_interpretable_space=True,
                          from_interp_rep_transform=lambda z, x, **_: torch.where(z.bool(), x, mask), to_interp_rep_transform=None)
        return method.attribute(inner, target=target, n_samples=SAMPLES).reshape(1, -1)

    return captum_removal(case, folder, run)


class TokenMasker:
    """For shap: tokens become the mask token, first and last stay; the tree is by halves, as Tokray's tree=balanced."""

    def __init__(self, length, mask):
        import numpy

        self.mask, self.shape = mask, (1, length)
        rows = []

        def join(first, end):
            if end - first == 1:
                return first
            middle = first + (end - first + 1) // 2
            left, right = join(first, middle), join(middle, end)
            rows.append([left, right, len(rows) + 1, end - first])
            return length + len(rows) - 1

        join(0, length)
        self.clustering = numpy.array(rows, dtype=float)

    def __call__(self, kept, x):
        import numpy

        return (numpy.where(kept, x, self.mask).reshape(1, -1),)


def shap_partition(case, folder):
    import numpy
    import shap
    import torch

    model, tokenizer = load_classifier(folder), tokenizer_of(case, folder)

    def explain():
        ids = input_of(case, tokenizer)
        with torch.no_grad():
            target = int(model(input_ids=ids).logits.argmax())
        first, last = ids[:, :1].numpy(), ids[:, -1:].numpy()

        @torch.no_grad()
        def score(inner):
            inner = numpy.asarray(inner).astype(int)
            rows = numpy.hstack([first.repeat(len(inner), 0), inner, last.repeat(len(inner), 0)])
            return model(input_ids=torch.from_numpy(rows)).logits[:, target].numpy()

        inner = ids[:, 1:-1].numpy()
        explainer = shap.explainers.Partition(score, TokenMasker(inner.shape[1], case["mask"]))
        values = explainer(inner, max_evals=PARTS, silent=True).values[0]
        return [0.0] + [float(v) for v in values] + [0.0]

    return explain


def interpret_ig(case, folder):
    """Its scores are divided by their length, so Tokray's are too."""
    from transformers import AutoTokenizer
    from transformers_interpret import SequenceClassificationExplainer

    explainer = SequenceClassificationExplainer(load_classifier(folder), AutoTokenizer.from_pretrained(folder))
    return lambda: [score for _, score in explainer(case["text"], n_steps=POINTS)]


def inseq_local(case, folder, method, reduce):
    import inseq

    model = inseq.load_model(folder, method, device="cpu")

    def explain():
        out = model.attribute(
            case["prompt"], case["prompt"] + case["output"], attributed_fn="logit", step_scores=[], show_progress=False
        )
        scores = reduce(out.sequence_attributions[0].target_attributions)
        return [float(x) for x in scores[:-1].T.flatten()]

    return explain


def inseq_saliency(case, folder):
    return inseq_local(case, folder, "saliency", lambda a: a.norm(dim=-1))


def inseq_gxi(case, folder):
    return inseq_local(case, folder, "input_x_gradient", lambda a: a.sum(-1))


PEERS = {
    f.__name__: f
    for f in (captum_ig, captum_ig_grouped, captum_saliency, captum_gxi, captum_layer_gxi, captum_ablation, captum_ablation_grouped,
              captum_kernel_shap, captum_lime, shap_partition, interpret_ig, inseq_saliency, inseq_gxi)
}


class Spec:
    """Methods of Tokray, peers, aims of the whole process and the warm one, what is explained, do the scores have to agree?"""

    def __init__(self, methods, peers, process, warm=1, measure="logit", agrees=True):
        self.methods, self.peers, self.process, self.warm, self.measure, self.agrees = methods, peers, process, warm, measure, agrees


IG = Spec("ig:steps=%d,rule=gl,baseline=mask" % POINTS, ["captum_ig", "captum_ig_grouped"], 8)
GRADIENT = Spec("gradient", ["captum_saliency"], 30)
GXI = Spec("gxi", ["captum_gxi", "captum_layer_gxi"], 30)
INTERPRET = Spec("ig:steps=%d,rule=gl,baseline=pad" % POINTS, ["interpret_ig"], 8, measure="prob")
MATRIX = Spec("gradient", ["inseq_saliency"], 30)
MATRIX_GXI = Spec("gxi", ["inseq_gxi"], 30)


def removal(warm, is_whole):
    """warm: the aim for peers in their default, which grows as inputs get shorter; is_whole: the budget is enough for the whole tree."""
    return [
        Spec("occlusion", ["captum_ablation"], 5, warm),
        Spec("occlusion", ["captum_ablation_grouped"], 5, 1.2),
        Spec("kernel-shap:samples=%d" % SAMPLES, ["captum_kernel_shap"], 5, warm, agrees=False),
        Spec("lime:samples=%d" % SAMPLES, ["captum_lime"], 5, warm, agrees=False),
        Spec("partition-shap:evaluations=%d,tree=balanced" % PARTS, ["shap_partition"], 5, warm, agrees=is_whole),
    ]


# ---- Tokray ----


class Tokray:
    """A warm process and the command line."""

    def __init__(self, build, model, threads):
        self.program, self.threads = str(build / "src/cli/tokray"), threads
        self.server = subprocess.Popen(
            [str(build / "bench/explain_server"), "--threads", str(threads), model],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.folder = self.server.stdout.readline().split(" ", 1)[1].rstrip("\n")

    def say(self, *lines):
        self.server.stdin.write("".join(line + "\n" for line in lines))
        self.server.stdin.flush()

    def ask(self, case, methods, measure):
        self.say("methods " + methods, "measure " + measure)
        if "ids" in case:
            self.say("ids " + ",".join(map(str, case["ids"])))
        else:
            self.say("text " + case.get("text", case.get("prompt", "")))
        if "output" in case:
            self.say("output " + case["output"], "target all")

    def turn(self, seconds):
        self.say("time %g" % seconds)
        return float(self.server.stdout.readline().split()[1])

    def command(self, case, methods, measure):
        line = [self.program, "explain", "-m", self.folder, "-M", methods, "-f", "tokens", "--threads", str(self.threads)]
        line += ["--measure", measure]
        if "output" in case:
            return line + ["-t", "all", "--output-text", case["output"], case["prompt"]]
        return line + (["--ids", ",".join(map(str, case["ids"]))] if "ids" in case else [case["text"]])

    def scores(self, case, methods, measure):
        """Of all tokens: what is no feature has 0."""
        got = subprocess.run(self.command(case, methods, measure) + ["--json"], check=True, capture_output=True, text=True)
        result = json.loads(got.stdout)
        data, features = result["arrays"][0]["data"], result["features"]["members"]
        if "output" in case:
            return data
        scores = [0.0] * len(result["tokens"]["in"])
        for score, members in zip(data, features):
            scores[members[0]] = score
        return scores

    def close(self):
        self.server.stdin.close()
        self.server.wait()


# ---- whole processes ----


class Launcher:
    """A small process that runs others: a child of this one would begin with its memory as the most it ever had."""

    LOOP = """if True:
        import json, os, sys, time
        null = os.open(os.devnull, os.O_RDWR)
        for line in sys.stdin:
            command, environment = json.loads(line)
            begun = time.perf_counter()
            actions = [(os.POSIX_SPAWN_DUP2, null, n) for n in range(3)]
            pid = os.posix_spawn(command[0], command, environment, file_actions=actions)
            _, status, usage = os.wait4(pid, 0)
            print(json.dumps([time.perf_counter() - begun, usage.ru_maxrss * 1024, status]), flush=True)
        """

    def __init__(self):
        command = [sys.executable, "-S", "-c", self.LOOP]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self, command, environment):
        """Seconds from start to end, bytes at most."""
        self.process.stdin.write(json.dumps([command, environment]) + "\n")
        self.process.stdin.flush()
        seconds, size, status = json.loads(self.process.stdout.readline())
        if status:
            raise SystemExit("explain_peers: %s ended with status %d" % (" ".join(command), status))
        return seconds, size

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def peer_command(peer, case, folder):
    return [sys.executable, __file__, "--child", json.dumps({"peer": peer, "case": case, "folder": folder})]


def child(task):
    print(PEERS[task["peer"]](task["case"], task["folder"])())


# ---- the comparison ----


def features_only(scores, case):
    """Template tokens are no features of Tokray's; peers give them what they give."""
    return scores if "output" in case else scores[1:-1]


def difference(ours, theirs, case, is_scaled):
    a, b = (features_only(list(s), case) for s in (ours, theirs))
    if is_scaled:
        length = sum(x * x for x in a) ** 0.5
        a = [x / length for x in a]
    pairs = [(x, y) for x, y in zip(a, b) if x is not None and x == x]
    return max(abs(x - y) for x, y in pairs) / max(abs(x) for x, _ in pairs)


def time_peer(explain, seconds):
    times, begun = [], time.perf_counter()
    while not times or time.perf_counter() - begun < seconds:
        start = time.perf_counter()
        explain()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def compare_one(options, tokray, label, case, spec, peer, writer):
    methods, measure = spec.methods, spec.measure
    explain = PEERS[peer](case, tokray.folder)
    worst = difference(tokray.scores(case, methods, measure), explain(), case, peer.startswith("interpret"))
    if spec.agrees and not worst <= TOLERANCE:
        raise SystemExit("explain_peers: %s differs from Tokray's %s by %.1e on %s" % (peer, methods, worst, label))
    tokray.ask(case, methods, measure)
    tokray.turn(0.1)
    warm, whole, memory = ([], []), ([], []), ([], [])
    environment = dict(os.environ, OMP_NUM_THREADS=str(options.threads), HF_HUB_OFFLINE="1")
    commands = (tokray.command(case, methods, measure), peer_command(peer, case, tokray.folder))
    for command in commands:
        options.launcher.run(command, environment)  # not counted: files come into the page cache
    for _ in range(options.rounds):
        for side in range(2):
            time.sleep(PAUSE)
            warm[side].append(time_peer(explain, options.seconds) if side else tokray.turn(options.seconds))
            seconds, size = options.launcher.run(commands[side], environment)
            whole[side].append(seconds)
            memory[side].append(size)
    ours, theirs = ([statistics.median(values[side]) for values in (warm, whole, memory)] for side in range(2))
    ratios = [b / a for a, b in zip(ours, theirs)]
    met = ratios[0] > spec.warm and ratios[1] >= spec.process and ratios[2] >= 4
    print(
        "%-11s %-9s %-18s %9.2f %9.2f %6.1f %4.1f %8.3f %8.2f %6.1f %5d %6.0f %6.0f %6.1f %8.0e %s"
        % (label, methods.split(":")[0], peer, 1e3 * ours[0], 1e3 * theirs[0], ratios[0], spec.warm, ours[1], theirs[1], ratios[1], spec.process,
           ours[2] / 1e6, theirs[2] / 1e6, ratios[2], worst, "met" if met else "missed"),
        flush=True,
    )
    writer.writerow([label, methods, peer, options.threads, *("%.6g" % x for x in ours + theirs), "%.1e" % worst])


def made_case(tokens):
    return {"ids": [2] + [200 + i * 7919 % 20000 for i in range(1, tokens - 1)] + [3], "mask": 4}


def cases(options):
    """Label, model, case, comparisons."""
    tokens = 12 if options.quick else 42
    made = made_case(tokens)
    yield "sentiment", "tiny-distilbert-sentiment", {"text": SENTENCE, "mask": 4}, [IG, INTERPRET, GRADIENT, GXI]
    yield "distilbert", "distilbert", made, [IG, GRADIENT, GXI]
    yield "distil-11", "distilbert", made_case(11), removal(4, True)
    yield "distil-42", "distilbert", made_case(42), removal(2, False)
    yield "stories", "tiny-gpt2-stories", {"prompt": PROMPT, "output": OUTPUT}, [MATRIX, MATRIX_GXI]


def versions():
    from importlib.metadata import version

    names = ("torch", "transformers", "captum", "shap", "transformers-interpret", "inseq")
    return ", ".join("%s %s" % (name, version(name)) for name in names)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--child", type=json.loads, help=argparse.SUPPRESS)
    parser.add_argument("--build", type=pathlib.Path, help="a folder configured with -Dbench=true")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, help="turns of each side (5, quick: 3)")
    parser.add_argument("--csv", default=os.devnull)
    parser.add_argument("--quick", action="store_true", help="three rounds, 12 tokens for the large model")
    parser.add_argument("part", nargs="?", default="", help="only lines with this in 'model method peer'")
    options = parser.parse_args()
    if options.child:
        return child(options.child)
    options.launcher = Launcher()
    import torch

    torch.set_num_threads(options.threads)
    options.rounds = options.rounds or (3 if options.quick else 5)
    options.seconds = 0.2 if options.quick else 0.5
    print("explanations, float32, %d threads, medians of %d turns; %s" % (options.threads, options.rounds, versions()))
    print("%-11s %-9s %-18s %31s %30s %20s" % ("", "", "", "warm: ms, ms, ratio, aim", "process: s, s, ratio, aim", "MB, MB, ratio"))
    root = pathlib.Path(__file__).resolve().parents[2] / "models"
    with open(options.csv, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["model", "methods", "peer", "threads", "tokray_s", "tokray_process_s", "tokray_bytes", "peer_s",
                         "peer_process_s", "peer_bytes", "difference"])
        for label, model, case, specs in cases(options):
            chosen = [(s, p) for s in specs for p in s.peers if options.part in "%s %s %s" % (label, s.methods, p)]
            if not chosen:
                continue
            tokray = Tokray(options.build, model if model == "distilbert" else str(root / model), options.threads)
            for spec, peer in chosen:
                compare_one(options, tokray, label, case, spec, peer, writer)
            tokray.close()
    options.launcher.close()


if __name__ == "__main__":
    main()
