"""Data by name, by path and by download (from a server on this machine), scalings, and every bad input."""

import bz2
import gzip
import hashlib
import lzma
import os
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from problems import datasets
from problems.datasets import (
    dataset_infos,
    dataset_names,
    load_dataset,
)
from problems.errors import InvalidInput

COMPRESS = {"": bytes, ".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}
TEXT = b"1 1:0.5 3:2\n2 2:-1\n1 1:1 # a comment\n"
FEATURES = np.array([[0.5, 0, 2], [0, -1, 0], [1, 0, 0]])
LABELS = np.array([-1.0, 1.0, -1.0])
SITE, SCHEME = datasets._SITE, datasets._SCHEME  # as users have them


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, no EFSIM_DATA, and a site that refuses connections, over http as the server below speaks it."""
    monkeypatch.delenv("EFSIM_DATA", raising=False)
    monkeypatch.setattr(datasets, "_cache_folder", lambda: tmp_path / "cache")
    monkeypatch.setattr(datasets, "_SITE", "http://127.0.0.1:1/")
    monkeypatch.setattr(datasets, "_SCHEME", "http://")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return tmp_path / "cache"


@pytest.fixture
def data_folder(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that EFSIM_DATA names."""
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("EFSIM_DATA", str(folder))
    return folder


@pytest.fixture
def a1a(monkeypatch: pytest.MonkeyPatch) -> None:
    """The name a1a stands for TEXT with 4 features."""
    small = datasets._Known(3, 4, "a1a", hashlib.sha256(TEXT).hexdigest())
    monkeypatch.setitem(datasets._KNOWN, "a1a", small)


class Site(SimpleHTTPRequestHandler):
    requested: list[str] = []  # noqa: RUF012
    redirects: dict[str, str] = {}  # noqa: RUF012  # from a path to an address
    announced: str | None = None  # the size, if another than the file's; none at all where it is empty

    def do_GET(self) -> None:
        if self.path not in self.redirects:
            return super().do_GET()
        self.send_response(302)
        self.send_header("Location", self.redirects[self.path])
        self.end_headers()

    def send_header(self, keyword: str, value: str) -> None:
        if keyword == "Content-Length" and self.announced is not None:
            value = self.announced
        if value:
            super().send_header(keyword, value)

    def log_request(self, code: object = "-", size: object = "-") -> None:
        self.requested.append(self.path)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def site(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder that a server on this machine offers in place of the LIBSVM site."""
    folder = tmp_path / "site"
    folder.mkdir()
    Site.requested.clear()
    Site.redirects.clear()
    monkeypatch.setattr(Site, "announced", None)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Site, directory=folder)) as server:
        monkeypatch.setattr(datasets, "_SITE", f"http://127.0.0.1:{server.server_port}/")
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield folder
        server.shutdown()
        thread.join()


def error_of(name_or_path: str | Path, labels: str = "any") -> str:
    with pytest.raises(InvalidInput) as caught:
        load_dataset(name_or_path, labels)  # pyright: ignore[reportArgumentType]
    return str(caught.value)


# Named sets


@pytest.mark.parametrize("name", dataset_names())
def test_every_set_has_the_size_of_the_table_and_labels_of_both_signs(name, monkeypatch):
    if not os.path.isdir(os.environ.get("EFSIM_DATA", "")):
        monkeypatch.delenv("EFSIM_DATA", raising=False)
    info = next(info for info in dataset_infos() if info.name == name)
    if info.found not in ("bundled", "EFSIM_DATA"):
        pytest.skip(f"EFSIM_DATA is no folder that holds {name}")
    data = load_dataset(name)
    assert data.name == name
    assert data.features.shape == (info.samples, info.features)
    assert data.labels.shape == (info.samples,)
    assert data.features.dtype == data.labels.dtype == np.float64
    assert data.features.flags.c_contiguous
    assert set(data.labels) == {-1.0, 1.0}


@pytest.mark.parametrize(("name", "negative"), [("breast-cancer-wisconsin", 212), ("digits", 891)])
def test_bundled_sets_need_nothing_and_are_binary_for_any_labels_too(cache, name, negative):
    for labels in ("binary", "any"):
        assert np.sum(load_dataset(name, labels).labels == -1) == negative


def test_a_name_is_found_where_the_catalogue_says(data_folder, cache, a1a):
    def found(name: str) -> str:
        return next(info.found for info in dataset_infos() if info.name == name)

    assert found("digits") == "bundled"
    assert found("ionosphere") == "only through EFSIM_DATA"
    assert found("a1a") == "download"
    cache.mkdir()
    (cache / "a1a").write_bytes(TEXT)
    assert found("a1a") == "cache" and load_dataset("a1a").features.shape == (3, 4)
    (data_folder / "a1a.xz").write_bytes(lzma.compress(TEXT))
    assert found("a1a") == "EFSIM_DATA"


def test_the_catalogue_lists_every_name_once(cache):
    assert tuple(info.name for info in dataset_infos()) == dataset_names()
    assert len(set(dataset_names())) == len(dataset_names()) == 29


@pytest.mark.parametrize("text", [TEXT, TEXT.replace(b"\n", b"\r\n"), TEXT.rstrip(b"\n")])
@pytest.mark.parametrize("suffix", COMPRESS)
def test_the_data_folder_holds_a_set_however_packed(data_folder, a1a, suffix, text):
    (data_folder / f"a1a{suffix}").write_bytes(COMPRESS[suffix](text))
    data = load_dataset("a1a")
    assert np.array_equal(data.features[:, :3], FEATURES) and not data.features[:, 3].any()
    assert np.array_equal(data.labels, LABELS)


def test_other_text_under_a_known_name_is_refused(data_folder, a1a):
    (data_folder / "a1a").write_bytes(b"1 1:1\n")
    message = error_of("a1a")
    assert message.startswith(f"{data_folder / 'a1a'} is not the text of a1a")
    assert hashlib.sha256(TEXT).hexdigest() in message
    assert hashlib.sha256(b"1 1:1\n").hexdigest() in message


def test_an_index_above_the_known_number_of_features_is_refused(data_folder, monkeypatch):
    monkeypatch.setitem(datasets._KNOWN, "a1a", datasets._Known(3, 2, "a1a", hashlib.sha256(TEXT).hexdigest()))
    (data_folder / "a1a").write_bytes(TEXT)
    assert f"{data_folder / 'a1a'}:1: index 3 is above the limit of 2 features" in error_of("a1a")


def test_a_data_folder_that_is_missing_is_named(cache, monkeypatch):
    monkeypatch.setenv("EFSIM_DATA", "/no/such/folder")
    assert "EFSIM_DATA is '/no/such/folder', which is not a folder" in error_of("a1a")


def test_a_derived_set_is_found_only_in_the_data_folder(cache):
    message = error_of("diabetes_scale")
    assert "found only through the environment variable EFSIM_DATA" in message and "not set" in message


def test_an_unknown_name_is_answered_with_a_near_one_and_a_hint(cache):
    message = error_of("mushroms")
    assert "did you mean 'mushrooms'?" in message
    assert "path to LIBSVM text" in message and "EFSIM_DATA" in message


def test_an_unknown_kind_of_labels_is_refused():
    assert "unknown kind of labels 'ternary'; known: any, binary" in error_of("digits", "ternary")


# Downloads


@pytest.mark.parametrize("address", ["a1a", "a1a.bz2"])
def test_a_download_lands_in_the_cache_and_is_fetched_once(site, cache, monkeypatch, address):
    known = datasets._Known(3, 4, address, hashlib.sha256(TEXT).hexdigest())
    monkeypatch.setitem(datasets._KNOWN, "a1a", known)
    (site / address).write_bytes(COMPRESS[Path(address).suffix](TEXT.replace(b"\n", b"\r\n")))
    first, again = load_dataset("a1a"), load_dataset("a1a")
    assert Site.requested == [f"/{address}"]
    assert [path.name for path in cache.iterdir()] == ["a1a"] and (cache / "a1a").read_bytes() == TEXT
    assert np.array_equal(first.features, again.features)


def test_a_download_with_a_wrong_checksum_leaves_nothing_behind(site, cache, a1a):
    (site / "a1a").write_bytes(b"1 1:1\n")
    message = error_of("a1a")
    assert hashlib.sha256(TEXT).hexdigest() in message
    assert hashlib.sha256(b"1 1:1\n").hexdigest() in message
    assert list(cache.iterdir()) == []


def test_a_set_that_the_site_lacks_leaves_nothing_behind(site, cache, a1a):
    message = error_of("a1a")
    assert "404" in message and f"cannot download {datasets._SITE}a1a" in message and "EFSIM_DATA" in message
    assert list(cache.iterdir()) == []


def test_no_connection_is_said_so(cache):
    assert "cannot download http://127.0.0.1:1/ijcnn1.bz2" in error_of("ijcnn1")


def test_an_address_that_is_not_https_is_not_even_asked(site, cache, a1a, monkeypatch):
    assert SITE.startswith("https://") and SCHEME == "https://"
    monkeypatch.setattr(datasets, "_SCHEME", SCHEME)
    (site / "a1a").write_bytes(TEXT)
    assert "accepted is https:// alone" in error_of("a1a")
    assert Site.requested == [] and list(cache.iterdir()) == []


def test_a_redirect_may_not_change_the_scheme(site, cache, a1a):
    (site / "moved").write_bytes(TEXT)
    Site.redirects["/a1a"] = "/moved"
    assert load_dataset("a1a").features.shape == (3, 4)
    (cache / "a1a").unlink()
    Site.redirects["/a1a"] = f"{datasets._SITE.replace('http:', 'https:')}moved"
    message = error_of("a1a")
    assert f"{Site.redirects['/a1a']!r}; accepted is http:// alone" in message
    assert Site.requested == ["/a1a", "/moved", "/a1a"] and list(cache.iterdir()) == []


@pytest.mark.parametrize(("announced", "limit"), [("1000000000000", len(TEXT)), ("", len(TEXT) - 1)])
def test_a_download_is_refused_at_the_limit_when_announced_and_when_it_arrives(
    site, cache, a1a, monkeypatch, announced, limit
):
    (site / "a1a").write_bytes(TEXT)
    monkeypatch.setattr(datasets, "MOST_DOWNLOAD", limit)
    monkeypatch.setattr(Site, "announced", announced)
    assert "MiB, which is the limit" in error_of("a1a")
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize("announced", ["many", "9" * 5000, "-1"])
def test_an_answer_that_is_no_http_is_no_crash(site, cache, a1a, monkeypatch, announced):
    (site / "a1a").write_bytes(b"1 1:1\n")
    monkeypatch.setattr(Site, "announced", announced)
    assert f"cannot download {datasets._SITE}a1a" in error_of("a1a")
    assert list(cache.iterdir()) == []


# Files


@pytest.mark.parametrize("as_path", [str, Path])
@pytest.mark.parametrize("suffix", COMPRESS)
def test_a_file_however_packed(tmp_path, suffix, as_path):
    file = tmp_path / f"small.txt{suffix}"
    file.write_bytes(COMPRESS[suffix](TEXT))
    data = load_dataset(as_path(file))
    assert data.name == str(file)
    assert np.array_equal(data.features, FEATURES) and np.array_equal(data.labels, LABELS)


def test_a_file_in_the_current_folder_needs_no_folder_or_suffix(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mine").write_bytes(TEXT)
    assert np.array_equal(load_dataset("mine").features, FEATURES)


def test_a_path_means_the_file_and_a_name_the_set(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("digits").write_bytes(TEXT)
    assert load_dataset("digits").features.shape == (1797, 64)
    assert load_dataset("./digits").features.shape == load_dataset(Path("digits")).features.shape == (3, 3)


@pytest.mark.parametrize(
    ("text", "where"),
    [
        (b"1 1:1\n2 1:1 oops\n", "2: 'oops' is not index:value; the line starts '2 1:1 oops'"),
        (b"# note\n\nyes 1:1\n", "3: the label is 'yes', not a finite number; the line starts 'yes 1:1'"),
        (b"1:1 2:1\n", "1: the label is '1:1', not a finite number"),
        (b"nan 1:1\n", "1: the label is 'nan', not a finite number"),
        (b"1 1:1\r\n2 7:nan\r\n", "2: the value of index 7 is 'nan', not a finite number"),
        (b"1 1:1\n2 1:2\n2 1:inf", "3: the value of index 1 is 'inf', not a finite number"),
        (b"1 1:1e999\n", "1: the value of index 1 is '1e999', not a finite number"),
        (b"1 1:1\n2 0:1\n", "2: index 0 is not above 0: indices start at 1 and ascend"),
        (b"1 2:1 1:1\n", "1: index 1 is not above 2: indices start at 1 and ascend"),
        (b"1 2:1 2:1\n", "1: index 2 is not above 2: indices start at 1 and ascend"),
        (b"1 1:1\n2 -3:1\n", "2: '-3:1' is not index:value"),
        (b"1 qid:1 1:1\n2 qid:1 1:x\n", "2: the value of index 1 is 'x'"),
        (b"1 1:1\n1 1000000000000:1\n", "2: index 1000000000000 is above the limit of 536870912 features"),
        (b"1 1:1\n1 1000000000:1\n", " 2 samples x 1000000000 features (the largest index) take 14.9 GiB"),
        (b"\x1f\x8b\x08\x00", "1: the label is "),
        (b"", " the file holds no features"),
        (b"# nothing\n\n", " the file holds no features"),
        (b"1\n2\n", " the file holds no features"),
    ],
)
def test_bad_text_is_named_by_file_and_line(tmp_path, text, where):
    file = tmp_path / "bad.txt"
    file.write_bytes(text)
    assert error_of(file).startswith(f"{file}:{where}")


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".xz"])
@pytest.mark.parametrize("damage", [lambda packed: packed[:-5], lambda packed: TEXT])
def test_a_damaged_archive_is_named(tmp_path, suffix, damage):
    file = tmp_path / f"bad{suffix}"
    file.write_bytes(damage(COMPRESS[suffix](TEXT)))
    assert error_of(file).startswith(f"cannot read {file}: ")


@pytest.mark.parametrize("path", ["missing.txt", "no/such/file", "."])
def test_what_is_no_file_is_named(path):
    assert error_of(path).startswith(f"cannot read {path}: ")


# Labels


@pytest.mark.parametrize("pair", [(0, 1), (1, 2), (2, 4), (-1, 1), (-0.5, 7.25)])
@pytest.mark.parametrize("labels", ["binary", "any"])
def test_two_values_become_signs(tmp_path, pair, labels):
    file = tmp_path / "two.txt"
    file.write_text("".join(f"{pair[high]} 1:1\n" for high in (0, 1, 1, 0)))
    assert load_dataset(file, labels).labels.tolist() == [-1, 1, 1, -1]


@pytest.mark.parametrize(
    ("values", "shown"),
    [([3], "found 1: 3;"), ([1, 2.5, 3], "found 3: 1, 2.5, 3;"), (range(9), "found 9: 0, 1, 2, 3, 4, ...;")],
)
def test_other_labels_are_kept_only_where_asked(tmp_path, values, shown):
    file = tmp_path / "some.txt"
    file.write_text("".join(f"{value} 1:1\n" for value in values))
    assert load_dataset(file, "any").labels.tolist() == list(values)
    assert f"{file}: binary labels need exactly two distinct values, {shown}" in error_of(file, "binary")
