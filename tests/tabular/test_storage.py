"""Files of regressors that are of another kind, damaged or of another version: one error, with path and remedy."""

import io
import json
import os
import re
import shutil
import zipfile

import h5py
import keras
import numpy as np
import pytest

import tfmdn
from tfmdn import archives, versions

pytestmark = pytest.mark.usefixtures("quick_graphs")
X, Y = tfmdn.datasets.inverse_sinusoid().sample(60, seed=0)
LEFT_OUT = "left out"


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A regressor, and the parts of its file by name."""
    path = tmp_path_factory.mktemp("saved") / "regressor.keras"
    regressor = tfmdn.MDNRegressor(n_estimators=2, hidden_units=(8,), max_steps=2, random_state=0).fit(X, Y)
    regressor.save(path)
    with zipfile.ZipFile(path) as archive:
        return regressor, {name: archive.read(name) for name in archive.namelist()}


def write(path, parts, **options):
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return path


def changed(parts, **metadata):
    """The parts with other metadata; `LEFT_OUT` leaves something out."""
    known = json.loads(parts["regressor.json"]) | metadata
    known = {name: value for name, value in known.items() if value != LEFT_OUT}
    return {**parts, "regressor.json": json.dumps(known)}


def refused(path, message):
    with pytest.raises(ValueError, match=message) as caught:
        tfmdn.MDNRegressor.load(path)
    assert f"Received: path={os.fspath(path)!r}" in str(caught.value)
    return str(caught.value)


def test_files_say_who_wrote_them(saved):
    _, parts = saved
    assert json.loads(parts["regressor.json"])["written_by"] == {
        "tfmdn": tfmdn.__version__,
        "format": versions.FORMAT,
        "keras": keras.__version__,
    }
    assert f'"tfmdn": "{tfmdn.__version__}"' in parts["config.json"].decode()  # what each layer was built by


def test_files_of_earlier_and_later_versions_of_the_same_format_are_read(saved, tmp_path):
    regressor, parts = saved
    expected = regressor.predict(X)
    later = {"tfmdn": "99.1.0", "format": versions.FORMAT, "keras": "99.0"}
    for writer in (LEFT_OUT, later):  # there was none at first
        path = write(tmp_path / "regressor", changed(parts, written_by=writer))
        np.testing.assert_array_equal(tfmdn.MDNRegressor.load(path).predict(X), expected)
    packed = write(tmp_path / "packed", parts, compression=zipfile.ZIP_DEFLATED)
    np.testing.assert_array_equal(tfmdn.MDNRegressor.load(packed).predict(X), expected)


def parameters(parts, **more):
    return json.loads(parts["regressor.json"])["parameters"] | more


def weights_of_none():
    content = io.BytesIO()
    h5py.File(content, "w").close()
    return content.getvalue()


NEWER = {"tfmdn": "99.1.0", "format": 1, "keras": "99.0"}
OTHER_VERSIONS = {
    "a newer format": (
        lambda parts: changed(parts, written_by={**NEWER, "format": 2}),
        r"is of format 2, which this version cannot read. It was written by tfmdn 99.1.0 with Keras 99.0.*"
        r"update tfmdn, as by pip install 'tfmdn>=99.1.0'",
    ),
    "an unknown part": (
        lambda parts: changed(parts, written_by=NEWER, moon="full"),
        r"among its parts it has 'moon'.*pip install 'tfmdn>=99.1.0'",
    ),
    "a part less": (
        lambda parts: changed(parts, conformal=LEFT_OUT, n_steps_=LEFT_OUT, written_by=LEFT_OUT),
        r"lacks 'n_steps_', 'conformal'.*does not say which tfmdn wrote it.*read it with the version that wrote it",
    ),
    "an unknown parameter": (
        lambda parts: changed(parts, written_by=NEWER, parameters=parameters(parts, moon="full")),
        r"among its parameters it has 'moon'.*tfmdn>=99.1.0",
    ),
    "an older version": (
        lambda parts: changed(parts, written_by={"tfmdn": "0.0.1"}, columns={"moon": "full"}),
        r"written by tfmdn 0.0.1, .*read it with the version that wrote it, or fit and save the model anew",
    ),
    "an unknown argument of a layer": (
        lambda parts: {**parts, "config.json": parts["config.json"].replace(b'"min_scale"', b'"moon": 1, "min_scale"')},
        r"config of this MDNLayer has 'moon', unlike those of tfmdn .*else it has been changed, so write it anew",
    ),
    "an unknown layer": (
        lambda parts: {**parts, "config.json": parts["config.json"].replace(b"MDNLayer", b"MoonLayer")},
        r"Could not locate class 'MoonLayer'",
    ),
    "a stamp of another kind": (lambda parts: changed(parts, written_by="me"), "does not say which version"),
    "metadata of another kind": (lambda parts: {**parts, "regressor.json": "[1]"}, "is of another kind"),
    "parameters of another kind": (lambda parts: changed(parts, parameters=[]), "cannot be made again"),
    "no metadata": (lambda parts: {"config.json": parts["config.json"]}, r"Expected a file that MDNRegressor.save"),
    "no config": (
        lambda parts: {name: part for name, part in parts.items() if name != "config.json"},
        r"cannot be made again.*config.json",
    ),
    "no weights": (
        lambda parts: {name: part for name, part in parts.items() if "weights" not in name},
        r"cannot be made again.*weights",
    ),
    "other weights": (
        lambda parts: {name: weights_of_none() if "weights" in name else part for name, part in parts.items()},
        r"cannot be made again",
    ),
}


@pytest.mark.parametrize("name", OTHER_VERSIONS)
def test_other_versions_and_parts(saved, tmp_path, name):
    change, message = OTHER_VERSIONS[name]
    refused(write(tmp_path / "regressor.keras", change(saved[1])), message)


def damaged(content, start, length=50):
    return content[:start] + bytes(255 - byte for byte in content[start : start + length]) + content[start + length :]


def test_damaged_files(saved, tmp_path):
    whole = write(tmp_path / "whole", saved[1]).read_bytes()
    size = len(whole)
    cases = {
        "empty": (b"", "The file is empty"),
        "text": (b"hello", "of another kind"),
        "one byte": (b"P", "of another kind"),
        "cut off": (whole[: size // 2], "damaged: it is cut off"),
        "end cut off": (whole[:-3], "damaged: it is cut off"),
        "first header": (damaged(whole, 4), "damaged: .* is not as it was written"),
        "kind": (damaged(whole, 0), "of another kind"),
        "list of contents": (damaged(whole, whole.index(b"PK\x01\x02") + 8), "damaged"),
        "end": (damaged(whole, size - 10, 8), "damaged"),
        **{f"at {part}": (damaged(whole, size * part // 10), "damaged|another kind") for part in range(1, 9)},
    }
    for name, (content, message) in cases.items():
        (tmp_path / name).write_bytes(content)
        refused(tmp_path / name, message)
    encrypted = bytearray(whole)
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        encrypted[encrypted.index(mark) + place] |= 1
    (tmp_path / "encrypted").write_bytes(encrypted)
    refused(tmp_path / "encrypted", "damaged")


def test_json_that_is_none_or_fills_the_memory(saved, tmp_path):
    _, parts = saved
    for content in (b"", b"{", b'{"a": NaN', b"\xff\xfe\xfd", b"[" * 200_000):
        refused(write(tmp_path / "regressor", {**parts, "regressor.json": content}), "regressor.json in it is not JSON")
    many = b"[" + b"[]," * 20_000_000 + b"[]]"  # gigabytes, once Python has read it
    for name in ("regressor.json", "config.json"):
        path = write(tmp_path / "packed", {**parts, name: many}, compression=zipfile.ZIP_DEFLATED)
        assert path.stat().st_size < 200_000
        refused(path, rf"is refused: {name} in it has [\d,]+ bytes and would unpack to 60,000,004")


def test_what_is_no_file(saved, tmp_path):
    shutil.copytree(os.path.dirname(__file__), tmp_path / "folder", ignore=shutil.ignore_patterns("*"))
    refused(tmp_path / "folder", "and it is a folder")
    (tmp_path / "folder" / "saved_model.pb").write_bytes(b"")
    refused(str(tmp_path / "folder"), r"it is a folder. A SavedModel is read by tf.saved_model.load")
    os.mkfifo(tmp_path / "pipe")
    refused(tmp_path / "pipe", "a device, a pipe or a socket")
    with pytest.raises(FileNotFoundError, match=rf"no such file. Expected a file that.*{re.escape(str(tmp_path))}"):
        tfmdn.MDNRegressor.load(tmp_path / "missing")
    saved[0].model_.save(tmp_path / "model.keras")
    refused(tmp_path / "model.keras", "no regressor.json in it. keras.models.load_model reads it")


def test_pickles_say_who_wrote_them(saved):
    regressor, _ = saved
    state = regressor.__getstate__()
    assert state["written_by"] == versions.stamp()
    again = object.__new__(tfmdn.MDNRegressor)
    again.__setstate__(
        {name: value for name, value in state.items() if name != "written_by"}
    )  # there was none at first
    np.testing.assert_array_equal(again.predict(X), regressor.predict(X))
    assert "written_by" not in vars(again)
    with pytest.raises(ValueError, match=r"of format 2.*tfmdn 99.1.0"):
        again.__setstate__({**state, "written_by": {**NEWER, "format": 2}})
    state = {name: value for name, value in state.items() if name != "_conformal"}
    with pytest.raises(ValueError, match=r"lacks '_conformal'.*written by tfmdn"):
        again.__setstate__(state)


def test_archives_whose_parts_are_larger_than_they():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a", b"a" * 1000)
        archive.filelist.append(archive.filelist[0])
    with pytest.raises(ValueError, match="its parts are larger than the whole"), archives.archive_in(file, ""):
        pass
