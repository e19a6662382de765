"""Hostile configs and LIBSVM files: refused with a message, in seconds, and before they take memory."""

import bz2
import gzip
import lzma
import os
import resource
import time
import tomllib
from collections.abc import Callable, Iterator
from datetime import date, datetime
from datetime import time as day_time
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from experiments.config import MOST_RUNS, Config, parse_config
from experiments.raw_config import DEEPEST, MOST_BYTES, apply_overrides, read_raw, reduced, write_toml
from experiments.spec import Spec, constructors, parameters
from problems import InvalidInput, Problem, libsvm
from problems.datasets import load_dataset
from problems.libsvm import parse, read_text

MIB, GIB = 2**20, 2**30
SOAK = 20  # times as many examples
PACK = {"": bytes, ".gz": gzip.compress, ".bz2": bz2.compress, ".xz": partial(lzma.compress, preset=0)}

# Properties: of random input


def words(*choices: bytes) -> st.SearchStrategy[bytes]:
    """A few of these words, one behind the other."""
    return st.lists(st.sampled_from(choices), max_size=40).map(b"".join)


GOOD_LINES = st.lists(st.sampled_from([b"1 1:1", b"-1 1:2 7:3", b"+1", b"0.5 qid:1 2:-0.0", b"# 1:1", b""]), max_size=8)
HOSTILE_BYTES = [
    *(
        b"\n",
        b"\r\n",
        b"\r",
        b" ",
        b"\t",
        b"\x0b",
        b"\0",
        b"#",
        b":",
        b"_",
        b"-",
        b"+",
        b".",
        b"e",
        b"\xff\xfe",
        b"\xc3",
    ),
    *(b" 9:1", b" 11:-0.0", b" 12:1e-400", b" 00000000000016:1", b" 17:" + b"9" * 300, b" 1_3:1", b" 14:1_5", b" # _"),
    *(b" qid:1", b" qid:x", b" qidx:1", b" qid", b" 1000000000000:1", b" 2147483648:1", b" -1:1", b" 0:1", b"0x1p3"),
    *(b" " + b"9" * 5000 + b":1", b" 17:" + b"9" * 5000, b" " + b"0" * 5000 + b"1:1", b"nan", b"inf", b"1e400"),
    *("\u0663".encode(), "\u00b2".encode()),
]


@st.composite
def almost_libsvm(draw: st.DrawFn) -> bytes:
    """LIBSVM text with up to three hostile words anywhere."""
    text = b"\n".join(draw(GOOD_LINES))
    for word in draw(st.lists(st.sampled_from(HOSTILE_BYTES), max_size=3)):
        place = draw(st.integers(0, len(text)))
        text = text[:place] + word + text[place:]
    return text


def outcome(text: bytes) -> tuple[list[list[float]], list[float]] | None:
    """What the text holds, None where it is refused."""
    try:
        features, labels = parse(text, "file")
    except InvalidInput as error:
        assert str(error).startswith("file:") and len(str(error)) < 500
        return None
    assert features.dtype == labels.dtype == np.float64
    assert features.ndim == 2 and features.size and labels.shape == features.shape[:1]
    assert np.isfinite(features).all() and np.isfinite(labels).all()
    return features.tolist(), labels.tolist()


def text_is_parsed_or_refused_and_blocks_do_not_matter(text: bytes) -> None:
    whole = outcome(text)
    for size in (1, 12):  # a line or a few in each
        with patch.object(libsvm, "PARSED_BLOCK", size):
            assert outcome(text) == whole


finite = st.floats(allow_nan=False, allow_infinity=False)
rows = st.lists(st.tuples(finite, st.dictionaries(st.integers(1, 60), finite, max_size=8)), min_size=1, max_size=8)
ends = st.sampled_from(["\n", "\r\n", " \n", "\t\n", " # 1:x _ \n", "\n\n", "\n# a comment\n"])
written = st.tuples(
    rows, ends, st.sampled_from(["", " qid:7"]), st.sampled_from(["", "\n"]), st.sampled_from(list(PACK))
)


