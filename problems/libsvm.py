"""LIBSVM text: a label and ascending, 1-based `index:value` pairs a line."""

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np

from problems.arrays import DENSE_LIMIT
from problems.errors import InvalidInput

__all__ = ["DECOMPRESS", "parse", "read_text"]

DECOMPRESS: dict[str, Callable[[bytes], bytes]] = {
    ".xz": lzma.decompress,
    ".gz": gzip.decompress,
    ".bz2": bz2.decompress,
}


def read_text(path: Path) -> bytes:
    """The uncompressed text, with LF line endings and a final newline.

    Raises:
        InvalidInput: the file cannot be read or decompressed.
    """
    try:
        data = path.read_bytes()
        text = DECOMPRESS.get(path.suffix, bytes)(data).replace(b"\r\n", b"\n")
    except (OSError, EOFError, ValueError, lzma.LZMAError, zlib.error) as error:
        raise InvalidInput(f"cannot read {path}: {error}") from error
    return text if text.endswith(b"\n") else text + b"\n"


def parse(text: bytes, source: str, num_features: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Features [N, d] and labels [N]; d is `num_features`, or the largest index in the text.

    Raises:
        InvalidInput: malformed text (the message names `source` and the line), no features, a number that is not
            finite, an index above `num_features`, or a dense array above DENSE_LIMIT.
    """
    from sklearn.datasets import load_svmlight_file

    try:
        features, labels = load_svmlight_file(
            BytesIO(text),
            n_features=num_features,
            zero_based=False,  # pyright: ignore[reportArgumentType]
        )
        if not (features.nnz and np.isfinite(labels).all() and np.isfinite(features.data).all()):
            raise ValueError("no features, or a number that is not finite")
    except (ValueError, OverflowError) as error:
        raise _diagnosis(text, source, num_features) from error
    _check_dense_size(source, *features.shape)
    return features.toarray(), np.array(labels)


def _check_dense_size(source: str, samples: int, features: int) -> None:
    size = 8 * samples * features
    if size > DENSE_LIMIT:
        raise InvalidInput(
            f"{source}: {samples} samples x {features} features (the largest index) take "
            f"{size / 2**30:.1f} GiB as a dense array, above the limit of {DENSE_LIMIT / 2**30:g} GiB"
        )


def _diagnosis(text: bytes, source: str, num_features: int | None) -> InvalidInput:
    """The error that names the first bad line; slow, and so called only where the fast parser failed."""
    largest_index = num_features or DENSE_LIMIT // 8
    for number, line in enumerate(text.split(b"\n"), start=1):
        try:
            _check_line(line, largest_index)
        except ValueError as error:
            return InvalidInput(f"{source}:{number}: {error}; the line starts {_quoted(line[:40])}")
    return InvalidInput(f"{source}: the file holds no features")


def _check_line(line: bytes, largest_index: int) -> None:
    """Raise ValueError unless the line is blank, a comment, or a label and ascending `index:value` pairs."""
    label, *pairs = line.split(b"#")[0].split() or [b"0"]
    _check_finite("label", label)
    has_query_id = bool(pairs) and pairs[0].startswith(b"qid:")  # of ranking data; scikit-learn skips it
    previous = 0
    for pair in pairs[has_query_id:]:
        previous = _checked_index(pair, previous, largest_index)


def _checked_index(pair: bytes, previous: int, largest: int) -> int:
    index, colon, value = pair.partition(b":")
    if not (colon and index.isdigit()):
        raise ValueError(f"{_quoted(pair)} is not index:value")
    if int(index) <= previous:
        raise ValueError(f"index {int(index)} is not above {previous}: indices start at 1 and ascend")
    if int(index) > largest:
        raise ValueError(f"index {int(index)} is above the limit of {largest} features")
    _check_finite(f"value of index {int(index)}", value)
    return int(index)


def _check_finite(what: str, number: bytes) -> None:
    try:
        finite = np.isfinite(float(number))
    except ValueError:
        finite = False
    if not finite:
        raise ValueError(f"the {what} is {_quoted(number)}, not a finite number")


def _quoted(text: bytes) -> str:
    return repr(text.decode(errors="replace"))
