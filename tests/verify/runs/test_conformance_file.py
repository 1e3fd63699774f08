"""The file of a user's declarations: what it may say, and what is said about its mistakes."""

import re
from pathlib import Path

import pytest
from softproof.derivations import REGISTRY
from softproof.verify.runs import conformance_file as declared
from softproof.verify.runs.conformance_file import Declarations, load, matches, parse
from softproof.verify.runs.results import Result
from softproof.verify.subjects.built_in import BUILT_IN
from softproof.verify.subjects.contract import Contract
from softproof.verify.subjects.subject import Subject

FILE = Path("/project/conformance.toml")
MINE = '[[subject]]\nid = "mine:softmax"\ndefinition = "softmax"\n'
PROGRAM = '[[subject]]\ncommand = ["./softmax"]\ndefinition = "softmax"\n'
EXPECTED = '[[expected_failure]]\nsubject = "mine:softmax"\nreason = "issue 12"\n'
CONTRACT = '[[contract]]\nsubject = "scipy.special:*"\n'


def ran(subject="mine:softmax", suite="accuracy", dtype="float32", *, checks=10, violations=0):
    return Result("softmax", subject, suite, dtype, checks, violations)


def declared_here(name, **settings):
    return Subject(name, "softmax", declared_in=str(FILE), **settings)


def declared_by(text):
    return parse(text, FILE)


# --- subjects ---


def test_what_is_left_out_has_the_defaults_of_a_subject():
    assert declared_by(MINE).subjects == (declared_here("mine:softmax"),)


def test_everything_about_a_subject_can_be_declared():
    text = MINE + (
        'dtypes = ["bfloat16"]\narrays = "torch"\ndevice = "cuda:1"\ntime_limit = 2\n'
        'contract = { all_masked = "zero", ulps = { float32 = 2 } }\n'
    )
    (subject,) = declared_by(text).subjects
    contract = Contract(all_masked="zero", ulps={"float32": 2.0})
    assert subject == declared_here(
        "mine:softmax",
        contract=contract,
        dtypes=("bfloat16",),
        arrays="torch",
        device="cuda:1",
        time_limit=2.0,
    )


def test_a_program_is_named_by_its_command_line_unless_it_has_an_id():
    for extra, name in (("", "./softmax --tile 'a b'"), ('id = "fast"\n', "fast")):
        text = PROGRAM.replace('["./softmax"]', '["./softmax", "--tile", "a b"]') + extra
        assert declared_by(text).subjects[0].id == name


@pytest.mark.parametrize(
    ("command", "resolved"),
    [
        ('["./softmax"]', ("/project/softmax",)),
        ('["build/softmax", "build/table"]', ("/project/build/softmax", "build/table")),
        ('["julia", "./softmax.jl", "-v"]', ("julia", "/project/softmax.jl", "-v")),
        ('["../bin/softmax"]', ("/project/../bin/softmax",)),
        ('["/opt/softmax"]', ("/opt/softmax",)),
    ],
)
def test_commands_begin_in_the_folder_of_the_file(command, resolved):
    (subject,) = declared_by(PROGRAM.replace('["./softmax"]', command)).subjects
    assert subject.command == resolved


def test_the_folder_of_a_file_named_without_one_is_the_working_directory(tmp_path, monkeypatch):
    (tmp_path / "here.toml").write_text(PROGRAM)
    monkeypatch.chdir(tmp_path)
    assert load(Path("here.toml")).subjects[0].command == (str(tmp_path / "softmax"),)


def test_a_subject_may_implement_several_definitions():
    text = PROGRAM + PROGRAM.replace('"softmax"', '"log_softmax"')
    assert [s.definition for s in declared_by(text).subjects] == ["softmax", "log_softmax"]


def test_the_documented_file_is_right():
    text = re.sub("^    ", "", declared.__doc__.split("::\n")[1], flags=re.MULTILINE)
    found = declared_by(text.split("Keys of a contract")[0])
    function, command = found.subjects
    assert (function.id, function.arrays, function.device) == (
        *("mykernels.ops:softmax", "torch", "cuda"),
    )
    assert command.command == ("/project/softmax", "--fast")
    (reason,) = {e.reason for e in found.expected}
    assert found.reason("softmax", function.id, "accuracy", "float16") == reason
    assert [e.settings for e in found.contracts] == [{"pos_inf": "nan_at"}]
    assert found.unmatched(BUILT_IN) == []