def what_is_written_is_read(given: tuple[list[tuple[float, dict[int, float]]], str, str, str, str]) -> None:
    samples, end, query, last, suffix = given
    lines = (
        f"{label!r}{query} " + " ".join(f"{index}:{pairs[index]!r}" for index in sorted(pairs))
        for label, pairs in samples
    )
    with TemporaryDirectory() as folder:
        path = Path(folder, f"file{suffix}")
        path.write_bytes(PACK[suffix]((end.join(lines) + last).encode()))
        text = read_text(path)
    dim = max((index for _, pairs in samples for index in pairs), default=0)
    if not dim:
        assert outcome(text) is None
        return
    features = [[pairs.get(index, 0.0) for index in range(1, dim + 1)] for _, pairs in samples]
    assert outcome(text) == (features, [label for label, _ in samples])


SMALL = """
name = "small"
rounds = 5
seeds = [0, 1]
plugins = []
start = { kind = "normal", scale = 0.5 }
[problem]
kind = "quadratic"
workers = [4, 5]
dim = 3
pl_constant = 0.1
[[method]]
kind = "ef21-sgdm"
eta = 0.5
compressor = { kind = "composition", outer = { kind = "rand-k", k = 1, scaled = true }, inner = { kind = "identity" } }
oracle = [{ kind = "exact" }, { kind = "gaussian-noise", variance = [0.1, 1] }]
stepsize = 0.1
[[method]]
kind = "ef21"
compressor = { kind = "top-k", k = 1 }
stepsize = [{ rule = "quadratic-mean", multiple = [1, 2] }, 0.1]
[[expect]]
kind = "verdict"
method = "ef21"
theorem = "quadratic-mean"
[[expect]]
kind = "rounds-ratio"
of = { "method.kind" = "ef21", rule = "quadratic-mean", multiple = 1, problem.workers = 4 }
to = { "method.kind" = "ef21", rule = "quadratic-mean", multiple = 2, problem.workers = 4 }
equals = 2
tolerance = 0.1
[reduced]
rounds = 3
"problem.workers" = 4
"""

HOSTILE_WORDS = [
    "",
    ".",
    "..",
    "../x",
    "a/b",
    "/",
    "a\0b",
    "\0",
    "\ud800",
    "x" * 20_000,
    "nan",
    "top-k",
    "ef21",
    "\n",
    "%s",
]
HOSTILE_NUMBERS = [0, -1, 2**31, 2**32, 2**53 + 1, 2**63 - 1, 2**63, -(2**63) - 1, 10**12, 10**400, 2**1000]
USUAL = [
    1,
    2,
    4,
    0.5,
    1.0,
    [1, 2],
    [0.5, 1],
    True,
    "top-k",
    "identity",
    "ef21",
    "float32",
    "diagonal",
    {"kind": "identity"},
]
words_and_numbers = (
    st.booleans()
    | st.integers()
    | st.sampled_from(HOSTILE_NUMBERS)
    | st.floats()
    | st.sampled_from([-0.0, 5e-324, 1e-320, 1e308, float("nan"), float("inf")])
    | st.sampled_from([date(1, 1, 1), datetime(9999, 12, 31, 23, 59), day_time(0, 0)])
    | st.sampled_from(HOSTILE_WORDS)
    | st.text(st.characters(codec=None), max_size=8)
)


def nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    keys = st.sampled_from(["kind", "k", *HOSTILE_WORDS])
    return inner | st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=3)


toml_values = nested(nested(words_and_numbers))


def containers(value: Any) -> Iterator[Any]:
    """All tables and lists in a value that are not empty."""
    if isinstance(value, dict | list):
        if value:
            yield value
        for inner in value.values() if isinstance(value, dict) else value:
            yield from containers(inner)


@st.composite
def changed_configs(draw: st.DrawFn) -> dict[str, Any]:
    """The small config with one or two values replaced, added or taken away, anywhere."""
    raw = tomllib.loads(SMALL)
    for _ in range(draw(st.integers(1, 2))):
        container = draw(st.sampled_from(list(containers(raw))))
        key = draw(st.sampled_from(list(container) if isinstance(container, dict) else range(len(container))))
        match draw(st.sampled_from(["replace", "replace", "add", "delete"])):
            case "replace":
                container[key] = draw(st.sampled_from(USUAL) | toml_values)
            case "add" if isinstance(container, dict):
                container[draw(st.text(st.characters(codec=None), max_size=5))] = draw(toml_values)
            case "add" if isinstance(container, list):
                container.append(draw(toml_values))
            case "delete":
                del container[key]
    return raw


