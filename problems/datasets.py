"""Real data: sets bundled with scikit-learn, LIBSVM text from a file, and named sets of the LIBSVM site.

A named set is read from the folder in the environment variable EFSIM_DATA, else from the user's cache, else
downloaded into that cache. Each time, its uncompressed text is checked against the sha256 in the table below.

A download goes over https alone, redirects included, and ends at MOST_DOWNLOAD bytes, announced or received. It is
unpacked and checked in a folder of its own and then moved into the cache, which so holds the whole text or none.
"""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, NamedTuple, get_args

import numpy as np

from problems.errors import InvalidInput, unknown_name
from problems.libsvm import DECOMPRESS, parse, read_text

__all__ = [
    "Dataset",
    "DatasetInfo",
    "Found",
    "Labels",
    "absolute",
    "data_checksum",
    "dataset_infos",
    "dataset_names",
    "declared_features",
    "load_dataset",
]

Labels = Literal["binary", "any"]
Found = Literal["bundled", "EFSIM_DATA", "cache", "download", "only through EFSIM_DATA"]


class Dataset(NamedTuple):
    """Samples in rows, with their labels.

    name: the name or path it was loaded by
    features: [N, d] float64
    labels: [N] float64, -1 and +1 where there are exactly two distinct values
    """

    name: str
    features: np.ndarray
    labels: np.ndarray


class DatasetInfo(NamedTuple):
    """A line of the catalogue: what the set is and where `load_dataset` would take it from."""

    name: str
    samples: int
    features: int
    found: Found


class _Known(NamedTuple):
    samples: int
    features: int
    address: str | None  # below _SITE; None where the site does not hold this very text
    sha256: str  # of the uncompressed text with LF line endings and a final newline


MOST_DOWNLOAD = 64 * 2**20  # bytes; the largest set of the table has 4 million
_PATIENCE = 30  # seconds without an answer or a byte of it
_SCHEME = "https://"
_SITE = "https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/binary/"
# Name, samples, features, how the site holds it ("none": a derived set, whose text it does not hold), sha256.
_TABLE = """
a1a                   1605 123 plain eb54c45f1bdb51286f803dd092eb8202b44637a858fc6c4e533a2d64a0d94b4e
a2a                   2265 123 plain 535782f1be62e60938d8accb1573043542b3ac11265522927574dcbb28360a2f
a3a                   3185 123 plain 2d513572f103d25e84bebe4b9f2f52ee9445764b5a393caff7db9c482cfc1ee4
a4a                   4781 123 plain 694d5abff492bdb8ce9749ddf3bf5af1c6f1f0ad6e3a0ae7818000d4d4c4847b
a5a                   6414 123 plain 5cb3a6603de0a0eb43afcdd45b1820c71ee7f20da1c09f054696bb71cbc45ad8
a7a                  16100 123 plain d383cf150d4d9f9097b91cc88022cd0ac473c3a72da3f33b4c17801a4bfccdc6
a8a                  22696 123 plain d08a37b3fadd4bd3c8b3fc30bdc93b54d7c0f371265c90cbfb931a7efe97cd28
a9a                  32561 123 plain f5d5ffd8d865ff41328e7ee043e4b020816914ff6843ff15b98905ddbedce906
australian             690  14 plain e11b85d6265a6cc8d07e3200fc04557009e6e2407331ea8d7910eddf199c2d1a
australian_scale       690  14 plain 86799bcc4dbcd41929a514fa181d1c1a40e01f009dee139d4141a194d7ecd9e3
breast-cancer          683  10 plain 445505b580a88e9e19b533b4f126d3dda1883bc7551e46907041ca263aa3c5d9
breast-cancer_scale    683  10 plain 3c90cd8f884810a0ff2eaf2cc7aabf09073f33c2dfcf113d826a13ca60b257ad
diabetes               768   8 plain 419ba20be4862fc53a6fe92e55a84a53ae0075df06632c07592a17d619b5cb23
diabetes_scale         768   8 none  b1e97d6357ebdbf86826ff357093148a59f0237d57c127885a7c43868896c9c1
german.numer          1000  24 plain 49cd2d01c2b2908a84db1f1c94e3ec04f772db3a91560af1225edf739f003194
german.numer_scale    1000  24 plain 97637cc6b994bd3fa78999c771bc044bea7a0cdf91d43b6ecfd10f7e7c4ebc82
heart                  270  13 plain a29dc2c92ec163987895c167cf9b078d77055af5bc91eccfdda44668a22f4cd3
heart_scale            270  13 plain 5defa0a4c4c5bdaf3f55ae3828310252e8565c13ee37ce279e0b86d82e7f4ce9
ijcnn1               49990  22 bz2   7fe291672c3fefe6a7e3c51529becd23f0e985ba05ffb8d53c9c648c1e91cc19
ionosphere             351  34 none  cd32abc6d53bd7ac1ef5c143dafdf6b4fe27cf26f7fe7ce5e2b32872b99d8470
ionosphere_scale       351  34 none  e70ce2ee58a3c59979cd77b34ca2d157489b1cd096afc0968c661b32aac95da7
mushrooms             8124 112 plain f39a4eb628dc61a7d43760815b061c9e497aa728ce1ad8bde57a09ef6043b538
phishing             11055  68 plain 0cf66ef36604c393da9359b2e5d894a2df8aee31fd184633cefa138add2ef08a
splice                1000  60 plain eee33566cfe8988ec26122460cc712d66c5c5b79b966b259408e803addaa584d
w1a                   2477 300 plain 0ae2b1c40f6a99061d1c6f4a1f3b50eea58a2f3b8bf851a337c25c2a65a49d32
w7a                  24692 300 plain bd02f445a1a2f4aaefd27d7dcc31f1f6a8521f904157f2ee7c96d1294cd26e36
w8a                  49749 300 plain 6a9fa8fd5f524303240a5db07d4b3d4a51e8b7b4b20a914105d8e3e8c81640f2
"""


