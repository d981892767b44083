"""Secrets are unreadable in what is written, whatever a program makes of them on the way."""

from __future__ import annotations

import base64
import html
import json
import urllib.parse

from hypothesis import example, given, settings
from hypothesis import strategies as st

from pitboss.core.masking import MaskedStream, Masker, mask_file

SECRET = st.text(
    st.characters(exclude_categories=("Cs",), exclude_characters="\x00\n\r"), min_size=6, max_size=40
).filter(lambda text: len(text.strip()) >= 6)


def written(secret):
    """Yield a secret as it is, in Base64 of two alphabets, in addresses, in hexadecimal, as code and in JSON."""
    data = secret.encode()
    yield secret
    yield base64.b64encode(data).decode().rstrip("=")
    yield base64.urlsafe_b64encode(data).decode().rstrip("=")
    yield urllib.parse.quote(secret, safe="")
    yield urllib.parse.quote(secret)
    yield urllib.parse.quote_plus(secret)
    yield data.hex()
    yield repr(secret)[1:-1]
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    yield html.escape(secret)


@settings(max_examples=300, deadline=None)
@given(SECRET, st.text(max_size=30), st.text(max_size=30))
@example('sk_live/51H+zz==Q"x y', "", "")
@example("ключ-к-бирже", "", "")
def test_no_form_of_a_secret_comes_through(secret, before, after):
    masker = Masker([secret])
    for form in written(secret):
        shown = masker.text(f"{before}|{form}|{after}")
        assert form not in shown.replace(before, "").replace(after, "") or form in before + after
        assert "***" in shown


@settings(max_examples=200, deadline=None)
@given(SECRET, st.binary(max_size=5), st.binary(max_size=5))
def test_a_secret_within_what_was_encoded_is_found_wherever_it_stands(secret, before, after):
    data = secret.encode()
    shown = Masker([secret]).bytes(base64.b64encode(before + data + after))
    assert shown.count(b"***") >= 1
    left = shown.replace(b"***", b"")
    assert len(left) <= len(base64.b64encode(before + after)) + 8  # what holds bits of others stays


@settings(max_examples=200, deadline=None)
@given(SECRET, st.lists(st.sampled_from(["x", "\n", "{}", "{}\n", "key={}\r\n", "a long line without end "]), max_size=20),
       st.lists(st.integers(1, 9), min_size=1))  # fmt: skip
def test_a_secret_that_is_cut_in_two_is_masked_too(secret, parts, cuts):
    text = "".join(part.format(secret) if "{}" in part else part for part in parts).encode()
    stream, at, shown = MaskedStream(Masker([secret])), 0, b""
    for number in range(len(text)):
        step = cuts[number % len(cuts)]
        shown += stream.feed(text[at : at + step])
        at += step
    shown += stream.feed(b"", is_last=True)
    assert shown == Masker([secret]).bytes(text)


def test_a_very_long_line_is_not_held_back_for_ever():
    stream = MaskedStream(Masker(["correct horse"]))
    shown = b"".join(stream.feed(b"y" * 1000) for _ in range(200))
    assert len(shown) > 100_000
    shown += stream.feed(b"correct hor") + stream.feed(b"se") + stream.feed(b"", is_last=True)
    assert shown == b"y" * 200_000 + b"***"


def test_every_line_of_a_key_is_masked_by_itself():
    masker = Masker(["-----BEGIN KEY-----\nMIIEvQIBADANBgkq\nhkiG9w0BAQEFAASC\n"])
    assert masker.text("  hkiG9w0BAQEFAASC, MIIEvQIBADANBgkq") == "  ***, ***"


def test_without_secrets_everything_passes_as_it_is():
    masker = Masker([])
    assert not masker
    assert masker.bytes(b"x\xff") == b"x\xff"
    assert MaskedStream(masker).feed(b"half a li") == b"half a li"


def test_a_text_file_is_masked_and_any_other_left_alone(tmp_path):
    text, table = tmp_path / "a.csv", tmp_path / "b.parquet"
    text.write_bytes(b"key,correct horse\n" * 3 + b"correct horse")
    table.write_bytes(b"PAR1\x00correct horse")
    masker = Masker(["correct horse"])
    mask_file(text, masker)
    mask_file(table, masker)
    assert text.read_bytes() == b"key,***\n" * 3 + b"***"
    assert table.read_bytes() == b"PAR1\x00correct horse"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "b.parquet"]