def a_table_is_a_config_or_refused(raw: dict[str, Any]) -> None:
    for version in (lambda: raw, lambda: reduced(raw)):
        try:
            config = parse_config(version())
        except InvalidInput as error:
            assert str(error)
        else:
            assert isinstance(config, Config) and 0 < config.num_runs <= MOST_RUNS
            write_toml(config.raw).encode()


ALMOST_TOML = words(
    *(
        b"\n",
        b"\n",
        b"=",
        b" = ",
        b".",
        b",",
        b"[",
        b"]",
        b"[[",
        b"]]",
        b"{",
        b"}",
        b'"',
        b"'",
        b'"""',
        b"'''",
        b"#",
        b"\\",
    ),
    *(b"a", b"name", b"rounds", b"problem", b"method", b"kind", b"reduced", b"plugins", b"\\u0000", b"\\ud800", b"\0"),
    *(
        b"1",
        b"-0",
        b"1e999",
        b"nan",
        b"0x" + b"f" * 5000,
        b"9" * 5000,
        b"1979-05-27",
        b"07:32",
        b"true",
        b"\xff",
        b"\r",
    ),
    *(
        b"\na = 1",
        b'\nname = "x"',
        b"\nrounds = 3",
        b"\n[problem]",
        b"\n[[method]]",
        b"[" * 500,
        b"{a=" * 500,
        b"a." * 500,
    ),
)


def a_file_is_a_table_or_refused(data: bytes) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder, "config.toml")
        path.write_bytes(data)
        try:
            raw = read_raw(path)
        except InvalidInput as error:
            assert str(path) in str(error) or " more than " in str(error) or "64 bits" in str(error)
            return
    a_table_is_a_config_or_refused(raw)


override_values = ALMOST_TOML.map(lambda data: data.decode(errors="surrogateescape"))
override_paths = st.lists(
    st.sampled_from(
        ["rounds", "problem", "method", "0", "1", "-1", "\u00b2", "9" * 5000, "stepsize", "k", "\0", "a." * 300]
    ),
    max_size=5,
).map(".".join)


def an_override_is_merged_or_refused(given: tuple[str, str, str]) -> None:
    try:
        raw = apply_overrides(tomllib.loads(SMALL), ["".join(given)])
    except InvalidInput as error:
        assert str(error)
        return
    a_table_is_a_config_or_refused(raw)


class Property(NamedTuple):
    check: Callable[[Any], None]
    inputs: st.SearchStrategy[Any]
    examples: int


PROPERTIES = {
    "bytes as LIBSVM": Property(text_is_parsed_or_refused_and_blocks_do_not_matter, st.binary(max_size=200), 300),
    "almost LIBSVM": Property(text_is_parsed_or_refused_and_blocks_do_not_matter, almost_libsvm(), 600),
    "LIBSVM": Property(what_is_written_is_read, written, 200),
    "changed configs": Property(a_table_is_a_config_or_refused, changed_configs(), 300),
    "bytes as a config": Property(a_file_is_a_table_or_refused, st.binary(max_size=100), 200),
    "almost a config": Property(a_file_is_a_table_or_refused, ALMOST_TOML, 400),
    "overrides": Property(
        an_override_is_merged_or_refused, st.tuples(override_paths, st.sampled_from(["=", ""]), override_values), 200
    ),
}


@pytest.mark.parametrize("times", [1, pytest.param(SOAK, marks=pytest.mark.soak)])
@pytest.mark.parametrize("name", PROPERTIES)
def test_random_input_is_accepted_or_refused(name, times):
    check, inputs, examples = PROPERTIES[name]
    limits = settings(
        max_examples=examples * times,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=(HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example),
    )
    limits(given(inputs)(lambda drawn: check(drawn)))()


# Bombs: in a process of their own, whose time and memory are measured


class Measured(NamedTuple):
    told: str  # the message of InvalidInput; any other end in words that are none
    seconds: float
    memory: float  # MiB, by how much the largest resident size grew


TIMEOUT = 60.0  # seconds; all of this takes a few
ROOM = 6 * GIB  # of addresses, far more than what is resident: a larger array fails at once, not the machine