def test_an_empty_file_declares_nothing(tmp_path):
    (tmp_path / "empty.toml").write_text("")
    assert load(tmp_path / "empty.toml") == Declarations(str(tmp_path / "empty.toml"))


# --- contracts of others ---


def test_contracts_of_other_subjects_are_changed():
    scipy = Subject("scipy.special:softmax", "softmax", Contract(nan="at", ulps={"float32": 3.0}))
    others = [Subject("softproof.kernels:online", "softmax"), scipy]
    text = CONTRACT + 'pos_inf = "nan_at"\nulps = { float64 = 2.0 }\n'
    kernel, changed = declared_by(text).among(others)
    assert kernel == others[0]
    assert changed.contract == Contract(
        nan="at", pos_inf="nan_at", ulps={"float32": 3.0, "float64": 2.0}
    )
    assert changed.declared_in == str(FILE)  # what reproduces a finding must name the file


def test_later_contracts_win_and_a_definition_limits_them():
    text = CONTRACT + 'empty = "error"\n' + CONTRACT + 'empty = "empty"\ndefinition = "logsumexp"\n'
    names = ("softmax", "logsumexp")
    subjects = [Subject(f"scipy.special:{name}", name) for name in names]
    found = [s.contract.empty for s in declared_by(text).among(subjects)]
    assert found == ["error", "empty"]


def test_a_subject_of_the_file_replaces_a_known_one():
    known = [Subject("mine:softmax", "softmax", Contract(nan="at")), Subject("a:b", "softmax")]
    assert declared_by(MINE).among(known) == [declared_here("mine:softmax"), known[1]]


# --- expected failures ---


@pytest.mark.parametrize(
    ("extra", "covered"),
    [
        ("", True),
        ('definition = "softmax"\nsuite = "accuracy"\ndtype = "float32"\n', True),
        ('definition = "log_softmax"\n', False),
        ('suite = "overflow"\n', False),
        ('dtype = "float16"\n', False),
    ],
)
def test_an_expected_failure_covers_what_it_names(extra, covered):
    found = declared_by(EXPECTED + extra)
    (entry,) = found.expected
    result = ("softmax", "mine:softmax", "accuracy", "float32")
    assert entry.covers(*result) is covered
    assert found.reason(*result) == ("issue 12" if covered else None)
    assert not entry.covers("softmax", "mine:softmax2", "accuracy", "float32")


@pytest.mark.parametrize(
    ("pattern", "matched"),
    [
        ("softproof.kernels:online", True),
        ("softproof.kernels:*", True),
        ("kernels:*", True),
        ("*:onl?ne", True),
        ("*", True),
        ("kernels:online", False),  # perhaps a module of the user's
        ("softproof.kernels:on", False),
        ("Kernels:*", False),
    ],
)
def test_a_pattern_is_an_id_or_a_glob(pattern, matched):
    assert matches(pattern, "softproof.kernels:online") is matched


def test_a_command_line_with_brackets_is_still_itself():
    assert matches("./softmax --tile [8]", "./softmax --tile [8]")


# --- warnings ---


def test_entries_that_match_no_subject_are_warned_about():
    text = MINE + EXPECTED + EXPECTED.replace("mine:softmax", "mine:sotfmax") + CONTRACT
    text += 'nan = "at"\n' + CONTRACT.replace("scipy.", "scipi.") + 'nan = "at"\n'
    found = declared_by(text)
    assert found.unmatched(BUILT_IN) == [
        "/project/conformance.toml: contract 2: scipi.special:* matches no subject; "
        "`softproof subjects` lists them",
        "/project/conformance.toml: expected_failure 2: mine:sotfmax matches no subject; "
        "`softproof subjects` lists them",
    ]


@pytest.mark.parametrize("extra", ['dtype = "float16"\n', 'definition = "logsumexp"\n'])
def test_an_entry_for_what_a_subject_does_not_do_matches_nothing(extra):
    (warning,) = declared_by(MINE + EXPECTED + extra).unmatched([])
    assert "expected_failure 1: mine:softmax " in warning


