"""SHA-256 of parts against the digest of their bytes."""

import hashlib

import ml_dtypes
import numpy as np
from codax.storage.digests import file_sha256, sha256


def test_parts_are_hashed_one_after_the_other():
    expected = hashlib.sha256(b"abc" + "é".encode() + np.arange(6, dtype="<i4").tobytes()).hexdigest()
    assert sha256("a", b"bc", "é", np.arange(6, dtype="<i4").reshape(2, 3)).hexdigest() == expected
    assert sha256().hexdigest() == hashlib.sha256().hexdigest()


def test_arrays_in_c_order_and_without_a_buffer_of_their_own():
    turned = np.arange(6, dtype="<i4").reshape(2, 3).T
    assert sha256(turned).digest() == hashlib.sha256(turned.tobytes()).digest()
    half = np.arange(4).astype(ml_dtypes.bfloat16)
    assert sha256(half).digest() == hashlib.sha256(half.tobytes()).digest()
    assert sha256(np.float32(1)).digest() == hashlib.sha256(np.float32(1).tobytes()).digest()


def test_names_that_are_no_unicode(tmp_path):
    assert sha256("\udcff").digest() == hashlib.sha256(b"\xff").digest()


def test_files(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"abc" * 100_000)
    assert file_sha256(path) == hashlib.sha256(b"abc" * 100_000).hexdigest()