# A process that is forked from one which has imported all of this starts in milliseconds.
FORKS = get_context("forkserver")
FORKS.set_forkserver_preload(["experiments.config", "sklearn.datasets", "hypothesis.strategies", "pytest"])


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _measure(connection: Any, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + ROOM
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    started, before = time.perf_counter(), _peak()
    try:
        told = f"not refused: {function(*arguments)!r:.100}"
    except InvalidInput as error:
        told = str(error)
    except BaseException as error:
        told = f"ended in {type(error).__name__}: {error}"
    connection.send(Measured(told, time.perf_counter() - started, _peak() - before))


def measured(function: Callable[..., Any], *arguments: Any) -> Measured:
    """How a call is refused. Fails where it takes longer than TIMEOUT."""
    receiver, sender = FORKS.Pipe(duplex=False)
    process = FORKS.Process(target=_measure, args=(sender, function, arguments))
    process.start()
    sender.close()
    try:
        assert receiver.poll(TIMEOUT), f"{function} takes more than {TIMEOUT:g} s"
        return receiver.recv()
    finally:
        process.kill()
        process.join()
        receiver.close()


def bomb(pack: Callable[[bytes], bytes], line: bytes, size: int) -> bytes:
    """Packed lines of at least `size` bytes, in streams one behind the other, which every format allows."""
    block = line * (8 * MIB // len(line) + 1)
    return pack(block) * (size // len(block) + 1)


def sparse(path: Path, size: int) -> None:
    with path.open("wb") as file:
        file.truncate(size)


LIBSVM_FILES: dict[str, tuple[str, bytes | Callable[[], bytes], str, float]] = {  # suffix, content, told, MiB
    "an index of 13 digits": (".txt", b"1 1000000000000:1\n", "1: index 1000000000000 is above the limit", 50),
    "an index of 31 digits": (".txt", b"1 1:1\n1 1" + b"0" * 30 + b":1", "2: index 1" + "0" * 30 + " is above", 50),
    "an index of many digits": (
        ".txt",
        b"1 " + b"9" * 5000 + b":1",
        "more than 100 digits",
        50,
    ),
    "a label that overflows": (".txt", b"1e400 1:1\n", "1: the label is '1e400', not a finite number", 50),
    "NUL bytes": (".txt", bytes(1000), r"1: the label is '\x00\x00", 50),
    "a NUL behind a value": (".txt", b"1 1:1\0 # note\n", r"1: the value of index 1 is '1\x00'", 50),
    "digits that are not ASCII": (".txt", "1 \u0663:1\n".encode(), "is not index:value", 50),
    "digits in groups": (".txt", b"1 1_0:1\n", "1: '1_0:1' is not index:value", 50),
    "comments": (".txt", b"# nothing\n" * 10**5, "the file holds no features", 50),
    "an index twice": (".txt", b"1 qid:3 4:1 4:1\n", "1: index 4 is not above 4", 50),
    "a wide matrix": (
        ".gz",
        lambda: bomb(gzip.compress, b"1 500000000:1\n", 140 * MIB),
        "features (the largest index) take",
        400,
    ),
    "a comment of hashes": (
        ".gz",
        lambda: gzip.compress(b"#" * (32 * MIB) + b"\n1 1:1\nx 1:1\n"),
        "3: the label is 'x'",
        250,
    ),
    "an error in the last line": (
        ".gz",
        lambda: bomb(gzip.compress, b"1 1:1\n", 4 * MIB) + gzip.compress(b"x"),
        f":{8 * MIB // 6 + 2}: the label is 'x'",
        900,
    ),
    **{
        f"a long line in {suffix}": (suffix, partial(bomb, pack, b"\0" * 64, GIB), "a line of more than 64 MiB", 300)
        for suffix, pack in PACK.items()
        if suffix
    },
    "much text": (".gz", partial(bomb, gzip.compress, b"1 1:1\n", GIB), "its text takes more than 1 GiB", 1300),
}


@pytest.mark.parametrize("name", LIBSVM_FILES)
def test_a_hostile_file_is_refused_in_seconds_and_little_memory(tmp_path, name):
    suffix, content, expected, most = LIBSVM_FILES[name]
    path = tmp_path / f"file{suffix}"
    path.write_bytes(content if isinstance(content, bytes) else content())
    told, seconds, memory = measured(load_dataset, path, "any")
    print(f"{name}: {seconds:.2f} s, {memory:.0f} MiB")
    assert str(path) in told and expected in told and len(told) < 1000
    assert memory < most


def test_a_huge_file_is_refused_at_its_first_long_line(tmp_path):
    sparse(tmp_path / "huge.txt", 64 * GIB)
    told, _, memory = measured(load_dataset, tmp_path / "huge.txt")
    assert "a line of more than 64 MiB" in told and memory < 300


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    os.mkfifo(tmp_path / "pipe.toml")
    return tmp_path / "pipe.toml"


@pytest.mark.parametrize("read", [load_dataset, read_raw])
def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path, pipe, read):
    (tmp_path / "link").symlink_to("/dev/zero")
    for path in (Path("/dev/zero"), tmp_path / "link", pipe, tmp_path):
        told, _, memory = measured(read, path)
        assert told.startswith("cannot read") and "not a regular file" in told and memory < 50


@pytest.mark.parametrize("read", [load_dataset, read_raw])
@pytest.mark.parametrize("name", ["a\0b", "x" * 5000, "\udcff" * 3, "/".join("ab" * 2000)])
def test_a_path_that_cannot_be_is_refused(read, name):
    for path in (Path(name), Path(name + ".xz")):
        with pytest.raises(InvalidInput, match=r"^cannot read"):
            read(path)


# Configs


def with_lines(*lines: str) -> bytes:
    return "\n".join([*lines, SMALL]).encode()


LEVELS = 100_000
DEEP = f"nested more than {DEEPEST} levels deep"
CONFIG_FILES = {
    "lists in lists": (with_lines("a = " + "[" * LEVELS), DEEP),
    "tables in tables": (with_lines("a = " + "{a=" * LEVELS), DEEP),
    "a few levels too many": (with_lines(f"a = {'[' * DEEPEST}{']' * DEEPEST}"), DEEP),
    "a long key": (with_lines(".".join("a" * LEVELS) + " = 1"), "a key of more than"),
    "a long key in quotes": (with_lines(".".join(['"=#.\\""', "'.'"] * 50_000) + " = 1"), "a key of more than"),
    "a long key with spaces": (with_lines(" . ".join("a" * LEVELS) + " = 1"), "a key of more than"),
    "a long header": (with_lines(f"[{'.'.join('a' * LEVELS)}]", *["a.b = 1"] * 1000), "a key of more than"),
    "a long key in a table": (with_lines("a = { " + ".".join("a" * LEVELS) + " = 1 }"), "a key of more than"),
    "a long path": (SMALL.encode() + b'"' + b"a[" * 4000 + b'" = 1', "is nested more than"),
    "a path of no parts": (SMALL.encode() + b'"[.]" = 1', "reduced: '[.]' names no field"),
    "a long word": (with_lines(f'description = "{"x" * 500_000}"'), "has more than 10000 characters"),
    "a long name": (with_lines("x" * 500_000 + " = 1"), "has more than 10000 characters"),
    "a number of many digits": (with_lines("a = " + "9" * 5000), "not valid TOML"),
    "a number of many bits": (with_lines("target = 0x" + "f" * 5000), "target: a whole number must fit into 64 bits"),
    "many wrong names": (with_lines(*(f"n{i} = 1" for i in range(50_000))), "and 49950 errors more"),
    "many wrong values": (SMALL.replace("stepsize = 0.1", f"stepsize = [{'-1,' * 60_000}]").encode(), "errors more"),
    "many runs": (
        SMALL.replace(
            "pl_constant = 0.1", f"pl_constant = {[0.1] * 1000}\nmean_smoothness = {[1] * 1000}\nseed = {[1] * 1000}"
        ).encode(),
        "runs; accepted are at most 100,000",
    ),
    "a large file": (b"#" * (MOST_BYTES + 1), "larger than 1 MiB"),
    "a NUL": (with_lines("a = \0"), "not valid TOML"),
    "words that are no chain": (with_lines("# " + "a" * 200_000 + " " * 200_000 + "\"'" * 200_000), "not refused"),
}


def read_and_parse(path: Path) -> Config:
    return parse_config(apply_overrides(reduced(read_raw(path)), []))


@pytest.mark.parametrize("name", CONFIG_FILES)
def test_a_hostile_config_is_refused_in_seconds_and_little_memory(tmp_path, name):
    content, expected = CONFIG_FILES[name]
    path = tmp_path / "config.toml"
    path.write_bytes(content)
    told, seconds, memory = measured(read_and_parse, path)
    print(f"{name}: {seconds:.2f} s, {memory:.0f} MiB: {told[:100]}")
    assert expected in told and len(told) < 50_000
    assert memory < 400


def test_a_table_that_no_file_holds_is_refused_too():
    deep: list[Any] = []
    for _ in range(LEVELS):
        deep = [deep]
    for value, told in ((1 << 20_000, "rounds: a whole number must fit into 64 bits"), (deep, "levels deep")):
        with pytest.raises(InvalidInput, match=told):
            parse_config(tomllib.loads(SMALL) | {"rounds": value})


def test_a_huge_config_is_refused_unread(tmp_path):
    sparse(tmp_path / "huge.toml", 64 * GIB)
    told, _, memory = measured(read_raw, tmp_path / "huge.toml")
    assert "larger than 1 MiB" in told and memory < 50


def override_and_parse(override: str) -> Config:
    return parse_config(apply_overrides(tomllib.loads(SMALL), [override]))


@pytest.mark.parametrize(
    "override",
    [
        ".".join("a" * LEVELS) + "=1",
        "a=" + "[" * LEVELS,
        "a={" + ".".join("b" * LEVELS) + "=1}",
        "method." + "9" * 5000 + ".k=1",
        "method.\u00b2.k=1",
        "rounds=" + "9" * 5000,
        "rounds=0x" + "f" * 5000,
        "name=\udcff",
        "description=\udcff",
    ],
    ids=lambda override: override[:20].encode("ascii", "replace").decode(),
)
def test_a_hostile_override_is_refused(override):
    told, _, memory = measured(override_and_parse, override)
    assert not told.startswith(("ended", "not refused")) and memory < 200


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../x",
        "a/b",
        "a\\b",
        "/tmp/x",
        ".hidden",
        "a\0b",
        "a\n",
        "x" * 101,
        "\u00fc",
        "\ud800",
        "-x",
        "a b",
    ],
)
def test_a_name_that_is_no_name_of_a_folder_is_refused(name):
    with pytest.raises(InvalidInput, match="name: "):
        parse_config(tomllib.loads(SMALL) | {"name": name})


