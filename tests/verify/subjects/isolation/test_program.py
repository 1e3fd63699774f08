"""A program of any language is a subject like any other; whatever it does wrong is a finding."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from softproof.derivations.arithmetic.formats import ARRAY_FORMATS
from softproof.verify.runs.execute import execute
from softproof.verify.runs.plan import plan
from softproof.verify.subjects.isolation import program, program_process, program_protocol_1
from softproof.verify.subjects.isolation.in_process import MOST_DEATHS
from softproof.verify.subjects.isolation.program import Program, as_subject, is_command
from softproof.verify.subjects.isolation.program_arrays import parsed
from softproof.verify.subjects.subject import (
    Crashed,
    NotApplicable,
    OutOfMemory,
    Subject,
    SubjectError,
    SubjectRaised,
    TimedOut,
    WrongResult,
)
from softproof.verify.suites import SUITES

SOURCE = Path(program.__file__).parents[2] / "data" / "softmax.c"
X = np.float32([[1, 2], [3, -np.inf]])

# What every program in Python here begins with: a reader of calls in hex.
READER = """
import os, sys, time
def say(*words): print(*words, flush=True)
def greet(): say("softproof 1 hex")
def call():
    words = input().split(" ")
    rows = [input() for _ in range(int(words[3]))]
    return words, rows, input() if int(words[5]) else None
def echo():
    words, rows, _ = call()
    say("value", *words[2:5])
    for row in rows: print(row)
    say("end")