def test_entries_of_subjects_that_did_not_run_are_no_mistake():
    found = declared_by(MINE + EXPECTED)
    assert found.unmatched(BUILT_IN) == []
    assert found.fixed([ran(subject="other:softmax")]) == []


@pytest.mark.parametrize(
    ("results", "is_fixed"),
    [
        ([ran()], True),
        ([ran(), ran(dtype="float64")], True),
        ([ran(violations=1)], False),
        ([ran(), ran(dtype="float64", violations=1)], False),
        ([ran(checks=0)], False),
        ([], False),
    ],
)
def test_an_expected_failure_that_passed_is_warned_about(results, is_fixed):
    text = EXPECTED + 'suite = "accuracy"\n'
    warnings = declared_by(text).fixed([*results, ran(suite="overflow")])
    assert warnings == is_fixed * [
        "/project/conformance.toml: expected_failure 1: mine:softmax accuracy passed "
        "(expected to fail: issue 12); if it is fixed, remove the entry"
    ]


# --- mistakes ---

MISTAKES = {
    "too deep": (
        "x = " + "[" * 20_000,
        "/project/conformance.toml is nested too deep; no entry needs more than 4 levels",
    ),
    "an endless integer": (
        f"x = {'1' * 5000}",
        "/project/conformance.toml is not TOML: Exceeds the limit",
    ),
    "not TOML": ("subject = [", "/project/conformance.toml is not TOML: Invalid value"),
    "unknown table": (
        '[[subjects]]\nid = "a:b"',
        "/project/conformance.toml: unknown key 'subjects'; possible are subject, contract, "
        "expected_failure",
    ),
    "one table": (
        '[subject]\nid = "a:b"',
        "/project/conformance.toml: subject is not a list of tables; write [[subject]]",
    ),
    "no table": ("subject = [1]", "conformance.toml: subject 1 is 1; write a table"),
    "unknown key": (
        MINE + 'dtype = "float32"',
        "conformance.toml: subject 1: unknown key 'dtype'; possible are id, command, definition, "
        "dtypes, time_limit, contract, arrays, device",
    ),
    "number of the entry": (
        MINE + '[[subject]]\nid = "a:b"',
        "subject 2: definition is missing; {count} are possible, such as ",
    ),
    "no definition of the name": (
        MINE.replace('"softmax"', '"sotfmax"'),
        "subject 1: definition is 'sotfmax'; {count} are possible, such as softmax",
    ),
    "no id": (
        '[[subject]]\ndefinition = "softmax"',
        "subject 1: id is missing; write module:attribute, or give a command",
    ),
    "id without attribute": (
        MINE.replace("mine:softmax", "mine"),
        "subject 1: id is 'mine'; write module:attribute, or give a command",
    ),
    "id is a path": (
        MINE.replace("mine:softmax", "./mine.py:softmax"),
        "subject 1: id is './mine.py:softmax'; write module:attribute",
    ),
    "empty id": (PROGRAM + 'id = " "', "subject 1: id is ' '; write a name"),
    "command in one text": (
        PROGRAM.replace('["./softmax"]', '"./softmax --fast"'),
        "subject 1: command is './softmax --fast'; give a list of words",
    ),
    "empty command": (
        PROGRAM.replace('["./softmax"]', "[]"),
        "subject 1: command is []; give a list of words",
    ),
    "number in a command": (
        PROGRAM.replace('["./softmax"]', '["./softmax", 8]'),
        "subject 1: command is ['./softmax', 8]; give a list of words",
    ),
    "arrays of a program": (
        PROGRAM + 'arrays = "torch"',
        "subject 1: arrays is 'torch'; remove it: a program takes numbers, not arrays",
    ),
    "dtypes in one text": (
        MINE + 'dtypes = "float32"',
        "subject 1: dtypes is 'float32'; give a list of float16, bfloat16, float32, float64",
    ),
    "unknown dtype": (
        MINE + 'dtypes = ["fp16"]',
        "subject 1: dtypes is ['fp16']; give a list of float16, bfloat16, float32, float64",
    ),
    "unknown library": (
        MINE + 'arrays = "tensorflow"',
        "subject 1: arrays is 'tensorflow'; possible are numpy, torch, jax, cupy",
    ),
    "device number": (MINE + "device = 0", "subject 1: device is 0; name one, as cuda:1"),
    "time in words": (
        MINE + 'time_limit = "5 s"',
        "subject 1: time_limit is '5 s'; give a number of seconds above 0",
    ),
    "no time": (MINE + "time_limit = 0", "time_limit is 0; give a number of seconds above 0"),
    "endless time": (MINE + "time_limit = inf", "time_limit is inf; give a number of seconds"),
    "true time": (MINE + "time_limit = true", "time_limit is True; give a number of seconds"),
    "contract in one text": (
        MINE + 'contract = "all_masked=zero"',
        "subject 1: contract is 'all_masked=zero'; write a table",
    ),
    "unknown setting": (
        MINE + 'contract = { posinf = "mass" }',
        "subject 1: contract: unknown key 'posinf'; possible are all_masked, pos_inf, nan, ",
    ),
    "unknown choice": (
        MINE + 'contract = { pos_inf = "nan" }',
        "subject 1: contract: pos_inf is 'nan'; possible are nan_all, nan_at, mass",
    ),
    "choice of another type": (
        MINE + "contract = { flush_to_zero = false }",
        "subject 1: contract: flush_to_zero is False; possible are no, yes",
    ),
    "ulps of nothing": (MINE + "contract = { ulps = 2.0 }", "contract: ulps is 2.0; write a table"),
    "ulps of no format": (
        MINE + "contract = { ulps = { float = 2.0 } }",
        "contract: ulps: unknown key 'float'; possible are float16, bfloat16, float32, float64",
    ),
    "negative ulps": (
        MINE + "contract = { ulps = { float32 = -1 } }",
        "contract: ulps: float32 is -1; give a number of ulps above 0",
    ),
    "declared twice": (
        MINE + PROGRAM + MINE,
        "subject 3: mine:softmax is declared for softmax by subject 1 already; keep one",
    ),
    "contract without subject": (
        '[[contract]]\nnan = "at"',
        "contract 1: subject is missing; give an id or a glob",
    ),
    "contract without settings": (
        CONTRACT,
        "contract 1 declares nothing; give one of all_masked, pos_inf, nan, masked_nan, "
        "accumulator, summation, addition, arithmetic, products, normaliser, scores, "
        "probabilities, saved, overflow, flush_to_zero, empty, bitwise_batch, collapse_free, "
        "layouts, standard, ulps",
    ),
    "contract of no definition": (
        CONTRACT + 'nan = "at"\ndefinition = "softmin"',
        "contract 1: definition is 'softmin'; {count} are possible, such as softmax",
    ),
    "no reason": (
        EXPECTED.replace("issue 12", ""),
        "expected_failure 1: reason is ''; say why it fails",
    ),
    "no subject": (
        EXPECTED.replace('subject = "mine:softmax"\n', ""),
        "expected_failure 1: subject is missing; give an id or a glob",
    ),
    "unknown suite": (
        EXPECTED + 'suite = "acuracy"',
        "expected_failure 1: suite is 'acuracy'; possible are accuracy, ",
    ),
    "failure in no format": (
        EXPECTED + 'dtype = "fp16"',
        "expected_failure 1: dtype is 'fp16'; possible are float16, bfloat16, float32, float64",
    ),
    "failure of no definition": (
        EXPECTED + 'definition = "softmin"',
        "expected_failure 1: definition is 'softmin'; {count} are possible, such as softmax",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_named_with_its_place_and_what_is_possible(name):
    text, message = MISTAKES[name]
    message = message.replace("{count}", str(len(REGISTRY)))
    with pytest.raises(ValueError, match=re.escape(message)):
        declared_by(text)


def test_bytes_that_are_no_text(tmp_path):
    (tmp_path / "latin.toml").write_bytes(b'[[subject]]\nid = "\xe9"\n')
    with pytest.raises(ValueError, match=r"latin.toml is not UTF-8 text"):
        load(tmp_path / "latin.toml")


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"missing\.toml"):
        load(tmp_path / "missing.toml")
