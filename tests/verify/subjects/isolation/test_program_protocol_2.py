"""Programs that take arguments by name: all arrives, all comes back, and what is wrong is told."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from softproof.derivations import REGISTRY, define, lookup
from softproof.derivations.arithmetic.formats import ARRAY_FORMATS
from softproof.derivations.signature import (
    Index,
    Integer,
    Label,
    Mask,
    Matrix,
    Parameter,
    Real,
    Vector,
)
from softproof.verify.runs.execute import execute
from softproof.verify.runs.plan import plan
from softproof.verify.runs.results import Item
from softproof.verify.subjects.isolation import program, program_protocol_2
from softproof.verify.subjects.isolation.program import Program, as_subject
from softproof.verify.subjects.isolation.program_arrays import parsed
from softproof.verify.subjects.subject import (
    Crashed,
    NoSuchSubject,
    NotApplicable,
    Subject,
    SubjectRaised,
    WrongResult,
)
from softproof.verify.suites.of_cases import CASE_SUITES

SOURCE = Path(program.__file__).parents[2] / "data" / "rms_norm.c"
F32 = np.dtype(np.float32)

# What every program in Python here begins with: a reader of calls in hex.
READER = """
import os, sys
def say(*words): print(*words, flush=True)
def call():
    header, parameters, arguments = input().split(" "), {}, {}
    while (line := input()) != "end":
        word, name, *rest = line.split(" ")
        if word == "parameter": parameters[name] = float.fromhex(rest[0])
        else: arguments[name] = rest, input().split()
    return header, parameters, arguments
