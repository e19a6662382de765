"""LIBSVM text: a label and ascending, 1-based `index:value` pairs a line."""

import bz2
import gzip
import lzma
import math
import zlib
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from problems.arrays import DENSE_LIMIT
from problems.errors import InvalidInput
from problems.files import open_regular

__all__ = ["DECOMPRESS", "LONGEST_LINE", "MOST_TEXT", "parse", "read_text"]

# The uncompressed text, to be read from the packed file.
DECOMPRESS: dict[str, Callable[[BinaryIO], Any]] = {".xz": lzma.open, ".gz": gzip.open, ".bz2": bz2.open}

MOST_TEXT = 2**30  # bytes of uncompressed text: a few packed kilobytes may hold any number of them
LONGEST_LINE = 64 * 2**20  # bytes; a line is split into its numbers as a whole, which takes many times its size
READ_BLOCK = 2**20  # bytes read at a time
MOST_DIGITS = 100  # of an index
PARSED_BLOCK = 4 * 2**20  # bytes parsed at a time, and looked at again, slowly, where they are malformed


def read_text(path: Path) -> bytes:
    """The uncompressed text, with LF line endings and a final newline.

    Raises:
        InvalidInput: the file cannot be read or decompressed, is not a regular file, or holds more than MOST_TEXT
            bytes, uncompressed, or a line of more than LONGEST_LINE; nothing is read beyond these.
    """
    try:
        with open_regular(path) as file, DECOMPRESS.get(path.suffix, _as_it_is)(file) as unpacked:
            text = b"".join(_blocks_within_limits(unpacked)).replace(b"\r\n", b"\n")
    except (OSError, EOFError, ValueError, lzma.LZMAError, zlib.error) as error:
        raise InvalidInput(f"cannot read {path}: {error}") from error
    return text if text.endswith(b"\n") else text + b"\n"


def _as_it_is(file: BinaryIO) -> BinaryIO:
    return file


def _blocks_within_limits(file: BinaryIO) -> Iterator[bytes]:
    """The file's bytes, block by block. Raises ValueError at the block that exceeds a limit."""
    size = line = 0  # of everything, of the line that a block ends in
    while block := file.read(READ_BLOCK):
        size += len(block)
        first_end, last_end = block.find(b"\n"), block.rfind(b"\n")
        longest = line + (len(block) if first_end < 0 else first_end)  # lines within a block are shorter than the limit
        line = len(block) - last_end - 1 if last_end >= 0 else longest
        if longest > LONGEST_LINE:
            raise ValueError(f"it has a line of more than {LONGEST_LINE / 2**20:g} MiB, which is the limit")
        if size > MOST_TEXT:
            raise ValueError(f"its text takes more than {MOST_TEXT / 2**30:g} GiB, which is the limit")
        yield block