"""


@pytest.fixture
def host(tmp_path):
    """Makes the host of a program in Python, given as text; closed at the end."""
    hosts = []

    def of(text, definition="softmax", **settings):
        path = tmp_path / f"program_{len(hosts)}.py"
        path.write_text(READER + text)
        command = (sys.executable, "-S", "-E", str(path))
        formats = tuple(ARRAY_FORMATS)
        subject = Subject(path.name, definition, dtypes=formats, command=command, **settings)
        hosts.append(Program(subject))
        return hosts[-1]

    yield of
    for one in hosts:
        one.close()


@pytest.fixture
def impatient(monkeypatch):
    """Call it when a program is loaded: then it gets no more time than it declares."""

    def be():
        monkeypatch.setattr(program, "FIRST_CALL", 0.0)
        monkeypatch.setattr(program_process, "GRACE", 0.05)

    return be


# --- the example in C ---


def compiled(source, output):
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler `cc` here")
    flags = ["-O2", "-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror"]
    subprocess.run([compiler, *flags, str(source), "-lm", "-o", str(output)], check=True)
    return str(output)


@pytest.fixture(scope="module")
def in_c(tmp_path_factory):
    return compiled(SOURCE, tmp_path_factory.mktemp("c") / "softmax")


def verified(command, definition, dtype, suites):
    """The results of suites, with one row of each family; sums are plain loops."""
    live = Program(as_subject(command, definition).declaring(["summation=any"]))
    items = plan([live.subject], suites, [dtype])
    try:
        return [execute(replaced(item), lambda subject: live) for item in items]
    finally:
        live.close()


def replaced(item):
    return type(item)(**{**vars(item), "rows": 1})


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("definition", ["softmax", "log_softmax", "logsumexp", "cross_entropy"])
def test_the_example_in_c_passes(in_c, definition, dtype):
    suites = ["accuracy", "special-values"] + ["gradient"] * (definition == "cross_entropy")
    results = verified(in_c, definition, dtype, suites)
    assert [failure for result in results for failure in result.failures] == []
    assert all(sum(r.checks for r in results if r.suite == suite) > 0 for suite in suites)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("k < n; k++)\n        if (k != lead)", "k < n - 1; k++)\n        if (k != lead)"),
        ("is_float ? (float)x[i] : x[i]", "is_float ? x[i] : x[i]"),
    ],
    ids=["a class not summed", "double printed for float"],
)
def test_a_mistake_in_c_is_found(tmp_path, right, wrong):
    text = SOURCE.read_text()
    assert right in text
    (tmp_path / "mistaken.c").write_text(text.replace(right, wrong))
    command = compiled(tmp_path / "mistaken.c", tmp_path / "mistaken")
    results = verified(command, "softmax", "float32", ["accuracy"])
    assert any(result.failures for result in results)


def test_the_documented_conversation_is_what_the_example_says(in_c):
    example = re.search(r"\*\*Example\*\*.*", program_protocol_1.__doc__, re.DOTALL).group()
    said, heard = (re.findall(rf"^    {way} (.*)$", example, re.MULTILINE) for way in ("<", ">"))
    typed = "".join(line + "\n" for line in heard)
    printed = subprocess.run([in_c], input=typed, capture_output=True, text=True, check=True)
    assert printed.stdout.splitlines() == said
    assert len(said) > 10


def test_the_example_says_what_it_does_not_do(in_c):
    live = Program(as_subject(in_c, "softmax"))
    with pytest.raises(NotApplicable, match="softmax in bfloat16"):
        live(X.astype(ARRAY_FORMATS["bfloat16"].dtype))
    np.testing.assert_array_equal(live(X).value.sum(axis=1), [1, 1])
    live.close()


# --- numbers on the wire ---


def of_all_kinds(fmt):
    """Zeros of both signs, the least and the largest number, infinities, NaN, and bit patterns."""
    bits = np.dtype(f"uint{8 * fmt.dtype.itemsize}")
    drawn = np.random.default_rng(0).integers(0, np.iinfo(bits).max, 25, bits, endpoint=True)
    tiny, top = 2.0**fmt.tiny_exponent, (2 - 2.0 ** (1 - fmt.precision)) * 2.0**fmt.emax
    special = np.array([0.0, -0.0, tiny, -tiny, top, -top, np.inf, -np.inf, np.nan])
    values = np.concatenate([special.astype(fmt.dtype), drawn.view(fmt.dtype), [fmt.dtype.type(1)]])
    return values.reshape(5, 7)


def same_numbers(a, b):
    x, y = (v.astype(np.float64) for v in (a, b))
    return np.array_equal(x, y, equal_nan=True) and np.array_equal(
        np.signbit(x)[~np.isnan(x)], np.signbit(y)[~np.isnan(x)]
    )


RAW_ECHO = """
stdin, stdout = sys.stdin.buffer, sys.stdout.buffer
say("softproof 1 raw")
SIZE = {"float16": 2, "bfloat16": 2, "float32": 4, "float64": 8}
SIZE |= {"float8_e4m3fn": 1, "float8_e5m2": 1}
for line in stdin:
    _, _, dtype, rows, classes, labels = line.decode().split()
    data = stdin.read(int(rows) * int(classes) * SIZE[dtype])
    stdin.read(8 * int(labels))
    stdout.write(f"value {dtype} {rows} {classes}\\n".encode() + data + b"end\\n")
    stdout.flush()