"""
GREETED = 'say("softproof 2 hex")\nheader, parameters, arguments = call()\n'


@pytest.fixture
def host(tmp_path):
    """Makes the host of a program in Python, given as text; closed at the end."""
    hosts = []

    def of(text, definition="rms_norm"):
        path = tmp_path / f"program_{len(hosts)}.py"
        path.write_text(READER + text)
        command = (sys.executable, "-S", "-E", str(path))
        hosts.append(
            Program(Subject(path.name, definition, dtypes=tuple(ARRAY_FORMATS), command=command))
        )
        return hosts[-1]

    yield of
    for one in hosts:
        one.close()


@pytest.fixture
def every_kind():
    """A definition with arguments of every kind, and two outputs."""

    @define(
        family="tests",
        source="this test",
        arguments={
            "x": Vector("K"),
            "w": Matrix("n", "K", shared=True),
            "width": Real(),
            "slope": Real(shared=True),
            "label": Label("K"),
            "mask": Mask("n"),
            "top": Integer(1, "K"),
        },
        output={"scores": ("n",), "total": ()},
        parameters={"t": Parameter(1.0, 0.0, 8.0, values=(0.5, 4.0))},
    )
    def of_every_kind(x, w, width, slope, label, mask, top, xp, t=1.0):
        """Anything."""

    yield of_every_kind
    del REGISTRY["of_every_kind"]


def arguments_of_every_kind(fmt):
    """Two cases with K = 3 and n = 2."""
    end = np.inf if fmt.has_infinities else fmt.largest
    special = np.array([[0.0, -0.0, end], [-end, np.nan, 2.0**fmt.tiny_exponent]])
    return [
        special.astype(fmt.dtype),
        np.arange(6).reshape(2, 3).astype(fmt.dtype),
        np.array([1, 2]).astype(fmt.dtype),
        np.array(0.5).astype(fmt.dtype),
        np.array([2, 0]),
        np.array([[True, False], [False, True]]),
        np.array([1, 3]),
    ]


def asked(live, arguments, shapes, dtype=F32, **how):
    """The results of a call, by name."""
    how = {"parameters": {}, **how}
    return dict(zip(shapes, live.of_arguments(arguments, shapes, dtype, **how), strict=True))


X, GAIN = np.float32([[1, 1], [2, -2]]), np.float32([1, 3])


def norm(live, **how):
    return asked(live, [X, GAIN], {"value": (2, 2)}, **how)["value"].tolist()


# --- the example in C ---


@pytest.fixture(scope="module")
def in_c(tmp_path_factory):
    return compiled(SOURCE, tmp_path_factory.mktemp("c") / "rms_norm")


def compiled(source, output):
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler `cc` here")
    flags = ["-O2", "-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror"]
    subprocess.run([compiler, *flags, str(source), "-lm", "-o", str(output)], check=True)
    return str(output)


def found_in(command, dtype, asked):
    """The results of some families of suites; sums are plain loops."""
    live = Program(as_subject(command, "rms_norm").declaring(["summation=any"]))
    try:
        live.load()
        items = [Item(live.subject, suite, dtype, family, 1, 0) for suite, family in asked]
        return [execute(item, lambda subject: live) for item in items]
    finally:
        live.close()


ASKED = [
    ("accuracy", "x: normal"),
    ("accuracy", "eps=0.0625"),
    ("gradient", "x: wide"),
    ("liveness", "gain"),
    ("liveness", "eps"),
    ("poison", "x: normal"),
    ("layouts", "contiguous"),
    ("layouts", "no cases"),
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_example_in_c_passes(in_c, dtype):
    results = found_in(in_c, dtype, ASKED)
    assert [failure for result in results for failure in result.failures] == []
    assert all(result.checks > 0 for result in results)


@pytest.mark.parametrize(
    ("right", "wrong", "family"),
    [
        ("sqrt(sum / n + eps)", "(sqrt(sum / n) + eps)", ("accuracy", "eps=0.0625")),
        ("(dot / n)", "dot", ("gradient", "x: normal")),
        ("in_gain[k] +=", "in_gain[k] =", ("gradient", "x: normal")),
    ],
    ids=["eps outside the root", "a sum for a mean", "only the last case"],
)
def test_a_mistake_in_c_is_found(tmp_path, right, wrong, family):
    text = SOURCE.read_text()
    assert right in text
    (tmp_path / "mistaken.c").write_text(text.replace(right, wrong))
    command = compiled(tmp_path / "mistaken.c", tmp_path / "mistaken")
    (result,) = found_in(command, "float32", [family])
    assert result.failures


def test_the_documented_conversation_is_what_the_example_says(in_c):
    example = re.search(r"\*\*Example\*\*.*", program_protocol_2.__doc__, re.DOTALL).group()
    said, heard = (re.findall(rf"^    {way} (.*)$", example, re.MULTILINE) for way in ("<", ">"))
    typed = "".join(line + "\n" for line in heard)
    printed = subprocess.run([in_c], input=typed, capture_output=True, text=True, check=True)
    assert printed.stdout.splitlines() == said
    assert len(said) > 10


def test_the_example_says_what_it_does_not_do(in_c):
    live = Program(as_subject(in_c, "rms_norm"))
    half = [X.astype(np.float16), GAIN.astype(np.float16)]
    with pytest.raises(NotApplicable, match=r"^float16$"):
        asked(live, half, {"value": (2, 2)})
    with pytest.raises(NotApplicable, match=r"^parameter width$"):
        norm(live, parameters={"width": 2.0})
    assert norm(live, parameters={"eps": 0.0}) == [[1, 3], [1, -3]]
    live.close()
    live = Program(as_subject(in_c, "sparsemax"))
    with pytest.raises(NotApplicable, match=r"^sparsemax$"):
        asked(live, [X], {"value": (2, 2)})
    live.close()


# --- what arrives ---

TELLS = GREETED + 'say("error", header, parameters, arguments)'


def test_a_call_has_its_arguments_by_name_with_their_shapes_and_types(host, every_kind):
    live = host(TELLS, "of_every_kind")
    with pytest.raises(SubjectRaised) as told:
        asked(
            live,
            arguments_of_every_kind(ARRAY_FORMATS["float32"]),
            {"scores": (2, 2), "total": (2,)},
            parameters={"t": 0.1},
        )
    words = ["0x0p+0", "-0x0p+0", "inf", "-inf", "nan", "0x1p-149"]
    assert str(told.value).removeprefix("replied error ") == " ".join(
        map(
            str,
            [
                ["call", "of_every_kind", "float32", "2"],
                {"t": 0.1},
                {
                    "x": (["float32", "2", "3"], words),
                    "w": (
                        ["float32", "2", "3"],
                        ["0x0p+0", "0x1p+0", "0x1p+1", "0x1.8p+1", "0x1p+2", "0x1.4p+2"],
                    ),
                    "width": (["float32", "2"], ["0x1p+0", "0x1p+1"]),
                    "slope": (["float32"], ["0x1p-1"]),
                    "label": (["int64", "2"], ["2", "0"]),
                    "mask": (["bool", "2", "2"], ["1", "0", "0", "1"]),
                    "top": (["int64", "2"], ["1", "3"]),
                },
            ],
        )
    )


@pytest.mark.parametrize("token", ["inf", "-inf", "0x1.ep+8", "0x1p+9", "0x1p-10", "0x1.1p+0"])
def test_what_is_no_number_of_eight_bits_is_refused(token):
    fmt = ARRAY_FORMATS["float8_e4m3fn"]
    assert parsed(b"0x1.cp+8", fmt) == 448
    with pytest.raises(WrongResult, match=rf"wrote {re.escape(token)}, .*float8_e4m3fn"):
        parsed(token.encode(), fmt)


def test_derivatives_are_asked_for_with_cotangents(host, every_kind):
    live = host(TELLS, "of_every_kind")
    weights = [np.float32([[1, 2], [3, 4]]), np.float32([5, 6])]
    shapes = {"x": (2, 3), "w": (2, 3), "width": (2,), "slope": ()}
    given = [*arguments_of_every_kind(ARRAY_FORMATS["float32"]), *weights]
    with pytest.raises(SubjectRaised, match=r"\['vjp', 'of_every_kind', .*'cotangent_total': \("):
        asked(live, given, shapes, cotangents=2)


RAW_ECHO = """
stdin, stdout = sys.stdin.buffer, sys.stdout.buffer
say("softproof 2 raw")
SIZE = {"float16": 2, "bfloat16": 2, "float32": 4, "float64": 8, "int64": 8, "bool": 1}
SIZE |= {"float8_e4m3fn": 1, "float8_e5m2": 1}
_, _, dtype, cases = stdin.readline().decode().split()
read = {}
while (words := stdin.readline().decode().split()) != ["end"]:
    count = SIZE.get(words[2], 1)
    for size in words[3:]: count *= int(size)
    read[words[1]] = stdin.read(count)
