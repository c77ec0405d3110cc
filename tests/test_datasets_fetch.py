"""Fetching, against a real server on this machine: what comes whole, torn, slowly, wrongly or not at all."""

import hashlib
import io
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from longgame.datasets import DATASETS, DataSet, Download
from longgame.datasets.fetch import Fetched, Limits, fetch, get, listing, unzip
from longgame.errors import ConfigError, DataError


def archive(*members: tuple[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        for name, contents in members:
            file.writestr(name, contents)
    return out.getvalue()


GOOD = archive(("set/u.data", b"196\t242\t3\t881250949\n"), ("set/README", b"read me"))
MD5 = hashlib.md5(GOOD, usedforsecurity=False).hexdigest()


class Handler(BaseHTTPRequestHandler):
    released: threading.Event

    def do_GET(self) -> None:
        self.send_response(404 if self.path == "/absent.zip" else 200)
        if self.path != "/stream.bin":
            self.send_header("Content-Length", str(len(GOOD)))
        self.end_headers()
        if self.path == "/good.zip":
            self.wfile.write(GOOD)
        elif self.path == "/good.zip.md5":
            self.wfile.write(f"MD5 (good.zip) = {MD5}\n".encode().ljust(len(GOOD)))
        elif self.path == "/short.zip":
            self.wfile.write(GOOD[:20])
        elif self.path == "/hang.zip":
            self.wfile.write(GOOD[:20])
            self.wfile.flush()
            self.released.wait(20)
        elif self.path == "/stream.bin":
            self.wfile.write(b"x" * 100_000)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    released = threading.Event()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"released": released}))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    released.set()
    server.shutdown()
    thread.join()
    server.server_close()


def data(*downloads: Download) -> DataSet:
    return replace(DATASETS["ml-100k"], downloads=downloads)


def fetched(folder: Path, *downloads: Download, limits: Limits | None = None) -> Fetched:
    return fetch("toy", data(*downloads), folder, progress=lambda file, done, total: None, limits=limits or Limits(5, 5))


def test_a_good_file_is_checked_and_unpacked(server: str, tmp_path: Path) -> None:
    heard: list[tuple[str, int, int | None]] = []
    download = Download(f"{server}/good.zip", checksum=f"md5:{MD5}", unpack="zip")
    found = fetch("toy", data(download), tmp_path, progress=lambda *said: heard.append(said), limits=Limits(5, 5))
    assert found == Fetched(tmp_path / "toy")
    assert (found.folder / "set" / "u.data").read_bytes().startswith(b"196")
    assert heard[-1] == ("good.zip", len(GOOD), len(GOOD))
    assert [path.name for path in tmp_path.iterdir()] == ["toy"]
    assert not fetched(tmp_path, Download("http://127.0.0.1:9/never")).fresh


def test_a_checksum_is_read_from_its_own_address(server: str, tmp_path: Path) -> None:
    download = Download(f"{server}/good.zip", checksum_url=f"{server}/good.zip.md5", unpack="zip")
    assert fetched(tmp_path / "a", download).unchecked == ()
    absent = replace(download, checksum_url=f"{server}/absent.zip")
    assert fetched(tmp_path / "b", absent).unchecked == ("good.zip",)


def test_several_files_keep_their_folders(server: str, tmp_path: Path) -> None:
    found = fetched(tmp_path, Download(f"{server}/good.zip", "a/b/one.zip"), Download(f"{server}/good.zip", "two.zip"))
    assert (found.folder / "a" / "b" / "one.zip").read_bytes() == GOOD
    assert found.unchecked == ("a/b/one.zip", "two.zip")


@pytest.mark.parametrize(
    ("download", "message"),
    [
        (Download("{server}/good.zip", checksum="md5:" + "0" * 32), "md5 checksum must be 0000.*, got " + MD5),
        (Download("{server}/short.zip"), "the connection ended after 20 of"),
        (Download("{server}/absent.zip"), "Not Found.*by hand: fetch .*absent.zip.*longgame data get toy"),
        (Download("{server}/stream.bin", limit=1000), "is larger than the 1,000 bytes"),
        (Download("{server}/hang.zip"), "timed out.*by hand"),
        (Download("http://127.0.0.1:9/good.zip", checksum="md5:abc"), r"cannot be fetched .*\(its checksum must be md5:abc\)"),
        (Download("http://no-such-host.invalid/good.zip"), "cannot be fetched"),
        (Download("file:///etc/hostname"), "only http and https"),
    ],
    ids=["checksum", "short", "absent", "long", "hanging", "refused", "nowhere", "scheme"],  # not the digest: it has the time
)
def test_what_is_not_right_is_an_error_and_leaves_nothing(
    server: str, tmp_path: Path, download: Download, message: str
) -> None:
    here = replace(download, url=download.url.replace("{server}", server))
    with pytest.raises(DataError, match=message):
        fetched(tmp_path, here, limits=Limits(0.3, 5))
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert not (tmp_path / "toy").exists()


def test_the_time_is_bounded(server: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="took longer than 0 seconds"):
        fetched(tmp_path, Download(f"{server}/stream.bin"), limits=Limits(5, 0))


def test_a_file_placed_by_hand_is_checked_and_used(tmp_path: Path) -> None:
    download = Download("http://127.0.0.1:9/good.zip", checksum=f"md5:{MD5}", unpack="zip")
    with pytest.raises(DataError) as caught:
        fetched(tmp_path, download)
    file = tmp_path / "toy.download" / "good.zip"
    assert f"put it at {file}" in str(caught.value)
    file.write_bytes(b"something else")
    with pytest.raises(DataError, match="checksum must be"):
        fetched(tmp_path, download)
    file.write_bytes(GOOD)
    assert (fetched(tmp_path, download).folder / "set" / "README").exists()


@pytest.mark.parametrize("name", ["../out", "/out", "a/../../out", "..\\out", "C:/out"])
def test_a_member_that_leads_outside_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "in").mkdir()
    file = tmp_path / "in" / "bad.zip"
    file.write_bytes(archive((name, b"x")))
    with pytest.raises(DataError, match="leads outside its folder"):
        unzip(file, tmp_path / "in" / "here")
    assert not (tmp_path / "out").exists() and not (tmp_path / "in" / "out").exists()


def test_a_zip_bomb_and_a_torn_archive_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "bomb.zip"
    file.write_bytes(archive(("zeros", bytes(20 << 20))))
    with pytest.raises(DataError, match="unpacks to more than"):
        unzip(file, tmp_path / "here")
    file.write_bytes(GOOD[:-30])
    with pytest.raises(DataError, match="no whole zip archive"):
        unzip(file, tmp_path / "here")
    broken = bytearray(GOOD)
    broken[45] ^= 0xFF
    file.write_bytes(bytes(broken))
    with pytest.raises(DataError, match="no whole zip archive"):
        unzip(file, tmp_path / "here")


def test_only_sets_with_a_download_can_be_got(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"must be one of ml-100k, .*got 'atomic'"):
        get("atomic", tmp_path)


def test_the_listing_says_where_each_set_lies_and_how_it_is_checked() -> None:
    rows = {row["name"]: row for row in listing()}
    assert rows.keys() == DATASETS.keys()
    assert rows["ml-100k"]["checksum"] == "md5:0e33842e24a9c977be4e0107933c0723"
    assert rows["table"]["get"] == "bring your own files"
    for data_set in DATASETS.values():
        assert all(download.url.startswith("https://") for download in data_set.downloads)
        assert data_set.licence