def parse(text: bytes, source: str, num_features: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Features [N, d] and labels [N]; d is `num_features`, or the largest index in the text.

    Raises:
        InvalidInput: malformed text (the message names `source` and the line), no features, a number that is not
            finite, an index above `num_features`, or a dense array above DENSE_LIMIT.
    """
    blocks: list[tuple[Any, np.ndarray]] = []
    samples = pairs = 0
    dim = num_features or 1
    for start, block in _line_blocks(text):
        try:
            features, labels = _parse_block(block, num_features)
        except (ValueError, OverflowError) as error:
            before = text.count(b"\n", 0, start)
            raise _diagnosis(block, source, before, num_features, error) from error
        blocks.append((features, labels))
        samples, pairs, dim = samples + len(labels), pairs + features.nnz, max(dim, features.shape[1])
        _check_dense_size(source, samples, dim)  # so early that neither the rest nor the array takes memory
    if not pairs:
        raise InvalidInput(f"{source}: the file holds no features")
    return _dense([features for features, _ in blocks], dim), np.concatenate([labels for _, labels in blocks])


def _line_blocks(text: bytes) -> Iterator[tuple[int, bytes]]:
    """Where a block starts and the block, of whole lines."""
    start = 0
    while start < len(text):
        end = text.find(b"\n", start + PARSED_BLOCK) + 1 or len(text)
        yield start, text[start:end]
        start = end


def _parse_block(block: bytes, num_features: int | None) -> tuple[Any, np.ndarray]:
    """Sparse features and labels. Raises ValueError or OverflowError where a line is malformed."""
    from sklearn.datasets import load_svmlight_file

    features, labels = load_svmlight_file(
        BytesIO(block),
        n_features=num_features,
        zero_based=False,  # pyright: ignore[reportArgumentType]
    )
    if not (np.isfinite(labels).all() and np.isfinite(features.data).all()):
        raise ValueError("a number that is not finite")
    if b"_" in block:  # in a comment, or in a number, where Python allows it and LIBSVM does not
        for line in block.split(b"\n"):
            _check_line(line, num_features or DENSE_LIMIT // 8)
    return features, np.array(labels)


def _dense(blocks: list[Any], dim: int) -> np.ndarray:
    """Sparse blocks one below the other. -> [N, d]."""
    dense = np.zeros((sum(block.shape[0] for block in blocks), dim))
    start = 0
    for block in blocks:
        rows = np.repeat(np.arange(start, start + block.shape[0]), np.diff(block.indptr))
        dense[rows, block.indices] = block.data
        start += block.shape[0]
    return dense


def _check_dense_size(source: str, samples: int, features: int) -> None:
    size = 8 * samples * features
    if size > DENSE_LIMIT:
        raise InvalidInput(
            f"{source}: {samples} samples x {features} features (the largest index) take "
            f"{size / 2**30:.1f} GiB as a dense array, above the limit of {DENSE_LIMIT / 2**30:g} GiB"
        )


def _diagnosis(block: bytes, source: str, before: int, num_features: int | None, reason: Exception) -> InvalidInput:
    """The error that names the first bad line of a block, of which `before` lines precede; slow."""
    largest_index = num_features or DENSE_LIMIT // 8
    for number, line in enumerate(block.split(b"\n"), start=before + 1):
        try:
            _check_line(line, largest_index)
        except ValueError as error:
            return InvalidInput(f"{source}:{number}: {error}; the line starts {_quoted(line)}")
    return InvalidInput(f"{source}: malformed after line {before}: {reason}")


def _check_line(line: bytes, largest_index: int) -> None:
    """Raise ValueError unless the line is blank, a comment, or a label and ascending `index:value` pairs."""
    label, *pairs = line.partition(b"#")[0].split() or [b"0"]
    _check_finite("label", label)
    has_query_id = bool(pairs) and pairs[0].startswith(b"qid:")  # of ranking data; scikit-learn skips it
    previous = 0
    for pair in pairs[has_query_id:]:
        previous = _checked_index(pair, previous, largest_index)


def _checked_index(pair: bytes, previous: int, largest: int) -> int:
    digits, colon, value = pair.partition(b":")
    if not (colon and digits.isdigit()):
        raise ValueError(f"{_quoted(pair)} is not index:value")
    if len(digits) > MOST_DIGITS:
        raise ValueError(f"index {_quoted(digits)} has more than {MOST_DIGITS} digits")
    index = int(digits)
    if index <= previous:
        raise ValueError(f"index {index} is not above {previous}: indices start at 1 and ascend")
    if index > largest:
        raise ValueError(f"index {index} is above the limit of {largest} features")
    _check_finite(f"value of index {index}", value)
    return index


def _check_finite(what: str, number: bytes) -> None:
    try:
        finite = b"_" not in number and math.isfinite(float(number))
    except ValueError:
        finite = False
    if not finite:
        raise ValueError(f"the {what} is {_quoted(number)}, not a finite number")


def _quoted(text: bytes) -> str:
    """At most 40 bytes of it: a line may be long."""
    return repr(text[:40].decode(errors="replace")) + ("..." if len(text) > 40 else "")