"""


@pytest.mark.parametrize("fmt", ARRAY_FORMATS.values(), ids=ARRAY_FORMATS)
def test_numbers_go_there_and_back_unchanged(host, fmt):
    x = of_all_kinds(fmt)
    returned = host("greet()\nwhile True: echo()")(x).value
    assert returned.dtype == x.dtype
    assert same_numbers(returned, x)
    # Raw bytes keep even the payload of a NaN.
    assert host(RAW_ECHO)(x).value.tobytes() == x.tobytes()


def test_rows_without_classes_and_batches_without_rows(host):
    for live in (host("greet()\nwhile True: echo()"), host(RAW_ECHO)):
        for shape in ((2, 0), (0, 3), (0, 0), (1, 1)):
            assert live(np.zeros(shape, np.float32)).value.shape == shape


PICKED = """
say("softproof 1 raw")
header = sys.stdin.buffer.readline().split()
import struct
z = struct.unpack("<4d", sys.stdin.buffer.read(32))
labels = struct.unpack("<2q", sys.stdin.buffer.read(16))
say("value float64 2")
sys.stdout.buffer.write(struct.pack("<2d", *(z[2 * i + k] for i, k in enumerate(labels))))
say("end")
"""
PICKED_HEX = """
greet()
words, rows, labels = call()
say("value float64 2")
for row, label in zip(rows, labels.split()): say(row.split()[int(label)])
say("end")
"""


@pytest.mark.parametrize("text", [PICKED, PICKED_HEX])
def test_labels_arrive(host, text):
    live = host(text, "cross_entropy")
    outcome = live(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([1, 0]))
    assert outcome.value.tolist() == [2, 3]
    assert outcome.gradient is None


def test_a_gradient_arrives(host):
    live = host(
        'greet()\ncall()\nsay("value float32 1\\n0x1p+0\\ngradient float32 1 2")\n'
        'say("0x1p+1 -0x1p+1 end")',
        "logsumexp",
    )
    assert live(X[:1]).gradient.tolist() == [[2, -2]]


@pytest.mark.parametrize(
    ("token", "value"),
    [
        ("0x1.8p+1", 3.0),
        ("-0X1.8P1", -3.0),
        ("0xc.p-2", 3.0),
        ("0x0.0000010p+0", 2.0**-24),
        ("0x1.fffffep+127", float(np.finfo(np.float32).max)),
        ("0x1p-149", 2.0**-149),
        ("0x0.8p-148", 2.0**-149),
        ("inf", np.inf),
        ("-Infinity", -np.inf),
    ],
)
def test_every_way_to_print_a_number_in_hex_is_read(token, value):
    assert parsed(token.encode(), ARRAY_FORMATS["float32"]) == value


@pytest.mark.parametrize("token", ["nan", "-nan", "+NaN", "nan(0x7fff)"])
def test_every_way_to_print_nan_is_read(token):
    assert np.isnan(parsed(token.encode(), ARRAY_FORMATS["float32"]))


@pytest.mark.parametrize(
    "token",
    ["0x1.ffffffp+127", "0x1p+128", "0x1p-150", "0x1.8p-149", "0x1.0000001p+0", "0x1p+99999"],
)
def test_what_is_no_number_of_the_format_is_refused(token):
    with pytest.raises(WrongResult, match=re.escape(f"wrote {token}, not a float32 number")):
        parsed(token.encode(), ARRAY_FORMATS["float32"])


def test_a_long_double_is_no_float64():
    with pytest.raises(WrongResult, match="not a float64 number"):
        parsed(b"0xc.ccccccccccccccdp-7", ARRAY_FORMATS["float64"])


@pytest.mark.parametrize("token", ["0.5", "1", "1e3", "0x", "0x1", "1p3", "0x1p", "infinite", "é"])
def test_what_is_not_in_hex_is_refused(token):
    with pytest.raises(WrongResult, match="not a number in hex"):
        parsed(token.encode(), ARRAY_FORMATS["float32"])


# --- findings ---

GREETED = "greet()\ncall()\n"
RAW = 'say("softproof 1 raw")\nsys.stdin.buffer.readline()\nsys.stdin.buffer.read(16)\n'
MISBEHAVIOURS = {
    "greets in another language": (
        'say("Hello!")\ncall()',
        WrongResult,
        r"its first line is 'Hello!', not 'softproof 1 hex' or 'softproof 1 raw'",
    ),
    "speaks another version": ('say("softproof 3 hex")', WrongResult, "'softproof 3 hex', not"),
    "exits at its start": (
        'print("no licence found", file=sys.stderr); sys.exit(3)',
        Crashed,
        "^before its greeting: exited with status 3: no licence found$",
    ),
    "exits in a call": (GREETED + "sys.exit(0)", Crashed, "^exited with status 0$"),
    "raises": (GREETED + "1 / 0", Crashed, "status 1: ZeroDivisionError: division by zero"),
    "aborts": (GREETED + "os.abort()", Crashed, "^killed by SIGABRT"),
    "crashes": (GREETED + "os.kill(os.getpid(), 11)", Crashed, "^killed by SIGSEGV"),
    "dies, its child holds its output": (
        GREETED + "\nif os.fork() == 0: time.sleep(60)\nos._exit(4)",
        Crashed,
        "^exited with status 4",
    ),
    "dies before it has read the call": ("greet(); sys.exit(5)", Crashed, "exited with status 5"),
    "closes its output": (GREETED + "os.close(1)\ntime.sleep(60)", Crashed, "closed its output"),
    "sleeps": (
        GREETED + "time.sleep(60)",
        TimedOut,
        r"^waited 0.3 s for its reply; nothing came \(does it flush its output\?\)$",
    ),
    "does not read": (
        "greet()\ntime.sleep(60)",
        TimedOut,
        r"waited 0.3 s for its reply; \d+ bytes of the call are not read",
    ),
    "replies without reading": (
        'greet()\ninput()\nsay("error no")\ntime.sleep(60)',
        TimedOut,
        r"waited 0.3 s for it to read the whole call; \d+ bytes of the call are not read",
    ),
    "sleeps at its start": ("time.sleep(60)", TimedOut, "for its greeting; nothing came"),
    "stops in the numbers": (
        GREETED + 'say("value float32 2 2\\n0x1p-1")\ntime.sleep(60)',
        TimedOut,
        "waited 0.3 s for the 4 numbers of its value; nothing",
    ),
    "stops in raw numbers": (
        RAW + 'say("value float32 2 2\\nshort")\ntime.sleep(60)',
        TimedOut,
        "waited 0.3 s for the 4 numbers of its value; 6 bytes came",
    ),
    "stops before the end": (
        GREETED + 'say("value float32 1 1\\n0x1p-1")\ntime.sleep(60)',
        TimedOut,
        "waited 0.3 s for 'end'",
    ),
    "prints a log": (
        GREETED + 'say("[info] softmax of 4 numbers")',
        WrongResult,
        r"replied '\[info\] softmax of 4 numbers'; reply 'value DTYPE SIZE...', 'error TEXT'",
    ),
    "prints bytes": (
        GREETED + 'sys.stdout.buffer.write(b"\\xff\\x00\\n")',
        WrongResult,
        "replied '\ufffd",
    ),
    "prints without end": (
        GREETED + 'while True: sys.stdout.write("x")',
        WrongResult,
        "wrote 'x+...', a line without end",
    ),
    "prints numbers without end": (
        GREETED + 'say("value float32 2 2")\nwhile True: sys.stdout.write("0x1p+0 ")',
        WrongResult,
        "wrote '0x1p.*', a line without end",
    ),
    "reply is too short": (
        GREETED + 'say("value float32 2 2\\n0x1p-1 0x1p-1 0x1p-1\\nend")',
        WrongResult,
        "value ended after 3 numbers of 4",
    ),
    "reply is too long": (
        GREETED + 'say("value float32 2 2\\n" + 5 * "0x1p-1\\n" + "end")',
        WrongResult,
        "wrote '0x1p-1' after the 4 numbers of its value, not 'end' or 'gradient",
    ),
    "reply has three arrays": (
        GREETED
        + 'say("value float32 1 1\\n0x1p-1")\n'
        + 2 * 'say("gradient float32 1 1\\n0x1p-1")\n',
        WrongResult,
        "after the 1 numbers of its gradient, not 'end'",
    ),
    "raw reply is too long": (
        RAW + 'sys.stdout.buffer.write(b"value float32 2 2\\n" + bytes(20) + b"end\\n")',
        WrongResult,
        r"wrote '\\x00\\x00\\x00\\x00end' after the 4 numbers",
    ),
    "another shape": (
        GREETED + 'say("value float32 2\\n0x1p-1 0x1p-1\\nend")',
        WrongResult,
        r"result has shape \(2,\), expected \(2, 2\)",
    ),
    "a huge shape": (
        GREETED + 'say("value float32 99999999 99999999")',
        WrongResult,
        r"value has shape \(99999999, 99999999\), too large for logits of \(2, 2\)",
    ),
    "a huge shape of nothing": (
        GREETED + 'say("value float32 0 999999999999999\\nend")',
        WrongResult,
        r"value has shape \(0, 999999999999999\), too large for logits of \(2, 2\)",
    ),
    "a shape of many axes": (
        GREETED + 'say("value float32" + 40 * " 1" + "\\n0x1p+0\\nend")',
        WrongResult,
        "announced its value by 'value float32 1 1 1.*; give its shape",
    ),
    "a negative shape": (
        GREETED + 'say("value float32 2 -2")',
        WrongResult,
        "announced its value by 'value float32 2 -2'; give its shape",
    ),
    "another dtype": (
        GREETED + 'say("value float64 2 2\\n" + 4 * "0x1.999999999999ap-4 " + "\\nend")',
        WrongResult,
        "result has dtype float64, expected float32",
    ),
    "an unknown dtype": (
        GREETED + 'say("value double 2 2")',
        WrongResult,
        "announced its value by 'value double 2 2'; name a DTYPE of float16, bfloat16, float32",
    ),
    "no dtype": (GREETED + 'say("value")', WrongResult, "announced its value by 'value'; name"),
    "doubles for floats": (
        GREETED + 'say("value float32 2 2\\n" + 4 * "0x1.999999999999ap-4 " + "\\nend")',
        WrongResult,
        "wrote 0x1.999999999999ap-4, not a float32 number",
    ),
    "decimals": (
        GREETED + 'say("value float32 2 2\\n0.1 0.9 0.1 0.9\\nend")',
        WrongResult,
        "wrote '0.1', not a number in hex",
    ),
    "an error": (
        GREETED + 'say("error CUDA out of memory")\ninput()',
        SubjectRaised,
        "^replied error CUDA out of memory$",
    ),
    "does not do this": (GREETED + 'say("unsupported float32")', NotApplicable, "^float32$"),
}


@pytest.mark.parametrize("name", MISBEHAVIOURS)
def test_misbehaviour_is_a_finding(host, impatient, name):
    text, fault, message = MISBEHAVIOURS[name]
    does_not_read = name in ("does not read", "replies without reading")
    x = np.zeros((1, 100_000), np.float32) if does_not_read else X
    live = host(text, time_limit=0.3)
    if fault is TimedOut:
        if "start" not in name:
            live.load()
        impatient()
    start = time.monotonic()
    with pytest.raises(fault, match=message):
        live(x)
    assert time.monotonic() - start < 8


def test_what_comes_after_a_reply_is_a_finding_in_the_next_call_at_the_latest(host):
    live = host("greet()\nwhile True:\n    echo()\n    say('done in 3 ms')")

    def twice():
        live(X)
        time.sleep(0.2)
        live(X)

    with pytest.raises(WrongResult, match="wrote 'done in 3 ms', which no call asked for"):
        twice()


def test_a_program_for_one_call_is_a_finding_of_the_next(host):
    live = host("greet()\necho()")
    live(X)
    with pytest.raises(Crashed, match="exited with status 0"):
        live(X)


def test_a_program_that_cannot_be_executed_is_a_finding(tmp_path):
    (tmp_path / "text").write_text("This is no program.\n")
    (tmp_path / "text").chmod(0o755)
    for command in ("./no/such/program", str(tmp_path / "text")):
        with pytest.raises(Crashed, match=r"cannot be started: .*(No such file|Exec format)"):
            Program(as_subject(command, "softmax"))(X)


def test_memory_of_the_program_and_its_children_is_limited(host, monkeypatch):
    monkeypatch.setattr(program_process, "MEMORY_LIMIT", 128 << 20)
    hog = "data = b'x' * (300 << 20)\ntime.sleep(60)"
    for text in (
        GREETED + hog,
        GREETED + f"if os.fork() == 0:\n    {hog}".replace("\nt", "\n    t") + "\ntime.sleep(60)",
    ):
        with pytest.raises(OutOfMemory, match="took more than 0 GiB of memory"):
            host(text)(X)


# --- after a finding ---

REPORTS_ITS_PID = """
greet()
while True:
    words, rows, _ = call()
    if rows[0].startswith("0x1.ap"): os.abort()
    if rows[0].startswith("0x1.cp"): say("error unlucky")
    elif rows[0].startswith("0x1.ep"): say("unsupported", os.getpid())
    else: say(f"value float32 1 1\\n{float(os.getpid()).hex()}\\nend")