def _known(name: str, samples: str, features: str, held: str, sha256: str) -> tuple[str, _Known]:
    address = {"plain": name, "bz2": f"{name}.bz2", "none": None}[held]
    return name, _Known(int(samples), int(features), address, sha256)


_KNOWN = dict(_known(*line.split()) for line in _TABLE.strip().splitlines())


def load_dataset(name_or_path: str | Path, labels: Labels = "binary") -> Dataset:
    """Load a set by its name (see `dataset_names`) or LIBSVM text by its path (plain, .gz, .bz2 or .xz).

    A name wins over a file of the same name in the current folder; `./a9a` or a `Path` means the file. A
    named set has the number of features that is known for it (a1a has 123, its largest index is 119), a file
    as many as its largest index. The bundled `digits` is the task odd (+1) against even (-1).

    Two distinct label values (0/1, 1/2, 2/4, ...) become -1 and +1, the smaller -1. With any other number of
    values, `labels="binary"` is an error and `labels="any"` keeps them as real numbers.

    Raises:
        InvalidInput: an unknown name, a file that cannot be read, malformed or empty text, NaN or infinity,
            an index above the number of features, a dense array above 4 GiB, a wrong checksum, a failed
            download, or labels that are not binary. The message names the file and, where known, the line.
    """
    if labels not in get_args(Labels):
        raise unknown_name("kind of labels", labels, get_args(Labels))
    dataset = _load(name_or_path)
    return dataset._replace(labels=_signs(dataset, labels))


def absolute(name_or_path: str) -> str:
    """The path of a file such that it is found from any folder; names as they are."""
    named = name_or_path in dataset_names() or not _is_path(name_or_path)
    return name_or_path if named else os.path.abspath(name_or_path)


def data_checksum(name_or_path: str | Path) -> str:
    """sha256 of what `load_dataset` would read, as hexadecimal digits.

    Of a named set it is that of the table, because a set with another one is refused; of a file that of its
    uncompressed text, so that it does not depend on where the file is or how it is packed.

    Raises:
        InvalidInput: an unknown name, or a file that cannot be read.
    """
    name = str(name_or_path)
    if name_or_path in _KNOWN:
        return _KNOWN[name].sha256
    if name_or_path in _BUNDLED:
        return hashlib.sha256(b"".join(array.tobytes() for array in _BUNDLED[name].load())).hexdigest()
    return hashlib.sha256(_text(name_or_path)).hexdigest()


def declared_features(name_or_path: str | Path) -> int | None:
    """How many features a named set has; None for a file, whose text says so."""
    return _KNOWN[str(name_or_path)].features if name_or_path in _KNOWN else None


def dataset_names() -> tuple[str, ...]:
    """The names that `load_dataset` knows, bundled ones first."""
    return (*_BUNDLED, *_KNOWN)


def dataset_infos() -> tuple[DatasetInfo, ...]:
    """The catalogue, in the order of `dataset_names`, without loading anything.

    Raises:
        InvalidInput: EFSIM_DATA names something that is not a folder.
    """
    bundled = [DatasetInfo(name, *entry.shape, "bundled") for name, entry in _BUNDLED.items()]
    return (*bundled, *(DatasetInfo(name, *_KNOWN[name][:2], _found(name)) for name in _KNOWN))


def _load(name_or_path: str | Path) -> Dataset:
    name = str(name_or_path)
    if name_or_path in _BUNDLED:
        return Dataset(name, *_BUNDLED[name].load())
    if name_or_path in _KNOWN:
        return _load_known(name)
    return Dataset(name, *parse(_text(name_or_path), name))


def _text(name_or_path: str | Path) -> bytes:
    """The text of a file."""
    name = str(name_or_path)
    if isinstance(name_or_path, Path) or _is_path(name):
        return read_text(Path(name))
    hint = "a path to LIBSVM text works too; named sets are looked for in the folder EFSIM_DATA first"
    raise InvalidInput(f"{unknown_name('dataset', name, dataset_names())} ({hint})")


def _is_path(name: str) -> bool:
    looks_like_file = name.endswith((*DECOMPRESS, ".txt", ".svm", ".libsvm"))
    return looks_like_file or "/" in name or os.sep in name or os.path.exists(name)


