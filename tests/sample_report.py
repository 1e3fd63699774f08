"""A report as `as_dict` gives it, written by hand: every status, every kind of failure."""

import copy
import math
import random

from softproof.verify.oracle.metrics import UNIT

HOSTILE = (
    "</script><script>window.hacked = 1</script><img src=x onerror='window.hacked = 2'> & \" ]]>"
)
SUITES = ("accuracy", "overflow", "special-values", "invariance", "gradient")
BOUND = "a-priori bound of the algorithm in this format, accumulator float32"

SUBJECTS = (
    # id, definition, arrays, dtypes
    ("softproof.kernels:two_pass", "softmax", "numpy", "float16 bfloat16 float32 float64"),
    ("softproof.kernels:online", "softmax", "numpy", "float16 bfloat16 float32 float64"),
    ("softproof.verify.textbook:softmax_naive", "softmax", "numpy", "float32 float64"),
    ("scipy.special:softmax", "softmax", "numpy", "float32 float64"),
    ("torch.nn.functional:softmax", "softmax", "torch", "float16 bfloat16 float32 float64"),
    ("jax.nn:softmax", "softmax", "jax", "bfloat16 float32"),
    ("mine.ops:fast_softmax", "softmax", "numpy", "float32"),
    ("mine.ops:tiled_softmax", "softmax", "torch", "float32"),
    ("./build/softmax --device 0", "softmax", "numpy", "float32"),
    ("softproof.kernels:log_softmax", "log_softmax", "numpy", "float32 float64"),
    ("scipy.special:log_softmax", "log_softmax", "numpy", "float32 float64"),
    ("mine.ops:log_softmax", "log_softmax", "numpy", "float32 float64"),
    ("softproof.kernels:logsumexp", "logsumexp", "numpy", "float32 float64"),
    ("scipy.special:logsumexp", "logsumexp", "numpy", "float32 float64"),
    ("softproof.kernels:cross_entropy_with_gradient", "cross_entropy", "numpy", "float32 float64"),
    ("torch.nn.functional:cross_entropy", "cross_entropy", "torch", "float32 float64"),
    (f"mine.ops:{HOSTILE}", "cross_entropy", "numpy", "float32"),
    ("softproof.verify.textbook:sigmoid_naive", "sigmoid", "numpy", "float32 float64"),
    ("scipy.special:expit", "sigmoid", "numpy", "float32 float64"),
)


def failure(**changes):
    """A failure of accuracy, with fields changed."""
    case = {
        "family": "normal",
        "kind": "value",
        "message": "value beyond its error bound",
        "detail": "",
        "logits": ["0x1p+0", "-0x1.99999ap-4", "0x1.8p+1"],
        "label": None,
        "index": 2,
        "observed": "0x1.9d3a48p-1",
        "expected": "0x1.9d3a3ap-1",
        "error": 7.25,
        "threshold": 3.5,
        "source": BOUND,
        "reproduce": "softproof verify softmax --subject mine.ops:fast_softmax --dtype float32 "
        "--suite accuracy --row=0x1p+0,-0x1.99999ap-4,0x1.8p+1",
        "snippet": None,
        "case": None,
    }
    return case | changes


def unobserved(kind, message, **changes):
    """A failure that left no value to measure."""
    nothing = dict.fromkeys(("index", "observed", "expected", "threshold"))
    nothing |= {"error": math.inf, "source": "", "kind": kind, "message": message}
    return failure(**nothing | changes)


REFUSED = unobserved(
    "form",
    "preflight: result has dtype float64, expected float32",
    family="preflight",
    logits=["0x1p-1", "-0x1p+0", "0x1p+1"],
)

COLLAPSE = {
    "result": "log p of the leader",
    "classes": 2,
    "leader": "first",
    "gap": 16.63553237915039,
    "cause": "1 absorbs the other classes one by one in a float32 sum: 24 ln 2",
    "lost": [[1e-4, 8.25], [0.01, 13.2], [0.5, 16.5]],
    "share": None,
    "logits": ["0x0p+0", "-0x1.0a2b24p+4"],
    "label": None,
    "observed": "0x0p+0",
    "expected": "-0x1p-24",
    "reproduce": "softproof verify log_softmax --subject scipy.special:log_softmax --dtype float32 "
    "--suite collapse --row=0x0p+0,-0x1.0a2b24p+4",
}