def result(name, data, *sizes):
    stdout.write(" ".join(["result", name, dtype, *sizes]).encode() + b"\\n" + data)
result("total", read["width"], cases)
result("scores", read["w"][:4 * SIZE.get(dtype, 1)], cases, "2")
stdout.write(b"end\\n")
stdout.flush()
"""
HEX_ECHO = GREETED + (
    'say("result total", header[2], "2"); print(*arguments["width"][1], sep="\\n")\n'
    'say("result scores", header[2], "2 2"); print(*arguments["w"][1][:4], "end")'
)


@pytest.mark.parametrize("text", [RAW_ECHO, HEX_ECHO], ids=["raw", "hex"])
@pytest.mark.parametrize("fmt", ARRAY_FORMATS.values(), ids=ARRAY_FORMATS)
def test_numbers_go_there_and_back_and_results_come_in_any_order(host, every_kind, fmt, text):
    live = host(text, "of_every_kind")
    shapes = {"scores": (2, 2), "total": (2,)}
    found = asked(live, arguments_of_every_kind(fmt), shapes, fmt.dtype)
    assert found["scores"].astype(float).tolist() == [[0, 1], [2, 3]]
    assert found["total"].astype(float).tolist() == [1, 2]


# Of a batch of argmax, in hex and raw: int64 in both.
HEX_ARGMAX = """
say("softproof 2 hex")
while True:
    _, _, arguments = call()
    (_, cases, size), numbers = arguments["logits"]
    numbers = iter(map(float.fromhex, numbers))
    rows = [[next(numbers) for _ in range(int(size))] for _ in range(int(cases))]
    say("result value int64", cases); say(*(row.index(max(row)) for row in rows)); say("end")