def _signs(dataset: Dataset, labels: Labels) -> np.ndarray:
    values = np.unique(dataset.labels)
    if len(values) == 2:
        return np.where(dataset.labels == values[0], -1.0, 1.0)
    if labels == "any":
        return dataset.labels
    shown = ", ".join(f"{value:g}" for value in values[:5]) + (", ..." if len(values) > 5 else "")
    raise InvalidInput(
        f"{dataset.name}: binary labels need exactly two distinct values, found {len(values)}: {shown}; "
        "labels='any' keeps them as real numbers"
    )


# Bundled sets


class _Bundled(NamedTuple):
    shape: tuple[int, int]
    load: Callable[[], tuple[np.ndarray, np.ndarray]]


def _breast_cancer_wisconsin() -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import load_breast_cancer

    features, malignant_or_benign = load_breast_cancer(return_X_y=True)
    return np.ascontiguousarray(features, float), np.asarray(malignant_or_benign, float)


def _digits() -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import load_digits

    features, digits = load_digits(return_X_y=True)
    return np.ascontiguousarray(features, float), np.asarray(digits, float) % 2


_BUNDLED = {
    "breast-cancer-wisconsin": _Bundled((569, 30), _breast_cancer_wisconsin),
    "digits": _Bundled((1797, 64), _digits),
}


# Named sets of the LIBSVM site


def _load_known(name: str) -> Dataset:
    path = _path_in_data_folder(name) or _path_in_cache(name) or _download(name)
    text = _verified(name, read_text(path), str(path))
    return Dataset(name, *parse(text, str(path), _KNOWN[name].features))


def _found(name: str) -> Found:
    if _path_in_data_folder(name):
        return "EFSIM_DATA"
    if _path_in_cache(name):
        return "cache"
    return "download" if _KNOWN[name].address else "only through EFSIM_DATA"


def _path_in_data_folder(name: str) -> Path | None:
    folder = os.environ.get("EFSIM_DATA")
    if not folder:
        return None
    if not os.path.isdir(folder):
        raise InvalidInput(f"the environment variable EFSIM_DATA is {folder!r}, which is not a folder")
    paths = (Path(folder, name + suffix) for suffix in ("", *DECOMPRESS))
    return next((path for path in paths if path.is_file()), None)


def _path_in_cache(name: str) -> Path | None:
    path = _cache_folder() / name
    return path if path.is_file() else None


def _cache_folder() -> Path:
    import pooch

    return Path(pooch.os_cache("efsim"))


def _download(name: str) -> Path:
    """Put the text of a named set into the cache: whole and verified, or not at all."""
    address, target = _KNOWN[name].address, _cache_folder() / name
    if address is None:
        raise InvalidInput(
            f"{name} is a derived set that the LIBSVM site does not hold: it is found only through the "
            f"environment variable EFSIM_DATA, a folder that holds {name}.xz "
            f"(now: {os.environ.get('EFSIM_DATA') or 'not set'})"
        )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _fetch(name, _SITE + address, target)
    except (OSError, ValueError) as error:
        hint = f"try again, or put {address} into a folder and name that folder in EFSIM_DATA"
        raise InvalidInput(f"cannot download {_SITE}{address} to {target}: {error}; {hint}") from error
    return target


def _fetch(name: str, url: str, target: Path) -> None:
    # The temporary folder stands beside the target, so that the last step is a rename, which is atomic.
    with TemporaryDirectory(dir=target.parent) as folder:
        file = Path(folder, Path(url).name)
        _save(url, file)
        file.write_bytes(_verified(name, read_text(file), "the download"))
        file.replace(target)


def _save(url: str, file: Path) -> None:
    """What the address holds, into the file.

    Raises:
        OSError: no connection, no such thing at the address, or the answer breaks off.
        InvalidInput: an address or a redirect that is not https, or more than MOST_DOWNLOAD bytes.
    """
    import requests

    with requests.Session() as session:
        for scheme in {*session.adapters} - {_SCHEME}:
            del session.adapters[scheme]  # so that a redirect cannot use it either
        try:
            with session.get(url, stream=True, timeout=_PATIENCE) as response, file.open("wb") as saved:
                response.raise_for_status()
                _check_download_size(int(response.headers.get("Content-Length", 0)))
                for block in response.iter_content(2**16):
                    _check_download_size(saved.tell() + len(block))
                    saved.write(block)
        except requests.exceptions.InvalidSchema as error:
            raise InvalidInput(f"{error}; accepted is {_SCHEME} alone") from error


def _check_download_size(size: int) -> None:
    if size > MOST_DOWNLOAD:
        raise InvalidInput(f"the download is larger than {MOST_DOWNLOAD / 2**20:g} MiB, which is the limit")


def _verified(name: str, text: bytes, source: str) -> bytes:
    expected, found = _KNOWN[name].sha256, hashlib.sha256(text).hexdigest()
    if found != expected:
        raise InvalidInput(
            f"{source} is not the text of {name}: its sha256 (uncompressed) is {found}, expected {expected}"
        )
    return text