@pytest.mark.parametrize("plugin", ["a\0b.py", "x" * 5000, "\ud800.py", "/dev/zero", ".", ""])
def test_a_plugin_that_is_no_file_is_refused(plugin):
    with pytest.raises(InvalidInput, match=r"plugins\[0\]: "):
        parse_config(tomllib.loads(SMALL) | {"plugins": [plugin]})


# Problems


GOOD = {
    "workers": 4,
    "dim": 4,
    "dataset": "digits",
    "samples": 3,
    "features_per_worker": 2,
    "noise": 0.1,
    "pl_constant": 0.01,
}
SEEDS = ("seed", "split_seed")


def refusals(kind: str) -> str:
    """Build a problem with every whole number of its recipe huge. Raises InvalidInput with all that they are told."""
    constructor = constructors(Problem)[kind]
    fields = parameters(constructor)
    good = {field.name: GOOD[field.name] for field in fields if field.required}
    sizes = [field.name for field in fields if field.hint is int and field.name not in SEEDS]
    told = []
    for name in sizes:
        for size in (10**9, 10**12, 2**63 - 1):
            with pytest.raises(InvalidInput) as caught:
                Spec(constructor, kind, good | {name: size}).build()
            told.append(str(caught.value))
    raise InvalidInput(f"{len(sizes)} sizes refused: {told}")


@pytest.mark.parametrize("kind", constructors(Problem))
def test_a_problem_of_a_huge_size_is_refused_before_it_takes_memory(kind):
    told, seconds, memory = measured(refusals, kind)
    print(f"{kind}: {seconds:.2f} s, {memory:.0f} MiB: {told[:100]}")
    assert " sizes refused" in told and not told.startswith(("0 ", "ended"))
    assert memory < 400


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of overflow, before it is refused
@pytest.mark.parametrize("kind", constructors(Problem))
def test_a_number_at_the_ends_of_arithmetic_is_built_or_refused(kind):
    constructor = constructors(Problem)[kind]
    fields = parameters(constructor)
    good = {field.name: GOOD[field.name] for field in fields if field.required}
    for name in [field.name for field in fields if field.hint is float]:
        for number in (1e308, -1e308, 5e-324, 0.0, -0.0, float("nan"), float("inf")):
            try:
                problem = Spec(constructor, kind, good | {name: number}).build()
            except InvalidInput as error:
                assert str(error)
            else:
                assert problem.dim > 0