# By (subject, dtype, suite): status and what else differs from a pass.
FOUND = {
    ("softproof.verify.textbook:softmax_naive", "float32", "overflow"): {
        "status": "fail",
        "violations": 412,
        "worst": math.inf,
        "errors": [[0.5, 3110], [1.0, 402], [2.0, 31], [math.inf, 412]],
        "failures": [
            failure(
                family="beyond_exp",
                message="NaN where the exact result is finite",
                detail="exp overflows, and inf / inf is NaN.",
                logits=["0x1.63p+6", "0x1p+0"],
                index=0,
                observed="nan",
                expected="0x1p+0",
                error=math.inf,
                reproduce="softproof verify softmax --subject softproof.verify.textbook:"
                "softmax_naive --dtype float32 --suite overflow --row=0x1.63p+6,0x1p+0",
                snippet="import numpy as np\n\nx = np.float32([88.75, 1])\n"
                "e = np.exp(x)\nprint(e / e.sum())  # [nan, 0], not [1, 0]\n",
            ),
            failure(family="masks", index=1, error=1.5e9, logits=["-inf", "0x1.63p+6", "-inf"]),
        ],
    },
    ("softproof.verify.textbook:softmax_naive", "float64", "overflow"): {
        "status": "fail",
        "violations": 380,
        "worst": math.inf,
        "errors": [[0.5, 3200], [1.0, 372], [math.inf, 380]],
        "failures": [
            failure(family="offset", observed="inf", error=math.inf, logits=["0x1.63p+9"] * 40),
        ],
    },
    ("mine.ops:fast_softmax", "float32", "accuracy"): {
        "status": "fail",
        "violations": 12,
        "worst": 5.4e7,
        "errors": [[0.5, 700], [1.0, 61], [2.0, 17], [4.0, 10], [2.0**20, 3], [2.0**26, 9]],
        "failures": [
            failure(
                family="subnormal_results",
                error=5.4e7,
                index=1,
                logits=["0x0p+0", "-0x1.5ap+6", "-0x1.4p+2", "-inf", "0x1p-3"],
                observed="0x0p+0",
                expected="0x1.b4c902p-125",
            ),
            failure(),
        ],
    },
    ("mine.ops:fast_softmax", "float32", "invariance"): {
        "status": "fail",
        "violations": 3,
        "failures": [
            unobserved(
                "value",
                "does not sum to one",
                error=17.5,
                threshold=1.0,
                source="rounding of each term, and of their sum",
                detail="The sum of 1000 probabilities is 0.99991.",
                logits=[(0.01 * i).hex() for i in range(1000)],
            )
        ],
    },
    ("mine.ops:fast_softmax", "float32", "special-values"): {
        "status": "fail",
        "violations": 1,
        "failures": [
            unobserved("hung", "took longer than 10 s", logits=["nan"] * 3, family="NaN"),
        ],
    },
    ("mine.ops:tiled_softmax", "float32", "accuracy"): {
        "status": "fail",
        "violations": 2,
        "worst": 90.0,
        "errors": [[0.5, 770], [1.0, 28], [128.0, 2]],
        "failures": [
            failure(
                error=90.0,
                detail="The row alone does not fail: only in its batch.",
                logits=[float(i % 7 - 3).hex() for i in range(257)],
                index=256,
                reproduce="softproof verify softmax --subject mine.ops:tiled_softmax --dtype "
                "float32 --suite accuracy --budget standard --seed 7",
            )
        ],
    },
    ("mine.ops:tiled_softmax", "float32", "overflow"): {
        "status": "fail",
        "violations": 1,
        "failures": [
            unobserved("crashed", "the process ended by signal 11 (segmentation fault)"),
            unobserved("memory", "took more than 4 GiB"),
            unobserved("raised", "raised RuntimeError: \x00 bad \udc80 text \x1b[0m (ops.py:12)"),
        ],
    },
    ("scipy.special:softmax", "float32", "overflow"): {
        "status": "expected",
        "violations": 5,
        "worst": 412.0,
        "expected": "sums in float32: upstream says that this is meant",
        "failures": [failure(error=412.0, snippet="import scipy.special\n")],
    },
    ("scipy.special:log_softmax", "float32", "accuracy"): {
        "status": "fixed",
        "expected": "cancellation near 0, repaired in a later release",
    },
    (f"mine.ops:{HOSTILE}", "float32", "gradient"): {
        "status": "fail",
        "violations": 64,
        "worst": 8.0e6,
        "errors": [[0.5, 3], [8388608.0, 61]],
        "failures": [
            failure(
                message=HOSTILE,
                detail=HOSTILE + "\x1b[31m",
                source=HOSTILE,
                label=1,
                snippet=HOSTILE,
            )
        ],
    },
    ("torch.nn.functional:cross_entropy", "float32", "special-values"): {
        "status": "fail",
        "violations": 1,
        "failures": [unobserved("input changed", "the input was changed in place", label=2)],
    },
    ("torch.nn.functional:cross_entropy", "float64", "special-values"): {
        "status": "fail",
        "violations": 1,
        "failures": [unobserved("not deterministic", "two calls gave different results", label=0)],
    },
}
REFUSED_SUBJECT = "mine.ops:log_softmax"
EMPTY = ("sigmoid", "special-values")