"""
RAW_ARGMAX = """
import struct
stdin, stdout = sys.stdin.buffer, sys.stdout.buffer
say("softproof 2 raw")
stdin.readline()
_, _, _, cases, size = stdin.readline().decode().split()
data = [stdin.read(4 * int(size)) for _ in range(int(cases))]
rows = [struct.unpack(f"<{size}f", row) for row in data]
stdin.readline()
stdout.write(f"result value int64 {cases}\\n".encode())
stdout.write(struct.pack(f"<{cases}q", *(row.index(max(row)) for row in rows)) + b"end\\n")
stdout.flush()
"""


@pytest.fixture
def argmax():
    """A definition that gives an index, and nothing else."""

    @define(
        family="tests",
        source="this test",
        arguments={"logits": Vector("K")},
        output=Index("K"),
    )
    def argmax_of_tests(logits, xp):
        """The place of the largest."""
        return xp.largest(logits, 1)[0]

    yield "argmax_of_tests"
    del REGISTRY["argmax_of_tests"]


LOGITS = np.float32([[1, 2, 0], [3, 1, 2], [0, 0, 1]])


@pytest.mark.parametrize("text", [RAW_ARGMAX, HEX_ARGMAX], ids=["raw", "hex"])
def test_indices_come_back_as_whole_numbers(host, argmax, text):
    found = asked(host(text, argmax), [LOGITS], {"value": (3,)})["value"]
    assert found.dtype == np.int64
    assert found.tolist() == [1, 0, 2]


@pytest.mark.parametrize("broken", [False, True])
def test_a_program_that_chooses_is_judged(host, argmax, broken):
    text = HEX_ARGMAX.replace("max(row)", "min(row)") if broken else HEX_ARGMAX
    live = host(text, argmax)
    item = Item(live.subject, "accuracy", "float32", "logits: normal", 1, 0)
    found = execute(item, lambda subject: live)
    assert found.checks > 0
    assert [f.message for f in found.failures] == (
        ["a choice that is not of the largest"] if broken else []
    )


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        ("result value float32 3", "its indices are int64"),
        ("result value int64 3\\n1 0x1p+0 2", "wrote '0x1p+0' in its result value, not a whole"),
        ("result value int64 3\\n1 2\\nend", "wrote 'end' in its result value, not a whole number"),
    ],
)
def test_what_are_no_indices_is_told(host, argmax, reply, told):
    live = host(GREETED + f'say("{reply}")', argmax)
    with pytest.raises(WrongResult, match=re.escape(told)):
        asked(live, [LOGITS], {"value": (3,)})


def test_definitions_of_a_row_are_asked_by_the_names_of_their_arguments(host):
    picked = GREETED + (
        "zs, ks = arguments['logits'][1], map(int, arguments['label'][1])\n"
        "say('result value float64 2')\nfor i, k in enumerate(ks): say(zs[2 * i + k])\nsay('end')"
    )
    outcome = host(picked, "cross_entropy")(np.array([[1.0, 2], [3, 4]]), np.array([1, 0]))
    assert (outcome.value.tolist(), outcome.gradient) == ([2, 3], None)


def test_a_function_of_a_real_is_asked_at_single_numbers(host):
    echo = GREETED + (
        "sizes, numbers = arguments['x']\nassert header[3] == sizes[1] == '6'\n"
        "say('result value', *sizes); say(*numbers, 'end')"
    )
    x = np.float32([[1, 2, 3], [4, 5, 6]])
    np.testing.assert_array_equal(host(echo, "sigmoid")(x).value, x)


# --- findings ---

RESULT = 'say("result value float32 2 2\\n0x1p+0 0x1p+0 0x1p+0 0x1p+0")\n'
MISBEHAVIOURS = {
    "exits": ("sys.exit(3)", Crashed, "^exited with status 3$"),
    "an error": ('say("error no memory")', SubjectRaised, "^replied error no memory$"),
    "does not do this": ('say("unsupported vjp")', NotApplicable, "^vjp$"),
    "a reply of version 1": (
        'say("value float32 2 2")',
        WrongResult,
        "^replied 'value float32 2 2'; reply 'result NAME DTYPE SIZE...', 'error TEXT' or",
    ),
    "no result": ('say("end")', WrongResult, "^replied 'end'; reply 'result NAME"),
    "a result without a name": (
        'say("result float32 2 2")',
        WrongResult,
        "^announced 'result float32 2 2'; give results by name, of value$",
    ),
    "an unknown result": (
        RESULT + 'say("result loss float32 2")',
        WrongResult,
        "^announced 'result loss float32 2'; give results by name, of value$",
    ),
    "a result twice": (2 * RESULT, WrongResult, "^gave its result value twice$"),
    "another dtype": (
        RESULT.replace("32", "64") + 'say("end")',
        WrongResult,
        "value has dtype float64, expected float32",
    ),
    "an unknown dtype": (
        'say("result value double 2 2")',
        WrongResult,
        "^announced its result value by 'result value double 2 2'; name a DTYPE of float16,",
    ),
    "a negative size": (
        'say("result value float32 2 -2")',
        WrongResult,
        "announced its result value by 'result value float32 2 -2'; give its shape",
    ),
    "another shape": (
        RESULT.replace(" 2 2", " 4") + 'say("end")',
        WrongResult,
        r"value has shape \(4,\), expected \(2, 2\) for arguments of \(2, 2\), \(2,\)",
    ),
    "a huge shape": (
        'say("result value float32 99999999 99999999")',
        WrongResult,
        r"result value has shape \(99999999, 99999999\), too large for what it was given",
    ),
    "too few numbers": (
        'say("result value float32 2 2\\n0x1p+0\\nend")',
        WrongResult,
        "^result value ended after 1 numbers of 4$",
    ),
    "too many numbers": (
        RESULT + 'say("0x1p+0\\nend")',
        WrongResult,
        "wrote '0x1p\\+0' after the 4 numbers of its result value, not 'end' or 'result NAME",
    ),
    "decimals": (
        'say("result value float32 2 2\\n0.5")',
        WrongResult,
        "wrote '0.5', not a number in hex",
    ),
    "doubles for floats": (
        'say("result value float32 2 2\\n0x1.999999999999ap-4")',
        WrongResult,
        "wrote 0x1.999999999999ap-4, not a float32 number",
    ),
    "more than a reply": (
        RESULT + 'say("end\\ndone in 3 ms")',
        WrongResult,
        "wrote 'done in 3 ms', which no call asked for",
    ),
}


@pytest.mark.parametrize("name", MISBEHAVIOURS)
def test_misbehaviour_is_a_finding(host, name):
    text, fault, message = MISBEHAVIOURS[name]
    live = host(GREETED + text)
    with pytest.raises(fault, match=message):
        norm(live)


def test_a_missing_result_is_a_finding(host, every_kind):
    live = host(
        GREETED + 'say("result scores float32 2 2"); say(4 * "0x1p+0 ", "end")', "of_every_kind"
    )
    given = arguments_of_every_kind(ARRAY_FORMATS["float32"])
    with pytest.raises(WrongResult, match=r"^gave no result total$"):
        asked(live, given, {"scores": (2, 2), "total": (2,)})


def test_a_finding_ends_up_in_the_report(host):
    live = host(GREETED + "os.abort()")
    (item, *_) = plan([live.subject], CASE_SUITES, ["float32"])
    result = execute(item, lambda subject: live)
    assert result.failures[0].kind == "crashed"
    assert "killed by SIGABRT" in result.failures[0].message


def test_a_program_takes_no_buffer_for_its_result(host):
    live = host(TELLS)
    with pytest.raises(NotApplicable, match="a program takes no buffer"):
        norm(live, out=np.zeros_like(X))


def test_a_program_of_version_1_is_told_what_it_lacks(host):
    live = host('say("softproof 1 hex")\nheader = input()')
    with pytest.raises(NoSuchSubject, match=r"speaks version 1 .* for rms_norm .* version 2"):
        live.load()
    with pytest.raises(NotApplicable, match="version 1"):
        norm(live)
    assert lookup("softmax").of_a_row
    host('say("softproof 1 hex")\nheader = input()', "softmax").load()
