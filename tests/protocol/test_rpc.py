from __future__ import annotations

from contextlib import suppress

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import CodecError
from protocol.formats import ContentFormat, PlainValue
from protocol.rpc import (
    RpcCall,
    RpcCode,
    RpcResult,
    decode_call,
    decode_result,
    encode_call,
    encode_result,
)

FORMATS = [ContentFormat.CBOR, ContentFormat.JSON]
texts = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=255
)
values: st.SearchStrategy[PlainValue] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | texts,
    lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
    max_leaves=8,
)
calls = st.builds(RpcCall, id=texts, method=texts, params=st.lists(values).map(tuple))
results = st.builds(RpcResult, id=texts, code=st.sampled_from(RpcCode), detail=values)


@given(calls, st.sampled_from(FORMATS))
def test_a_call_survives_the_wire(call: RpcCall, content_format: ContentFormat) -> None:
    assert decode_call(encode_call(call, content_format), content_format) == call


@given(results, st.sampled_from(FORMATS))
def test_an_answer_survives_the_wire(result: RpcResult, content_format: ContentFormat) -> None:
    assert decode_result(encode_result(result, content_format), content_format) == result


@given(st.binary())
def test_arbitrary_bytes_raise_nothing_but_a_codec_error(payload: bytes) -> None:
    for content_format in (*FORMATS, ContentFormat.TEXT):
        with suppress(CodecError):
            decode_call(payload, content_format)
        with suppress(CodecError):
            decode_result(payload, content_format)


def test_documents_are_written_as_golioth_writes_them() -> None:
    call = encode_call(RpcCall("multiply/74e4", "multiply", (4, 5)), ContentFormat.JSON)
    assert call == b'{"id":"multiply/74e4","method":"multiply","params":[4,5]}'
    answer = RpcResult("multiply/74e4", RpcCode.OK, {"value": 20})
    encoded = encode_result(answer, ContentFormat.JSON)
    assert encoded == b'{"id":"multiply/74e4","detail":{"value":20},"statusCode":0}'
    unknown = encode_result(RpcResult("x", RpcCode.NOT_FOUND))
    assert cbor2.loads(unknown) == {"id": "x", "statusCode": 5}


@pytest.mark.parametrize(("params", "taken"), [(b'{"to":"a"}', ({"to": "a"},)), (b"{}", ())])
def test_keyword_arguments_are_one_parameter(params: bytes, taken: tuple[object, ...]) -> None:
    call = decode_call(b'{"id":"x","method":"m","params":%s}' % params, ContentFormat.JSON)
    assert call is not None
    assert call.params == taken


def test_ok_is_no_call() -> None:
    assert decode_call(b"\x62OK", ContentFormat.CBOR) is None
    assert decode_call(b'"OK"', ContentFormat.JSON) is None


def test_the_documentations_name_of_the_code_counts_too() -> None:
    decoded = decode_result(b'{"id":"x","status":3}', ContentFormat.JSON)
    assert decoded == RpcResult("x", RpcCode.INVALID_ARGUMENT)


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (b'{"method":"m","params":[]}', r"RPC call\.id: is missing"),
        (b'{"id":"x","params":[]}', r"RPC call\.method: is missing"),
        (b'{"id":"x","method":"m"}', r"RPC call\.params: must be an array"),
        (b'{"id":"x","method":"m","params":"a"}', r"RPC call\.params: must be an array"),
        (b"7", "RPC call: must be a map"),
    ],
)
def test_a_bad_call_is_refused_by_place(payload: bytes, message: str) -> None:
    with pytest.raises(CodecError, match=message):
        decode_call(payload, ContentFormat.JSON)


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (b'{"statusCode":0}', r"RPC result\.id: is missing"),
        (b'{"id":"x"}', r"RPC result\.statusCode.*: is missing"),
        (b'{"id":"x","statusCode":17}', "a number from 0 to 16, not 17"),
        (b'{"id":"x","statusCode":true}', "must be an integer"),
    ],
)
def test_a_bad_answer_is_refused_by_place(payload: bytes, message: str) -> None:
    with pytest.raises(CodecError, match=message):
        decode_result(payload, ContentFormat.JSON)