def result(rng, subject, definition, dtype, suite):
    """A pass, unless another status is written down for it."""
    counts = [rng.randint(500, 900), rng.randint(20, 99), rng.randint(0, 9)]
    entry = {
        "definition": definition,
        "subject": subject,
        "dtype": dtype,
        "suite": suite,
        "status": "pass",
        "checks": 4000,
        "violations": 0,
        "worst": round(0.5 + rng.random() * 1.5, 3),
        "errors": [[2.0 ** (k - 1), n] for k, n in enumerate(counts) if n],
        "grade": "float32 inside, blocked" if suite == "accuracy" else None,
        "excess": None,
        "warning": None,
        "expected": None,
        "failures": [],
        "collapses": [],
        "undecided": {"count": 0, "rows": []},
    }
    if (subject, dtype, suite) == ("scipy.special:log_softmax", "float64", "accuracy"):
        entry["excess"] = {"family": "normal", "error": 1e9, "reference": 2.0, "ratio": 5e8}
        entry["warning"] = "errors up to 5e+08 times those of the reference form"
    if subject == REFUSED_SUBJECT:
        entry |= {"status": "refused", "checks": 1, "violations": 1, "worst": 0.0, "errors": []}
        entry["failures"] = [copy.deepcopy(REFUSED)]
    if (definition, suite) == EMPTY:
        entry |= {"status": "empty", "checks": 0, "worst": 0.0, "errors": []}
    if (subject, dtype, suite) == ("scipy.special:log_softmax", "float64", "accuracy"):
        shares = {"gap": None, "cause": "", "lost": [], "leader": "", "share": 0.25}
        entry["collapses"] = [copy.deepcopy(COLLAPSE), COLLAPSE | shares]
    entry |= copy.deepcopy(FOUND.get((subject, dtype, suite), {}))
    return entry | {"worst_bits": math.log2(1 + entry["worst"])}


def sample():
    """The report; a new one at each call, for a test to change."""
    rng = random.Random(0)
    contract = {
        "all_masked": "nan",
        "pos_inf": "nan_all",
        "nan": "row",
        "masked_nan": None,
        "accumulator": "float32",
        "summation": "blocked",
        "addition": "nearest",
        "arithmetic": "float32",
        "products": "input",
        "normaliser": "sum",
        "scores": "unrounded",
        "probabilities": "unrounded",
        "saved": "unrounded",
        "overflow": None,
        "flush_to_zero": "no",
        "empty": "empty",
        "bitwise_batch": "no",
        "collapse_free": "no",
        "layouts": None,
        "standard": "none",
        "ulps": {"float32": 2.5},
    }
    return {
        "schema": 3,
        "versions": {"softproof": "0.1.0", "python": "3.11.7", "platform": "Linux-6.1-x86_64"},
        "seed": 7,
        "budget": "standard",
        "interrupted": False,
        "passed": False,
        "unit": UNIT,
        "skipped": {
            "onnxruntime:softmax": "onnxruntime is not installed",
            "cupy:softmax": "no CUDA device here",
        },
        "subjects": [
            {
                "id": subject,
                "definition": definition,
                "contract": contract,
                "observed": {},
                "dtypes": dtypes.split(),
                "arrays": arrays,
                "device": "cuda:0" if arrays == "torch" else "",
                "versions": {} if arrays == "numpy" else {arrays: "2.9.0"},
            }
            for subject, definition, arrays, dtypes in SUBJECTS
        ],
        "results": [
            result(rng, subject, definition, dtype, suite)
            for subject, definition, _, dtypes in SUBJECTS
            for dtype in dtypes.split()
            for suite in SUITES
            if suite != "gradient" or definition == "cross_entropy"
        ],
    }