"""


def pid(live):
    return int(live(np.float32([[1]])).value[0, 0])


def test_after_a_death_the_program_is_started_again(host):
    live = host(REPORTS_ITS_PID)
    first = pid(live)
    assert pid(live) == first
    with pytest.raises(Crashed, match="SIGABRT"):
        live(np.float32([[13]]))
    assert pid(live) != first


def test_an_error_or_what_it_does_not_do_is_not_its_death(host):
    live = host(REPORTS_ITS_PID)
    first = pid(live)
    with pytest.raises(SubjectRaised):
        live(np.float32([[14]]))
    with pytest.raises(NotApplicable):
        live(np.float32([[15]]))
    assert pid(live) == first


def test_a_hang_ends_with_all_that_was_started(host, impatient, tmp_path):
    note = tmp_path / "pids"
    live = host(
        f"greet()\ncall()\nos.fork()\nopen({str(note)!r}, 'a').write(f'{{os.getpid()}}\\n')\n"
        "time.sleep(60)",
        time_limit=0.5,
    )
    live.load()
    impatient()
    with pytest.raises(TimedOut):
        live(X)
    pids = [int(line) for line in note.read_text().split()]
    assert len(pids) == 2
    deadline = time.monotonic() + 5
    while any(map(runs, pids)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(map(runs, pids))


def runs(process):
    """Whether a process lives; an orphan that nobody reaps stays as a zombie."""
    try:
        return psutil.Process(process).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_program_that_always_hangs_is_not_called_any_more(host, impatient):
    live = host("greet()\ncall()\ntime.sleep(60)", time_limit=0.3)
    impatient()
    for _ in range(MOST_DEATHS[TimedOut]):
        with pytest.raises(TimedOut, match="waited"):
            live(X)
    with pytest.raises(TimedOut, match="not called any more"):
        live(X)


def test_the_first_call_may_compile(host):
    live = host("greet()\nwhile True:\n    time.sleep(0.4)\n    echo()", time_limit=0.1)
    live(X)
    with pytest.raises(TimedOut):
        live(X)


def test_a_finding_ends_up_in_the_report(host):
    live = host(GREETED + "os.abort()")
    (item, *_) = plan([live.subject], SUITES, ["float32"])
    result = execute(item, lambda subject: live)
    assert result.failures[0].kind == "crashed"
    assert "killed by SIGABRT" in result.failures[0].message


def test_the_end_of_its_input_ends_the_program(host, tmp_path):
    note = tmp_path / "note"
    live = host(f"greet()\necho()\nsys.stdin.read()\nopen({str(note)!r}, 'w').write('goodbye')")
    live(X)
    live.close()
    assert note.read_text() == "goodbye"


def test_a_program_that_goes_on_is_killed(host):
    live = host("greet()\necho()\ntime.sleep(60)")
    live(X)
    process = psutil.Process(live._talk._process.pid)
    live.close()
    assert not process.is_running()


# --- no deadlock ---

BIG = np.random.default_rng(0).standard_normal((64, 16384)).astype(np.float32)  # 4 MiB
EARLY = """
say("softproof 1 raw")
header = sys.stdin.buffer.readline().split()
sys.stdout.buffer.write(b"value float32 64 16384\\n" + bytes(4 << 20) + b"end\\n")
sys.stdout.flush()
sys.stdin.buffer.read(4 << 20)
"""


def test_a_program_may_write_all_before_it_reads(host):
    assert not host(EARLY)(BIG).value.any()


def test_a_program_may_fill_standard_error(host):
    noise = "sys.stderr.write(1000 * (1000 * 'noise' + '\\n'))\n"
    live = host("greet()\n" + noise + "words, rows, _ = call()\n" + noise + "os.abort()")
    with pytest.raises(Crashed, match=r"SIGABRT: (noise)+$"):
        live(X)
    assert len(host(noise + RAW_ECHO)(BIG).value) == len(BIG)


def test_a_large_call_goes_through_pipes_of_any_size(host):
    assert host(RAW_ECHO)(BIG).value.tobytes() == BIG.tobytes()
    assert host("greet()\nwhile True: echo()")(BIG[:4]).value.tobytes() == BIG[:4].tobytes()


# --- what a program cannot be asked, and names ---


@pytest.mark.parametrize(
    ("x", "how"),
    [
        (X, {"options": {"where": None}}),
        (X, {"axis": 0}),
        (X, {"layout": "reversed"}),
        (X[0], {}),
        (X[None], {}),
    ],
)
def test_what_a_program_cannot_be_asked(host, x, how):
    live = host("greet()\nwhile True: echo()")
    with pytest.raises(NotApplicable, match="a program takes"):
        live(x, **how)
    assert same_numbers(live(X, axis=1).value, X)


def test_a_command_line_is_told_from_a_module():
    for name in ("./softmax", "/opt/kernels/softmax --fast", "julia softmax.jl", "bin/softmax"):
        assert is_command(name)
    for name in ("mine:softmax", "scipy.special:*", "*", "kernels:softmax"):
        assert not is_command(name)


def test_a_command_line_is_split_as_in_a_shell():
    line = "./softmax --algorithm 'two pass'"
    subject = as_subject(line, "softmax")
    assert (subject.id, subject.command) == (line, ("./softmax", "--algorithm", "two pass"))
    assert set(subject.dtypes) == set(ARRAY_FORMATS)
    for wrong in ("./softmax 'two pass", "  "):
        with pytest.raises(SubjectError, match=r"no closing quotation|is empty"):
            as_subject(wrong, "softmax")


def test_loading_tells_what_is_no_program_that_speaks_the_protocol(host):
    with pytest.raises(SubjectError, match=r"no program ./no/such that can be executed"):
        Program(as_subject("./no/such --fast", "softmax")).load()
    with pytest.raises(SubjectError, match=r"echo hello: its first line is 'hello', not "):
        Program(as_subject("echo hello", "softmax")).load()
    live = host(REPORTS_ITS_PID)
    live.load()
    live.load()
    assert pid(live) == live._talk._process.pid


def test_the_command_is_run_without_a_shell(tmp_path, monkeypatch):
    script = tmp_path / "with blank.py"
    script.write_text(READER + "greet()\nwhile True: echo()")
    monkeypatch.chdir(tmp_path)
    live = Program(as_subject(shlex.join([sys.executable, "with blank.py", "$HOME"]), "softmax"))
    assert same_numbers(live(X).value, X)
    arguments = psutil.Process(live._talk._process.pid).cmdline()
    assert arguments[-1] == "$HOME"
    assert os.getpgid(live._talk._process.pid) == live._talk._process.pid
    live.close()
