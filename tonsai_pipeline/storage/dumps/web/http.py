"""A stored HTTP response -> its status, its headers and its decoded body.

    HTTP/1.1 200 OK␍␊ Content-Encoding: br ␍␊␍␊ bytes ──parse_response──▶ Response ──decode_body──▶ bytes

Crawlers keep responses as they came, or with the encodings taken off and the headers left: bytes that are not
encoded as the header says are taken as they are.

Source: RFC 9110, section 8.4 (codings); RFC 9112, section 7.1 (chunks); RFC 7932 (br); RFC 8878 (zstd).
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from typing import NamedTuple

import brotli
import zstandard

_STATUS = re.compile(rb"HTTP/\d(?:\.\d)?[ \t]+(\d{3})")
_HEADER_END = re.compile(rb"\r?\n\r?\n")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,8})[^\r\n]{0,200}\r?\n")
_GZIP_MAGIC, _ZSTD_MAGIC = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_ZSTD_WINDOW_BYTES = 128 << 20
_PIECE_BYTES = 16 << 10


class CutBodyError(ValueError):
    """The body ends inside an encoding: what it holds is not the whole page."""


class Response(NamedTuple):
    """A response; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def parse_response(data: bytes) -> Response | None:
    """Cut a stored response into its pieces; None if it is none."""
    status = _STATUS.match(data)
    if status is None:
        return None
    end = _HEADER_END.search(data)
    head, body = (data[: end.start()], data[end.end() :]) if end else (data, b"")
    headers: dict[str, str] = {}
    for line in head.splitlines()[1:]:
        name, _, value = line.decode("latin-1").partition(":")
        headers.setdefault(name.strip().lower(), value.strip())
    return Response(int(status.group(1)), headers, body)


def decode_body(response: Response, max_bytes: int) -> bytes:
    r"""Take the transfer and content codings off a body.

    Args:
        response: The response.
        max_bytes: Of a longer body only a little more than this is returned.

    Raises:
        CutBodyError: The body ends too early.
        ValueError: It is damaged, or in a coding that is not known.

    Example:
        >>> decode_body(
        ...     Response(200, {"transfer-encoding": "chunked"}, b"3\r\nabc\r\n0\r\n\r\n"), 9
        ... )
        b'abc'
    """
    data = response.body
    if "chunked" in response.headers.get("transfer-encoding", "").lower():
        data = _join_chunks(data)
    names = response.headers.get("content-encoding", "").lower().split(",")
    for name in reversed([name.strip() for name in names]):
        if name in ("gzip", "x-gzip"):
            data = _inflate(data, 31, max_bytes) if data.startswith(_GZIP_MAGIC) else data
        elif name == "deflate":
            data = _decode_deflate(data, max_bytes)
        elif name == "br":
            data = _decode_brotli(data, max_bytes)
        elif name == "zstd":
            data = _decode_zstd(data, max_bytes) if data.startswith(_ZSTD_MAGIC) else data
        elif name not in ("", "identity", "none", "utf-8"):
            raise ValueError(f"content coding '{name}' is not known")
    return data


def _join_chunks(data: bytes) -> bytes:
    pieces: list[bytes] = []
    position = 0
    while True:
        found = _CHUNK_SIZE.match(data, position)
        if found is None:
            if not pieces:
                return data  # not chunked, whatever the header says
            raise CutBodyError("the body ends inside a chunk")
        size = int(found.group(1), 16)
        if size == 0:
            return b"".join(pieces)
        end = found.end() + size
        if end > len(data):
            if not pieces and not data.startswith(found.group()):
                return data
            raise CutBodyError("the body ends inside a chunk")
        pieces.append(data[found.end() : end])
        position = end + (2 if data[end : end + 2] == b"\r\n" else 1)


def _inflate(data: bytes, wbits: int, max_bytes: int) -> bytes:
    decoder = zlib.decompressobj(wbits=wbits)
    try:
        text = decoder.decompress(data, max_bytes + 1)
    except zlib.error as error:
        raise ValueError(f"damaged compressed body: {error}") from error
    if not decoder.eof and len(text) <= max_bytes:
        raise CutBodyError("the compressed body ends too early")
    return text


def _decode_deflate(data: bytes, max_bytes: int) -> bytes:
    """Decode `deflate`: zlib by the standard, raw by many servers."""
    for wbits in (15, -15):
        try:
            return _inflate(data, wbits, max_bytes)
        except CutBodyError:
            raise
        except ValueError:
            continue
    if _is_markup(data):
        return data
    raise ValueError("damaged compressed body: neither zlib nor raw deflate")


def _decode_brotli(data: bytes, max_bytes: int) -> bytes:
    decoder = brotli.Decompressor()
    try:
        text = decoder.process(data, output_buffer_limit=max_bytes + 1)
    except brotli.error as error:
        # Brotli has no first bytes to be known by.
        if _is_markup(data):
            return data
        raise ValueError(f"damaged compressed body: {error}") from error
    if not decoder.is_finished() and len(text) <= max_bytes:
        if _is_markup(data):
            return data
        raise CutBodyError("the compressed body ends too early")
    return text


def _decode_zstd(data: bytes, max_bytes: int) -> bytes:
    decoder = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_BYTES).decompressobj()
    text = bytearray()
    try:
        for start in range(0, len(data), _PIECE_BYTES):
            text += decoder.decompress(data[start : start + _PIECE_BYTES])
            if decoder.eof or len(text) > max_bytes:
                return bytes(text)
    except zstandard.ZstdError as error:
        raise ValueError(f"damaged compressed body: {error}") from error
    raise CutBodyError("the compressed body ends too early")


def _is_markup(data: bytes) -> bool:
    return data.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<")
