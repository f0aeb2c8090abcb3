"""Hostile messages on a running intake. The rule: one connection, never two different readings. What two readers could take for different
messages is refused and the connection closed; what is odd but clear is answered, and the next message on the connection is served.
"""
import json
import socket

import pytest

from intake_calls import PATIENT, order, problem
from raw_http import Connection, message


@pytest.fixture(scope="module")
def intake(servers):
    stack = servers.new_ledger("intake_hostile", workers=())
    stack.start("producer", **PATIENT)
    yield stack


BODY = json.dumps(order("hostile-1")).encode()
TYPE, LENGTH = "Content-Type: application/json", f"Content-Length: {len(BODY)}"
CODING = "Transfer-Encoding: chunked"
CHUNKED = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)
LINE = "POST /v1/payments HTTP/1.1"


def cases(*rows):
    """One test each; their bytes would make poor names."""
    return pytest.mark.parametrize("case", rows, ids=[str(i) for i in range(len(rows))])


def send(connection, data):
    """data, and behind it a good message that must only be served where data was one of its own."""
    connection.send(data + message(connection.host, [TYPE, LENGTH, "X-Request-Id: behind"], BODY))


@pytest.fixture(scope="module", autouse=True)
def library_is_strict(intake):
    """Later libmicrohttpds refuse by themselves, with a page of their own, what we must refuse on 0.9.75."""
    version = json.loads(intake.admin("producer", "/version")[1])["http"].split(" ")[1]
    intake.library_is_strict = tuple(map(int, version.split(".")[:3])) >= (0, 9, 77)


def assert_refused(intake, data, statuses=(400,), ours=True):
    """One answer, or none where the library gives up by itself (ours=False), and the end: before it would be the end of the wait for a body, 20 s."""
    ours = ours and not intake.library_is_strict
    with Connection(intake.env["PAYBUF_HTTP_URL"], timeout_s=15) as connection:
        try:
            send(connection, data(connection.host) if callable(data) else data)
            answer = connection.answer()
            if ours:
                problem(answer, 400, "bad_request")
            assert answer is None or answer[0] in statuses, answer
            assert connection.answer() is None, "a second answer: what came behind was served"
        except ConnectionError:
            assert not ours


def assert_served(intake, data, status=202):
    """Answered so, and what comes behind is served."""
    with Connection(intake.env["PAYBUF_HTTP_URL"]) as connection:
        send(connection, data(connection.host) if callable(data) else data)
        answer = connection.answer()
        if answer is not None and answer[0] == 100:
            answer = connection.answer()
        assert answer is not None and answer[0] == status, answer
        behind = connection.answer()
        assert behind is not None and behind[0] == 202 and behind[1]["x-request-id"] == "behind", behind


# --- how long is the body? ---

@cases(
    ([LENGTH, LENGTH], BODY), ([LENGTH, "content-length: 0"], BODY), ([LENGTH, CODING], CHUNKED), ([CODING, LENGTH], CHUNKED), ([CODING, "Content-Length: 0"], CHUNKED),
    ([CODING, CODING], CHUNKED), ([CODING, "Transfer-Encoding: identity"], CHUNKED), (["Transfer-Encoding: gzip, chunked"], CHUNKED), (["Transfer-Encoding: gzip"], BODY),
    (["Transfer-Encoding: xchunked"], CHUNKED), (["Transfer-Encoding: identity", LENGTH], BODY), (["Transfer-Encoding: chunked, identity"], CHUNKED),
    (["Transfer-Encoding: chunked, chunked"], CHUNKED), (["Transfer-Encoding: chunked,"], CHUNKED), (["Transfer-Encoding: ,chunked"], CHUNKED), (["Transfer-Encoding: "], CHUNKED),
    (["Transfer-Encoding: chunked;q=1"], CHUNKED), (['Transfer-Encoding: "chunked"'], CHUNKED),
    (["Transfer-Encoding: cow"], CHUNKED), (["Transfer-Encoding:\x0bchunked"], CHUNKED), (["Transfer-Encoding: chunked\x00"], CHUNKED), (["Transfer-Encoding: chunked\x00", LENGTH], BODY),
    (["Transfer-Encoding: chunked\rx", LENGTH], BODY), (["Transfer-Encoding : chunked"], CHUNKED), (["Transfer-Encoding : chunked", LENGTH], BODY),
    (["Transfer-Encoding\t: chunked", LENGTH], BODY), (["Transfer-Encoding:\r\n chunked", LENGTH], BODY), (["Transfer-Encoding:\r\n\tchunked"], CHUNKED), ([LENGTH, "X: a\r\n Content-Length: 3"], BODY),
    ([" Transfer-Encoding: chunked", LENGTH], BODY), (["X: a\r\n b", LENGTH], BODY), (["X: a\r\n\tb", LENGTH], BODY), (["X: a\r\n \r\n b", LENGTH], BODY), ([": x", LENGTH], BODY), ([LENGTH, ": x"], BODY),
    (["Content-Length : 5", LENGTH], BODY), (["Content-Length\t: 5", LENGTH], BODY), ([f"{LENGTH}\x00"], BODY), ([f"{LENGTH}\x00\x00", "X: y"], BODY), ([f"{LENGTH}\r\n 0"], BODY), (["X: a\rTransfer-Encoding: chunked", LENGTH], BODY),
    ([LENGTH, "X: a\x00b"], BODY), ([LENGTH, "X: a\x00"], BODY), ([LENGTH, "X: \x00", "Y: z"], BODY), ([LENGTH, "X-A\x01B: c"], BODY), ([LENGTH, "X-\xff: c"], BODY), ([LENGTH, "X\"Y: c"], BODY), ([LENGTH, "X: a\x01"], BODY), ([LENGTH, "X: \x7f"], BODY))
def test_a_head_that_could_be_read_differently_is_refused(intake, case):
    lines, body = case
    assert_refused(intake, lambda host: message(host, [TYPE, *lines], body))


@cases("+{}", "-{}", "-0", "{0}, {0}", "{0},{0}", "{} {}", "0x{:x}", "1e2", "{}.0", '"{}"', "\x0b{}", "\xa0{}", "{}\x0c", "", " ", "{};", "{}\r", "184467440737095516{}", "18446744073709551710", "\xb2{}")
def test_a_length_that_is_no_number_is_refused_whoever_sees_it_first(intake, case):
    text = case.format(len(BODY), len(BODY))
    assert_refused(intake, lambda host: message(host, [TYPE, f"Content-Length: {text}"], BODY), (400, 413), ours=False)


@cases("{}", "0{}", "000000000000000000000000{}", "\t{}", "   {}")
def test_a_length_that_is_a_number_is_one(intake, case):
    assert_served(intake, lambda host: message(host, [TYPE, "Content-Length:" + case.format(len(BODY))], BODY))


@cases((f"{LENGTH} ", BODY), (f"{LENGTH}\t", BODY), (f"{CODING} ", CHUNKED), (f"{CODING}\t", CHUNKED))
def test_white_space_behind_a_value_is_passed_over_or_refused(intake, case):
    """RFC 9110 passes it over, 0.9.75 and we don't; never is the message read otherwise."""
    line, body = case
    check = assert_served if intake.library_is_strict else lambda *arguments: assert_refused(*arguments, ours=False)
    check(intake, lambda host: message(host, [TYPE, line], body))


@cases(["transfer-encoding: CHUNKED"], ["Transfer-Encoding:chunked"], ["Transfer-Encoding:\tchunked"], [CODING, "TE: trailers"], [CODING, "Trailer: X"])
def test_chunked_is_chunked(intake, case):
    assert_served(intake, lambda host: message(host, [TYPE, *case], CHUNKED))


@cases(["Transfer_Encoding: chunked", LENGTH], ["X-Transfer-Encoding: chunked", LENGTH], ["Content_Length: 3", LENGTH], [LENGTH, "Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AAA"],
       [LENGTH, "X-HTTP-Method-Override: DELETE"], [LENGTH, "Cookie: =;;,=\xff"], [LENGTH, "X: " + "y" * 7000], [LENGTH, *(f"X-{i}: y" for i in range(100))], [LENGTH, "X:"], [LENGTH, "Expect: 100-continue"], [LENGTH, "X: \xff\xfe"])
def test_headers_that_mean_nothing_here_change_nothing(intake, case):
    assert_served(intake, lambda host: message(host, [TYPE, *case], BODY))


# --- lines ---

GOOD = [LINE, "Host: a", TYPE, LENGTH, ""]


@cases(*[(at, ending) for at in range(5) for ending in ("\n", "\r", "\r\r\n", "\n\n")])
def test_a_line_of_the_head_ends_with_cr_lf_and_nothing_else(intake, case):
    at, ending = case
    ends = [ending if i == at else "\r\n" for i in range(5)]
    assert_refused(intake, "".join(line + end for line, end in zip(GOOD, ends)).encode() + BODY, ours=False)


def test_a_head_of_bare_line_feeds_is_refused(intake):
    assert_refused(intake, "\n".join(GOOD).encode() + b"\n" + BODY)


def test_a_head_that_comes_byte_by_byte_is_judged_as_one_that_comes_at_once(intake):
    for lines, status in ((GOOD, 202), ([LINE, "Host: a", TYPE, LENGTH, "X: a\x00b", ""], 400), ([LINE, "Host: a", "X: a\r\n b", TYPE, LENGTH, ""], 400)):
        with Connection(intake.env["PAYBUF_HTTP_URL"]) as connection:
            try:
                for byte in "\r\n".join(lines).encode() + b"\r\n" + (BODY if status == 202 else b""):
                    connection.send(bytes([byte]))
            except ConnectionError:         # libmicrohttpd 1.0 refuses before the head's end
                assert status == 400
            answer = connection.answer()    # which a reset may have taken with it
            assert answer[0] == status if answer else status == 400


# --- chunks ---

@cases(b"-1\r\nx\r\n0\r\n\r\n", b"+5\r\nhello\r\n0\r\n\r\n", b"0x5\r\nhello\r\n0\r\n\r\n", b"g\r\nx\r\n", b"5_\r\nhello\r\n0\r\n\r\n", b"FFFFFFFFFFFFFFFFF\r\nx\r\n", b"1%016x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY),
       b"5\r\nhelloX\r\n0\r\n\r\n", b"\r\n\r\n", b" 5\r\nhello\r\n0\r\n\r\n", b"5 \r\nhello\r\n0\r\n\r\n", b"5\t\r\nhello\r\n0\r\n\r\n", b"5\x00\r\nhello\r\n0\r\n\r\n", b"5;a\nb\r\nhello\r\n0\r\n\r\n",
       b"%x\n%s\r\n0\r\n\r\n" % (len(BODY), BODY), b"%x\n%s\n0\n\n" % (len(BODY), BODY), b"%x;a\n%s\r\n0\r\n\r\n" % (len(BODY), BODY), b"5\r\n%s\n5\r\n%s\r\n0\r\n\r\n" % (BODY[:5], BODY[5:10]),
       b"%x\r%s\r0\r\r" % (len(BODY), BODY), b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY) - 1, BODY), b"%x\r\n%s\r\n0\r\nX Sum 5\r\n\r\n" % (len(BODY), BODY))
def test_a_chunk_that_could_be_read_differently_ends_the_connection(intake, case):
    assert_refused(intake, lambda host: message(host, [TYPE, CODING], case), (400, 413), ours=False)


@cases(b"%x;a=b\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY), b'%x;a="\\"b"\r\n%s\r\n0;c\r\n\r\n' % (len(BODY), BODY), b"000%X\r\n%s\r\n000\r\n\r\n" % (len(BODY), BODY))
def test_chunk_extensions_and_zeros_before_a_size_are_passed_over(intake, case):
    def data(host):
        return message(host, [TYPE, CODING], case)

    if b";" in case and intake.library_is_strict:       # 1.0 knows no extensions, and closes: nobody reads them differently
        assert_refused(intake, data)
    else:
        assert_served(intake, data)


@cases(b"X-Sum: 5", b"Content-Length: 5", CODING.encode(), b"Host: other", b"Authorization: Bearer x", b"Idempotency-Key: other", b"Content-Type: text/plain")
def test_trailers_are_read_and_mean_nothing(intake, case):
    assert_served(intake, lambda host: message(host, [TYPE, CODING], CHUNKED[:-2] + case + b"\r\n\r\n"))


@cases(b"1%08x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY), b"7fffffffffffffff\r\nx\r\n0\r\n\r\n", b"%x;%s\r\n%s\r\n0\r\n\r\n" % (len(BODY), b"a" * 20000, BODY))
def test_a_chunk_that_never_ends_serves_nothing_behind_it(intake, case):
    with Connection(intake.env["PAYBUF_HTTP_URL"], timeout_s=0.7) as connection:
        send(connection, message(connection.host, [TYPE, CODING], case))
        try:
            answer = connection.answer()
            assert answer is None or answer[0] in (400, 413) and connection.answer() is None
        except socket.timeout:
            pass        # it waits for the rest, 20 s long


# --- the request line ---

@cases("POST /v1/payments HTTP/1.2", "POST /v1/payments\x00 HTTP/1.1", "POST /v1/payments\xff HTTP/1.1", "POST /v1/payments%00 HTTP/1.1", "PUT /v1/payments%2fh-1 HTTP/1.1", "PUT /v1/payments/h%2F1 HTTP/1.1",
       "POST /v1/payments% HTTP/1.1", "POST /v1/payments%zz HTTP/1.1", "POST /v1/payments%u0041 HTTP/1.1", "POST /v1/payments%0d%0aX:y HTTP/1.1", "POST /v1/../v1/payments HTTP/1.1",
       "POST /v1/%2e%2e/v1/payments HTTP/1.1", "PUT /v1/payments/.. HTTP/1.1", "PUT /v1/payments/. HTTP/1.1", "POST \\v1\\payments HTTP/1.1", "POST /v1/payments#x HTTP/1.1", "POST v1/payments HTTP/1.1", "POST  /v1/payments HTTP/1.1",
       "POST http://evil.example/v1/payments HTTP/1.1", "POST evil.example:80 HTTP/1.1", "CONNECT evil.example:80 HTTP/1.1", "OPTIONS * HTTP/1.1", "P@ST /v1/payments HTTP/1.1", "P\x01ST /v1/payments HTTP/1.1",
       "POST /" + "a" * 600 + " HTTP/1.1", "POST /" + "a" * 7000 + " HTTP/1.1", "POST /v1/payments?a\x01b HTTP/1.1", "POST /v1/payments?a\x00b HTTP/1.1")
def test_a_request_line_that_could_be_read_differently_is_refused(intake, case):
    assert_refused(intake, lambda host: message(host, [TYPE, LENGTH], BODY, case))


@cases("POST /v1/payments", "POST", "", "POST  HTTP/1.1", "POST /v1/payments  HTTP/1.1", "POST\t/v1/payments\tHTTP/1.1", "POST /v1/payments HTTP/1.1 ", " POST /v1/payments HTTP/1.1", "POST /v1/pay ments HTTP/1.1",
       "POST /v1/payments HTTP/1.1 x", "POST /v1/payments http/1.1", "POST /v1/payments HTTP/1.01", "POST /v1/payments HTTP/01.1", "POST /v1/payments HTTP/1", "POST /v1/payments HTTP/2.0", "POST /v1/payments HTTP/9.9",
       "POST /v1/payments\rHTTP/1.1", "POST /" + "a" * 9000 + " HTTP/1.1", "P" * 9000 + " / HTTP/1.1", "PRI * HTTP/2.0")
def test_what_is_no_request_line_ends_the_connection(intake, case):
    if case == "":
        return assert_served(intake, lambda host: b"\r\n" + message(host, [TYPE, LENGTH], BODY))        # RFC 9112 2.2: passed over
    assert_refused(intake, lambda host: message(host, [TYPE, LENGTH], BODY, case), (400, 414, 431, 505), ours=False)


@cases(("post /v1/payments HTTP/1.1", 405), ("POST /v1/payments?a=b HTTP/1.1", 202), ("POST /v1/payments; HTTP/1.1", 404), ("PUT /v1/payments/%c0%af HTTP/1.1", 400), ("PUT /v1/payments/%c3%a4 HTTP/1.1", 400),
       ("PUT /v1/payments/hostile%2d1 HTTP/1.1", 202), ("PUT /v1/payments/hostile%252d1 HTTP/1.1", 400), ("POST //v1/payments HTTP/1.1", 404), ("GET /v1/payments HTTP/1.1", 405), ("TRACE / HTTP/1.1", 404), ("POST /... HTTP/1.1", 404))
def test_a_request_line_that_is_clear_is_answered(intake, case):
    assert_served(intake, lambda host: message(host, [TYPE, LENGTH], BODY, case[0]), case[1])


def test_an_absolute_target_names_the_host_again(intake):
    assert_served(intake, lambda host: message(host, [TYPE, LENGTH], BODY, f"POST http://{host}/v1/payments HTTP/1.1"))


# --- Host, Expect, Connection ---

@cases("", " ", "a b", "a,b", "a@b", "a/b", "a?b", "a#b", "a\\b", "a%20b", "a\tb", '"a"', "<a>", "\xff", ":80", "a:x", "a:80:80", "[::1", "a\r\nHost: a", "a\r\nHost: b")
def test_a_host_that_is_none_or_several_is_refused(intake, case):
    assert_refused(intake, message(None, [f"Host: {case}", TYPE, LENGTH], BODY, host_line=False))


@cases("evil.example", "a:99999", "[::1]:80", "A.B-c_d")
def test_any_host_is_served(intake, case):
    assert_served(intake, message(None, [f"Host: {case}", TYPE, LENGTH], BODY, host_line=False))


def test_http_1_1_without_a_host_is_refused(intake):
    assert_refused(intake, message(None, [TYPE, LENGTH], BODY, host_line=False))


@cases("200-ok", "100-continue, x", "", "100-continue\r\nExpect: x")
def test_another_expectation_is_refused(intake, case):
    assert_refused(intake, lambda host: message(host, [TYPE, LENGTH, f"Expect: {case}"], BODY))


@cases(["Connection: close"], ["Connection: CLOSE"], ["Connection: foo, close"], ["Connection: keep-alive", "Connection: close"])
def test_after_close_nothing_is_read(intake, case):
    with Connection(intake.env["PAYBUF_HTTP_URL"]) as connection:
        send(connection, message(connection.host, [TYPE, LENGTH, *case], BODY))
        assert connection.answer()[0] == 202 and connection.answer() is None


@cases([LENGTH], [LENGTH, "Expect: 100-continue"])
def test_http_1_0_is_served_once(intake, case):
    with Connection(intake.env["PAYBUF_HTTP_URL"]) as connection:
        send(connection, message(None, [TYPE, *case], BODY, LINE.replace("1.1", "1.0"), host_line=False))
        assert connection.answer()[0] == 202 and connection.answer() is None


def test_http_1_0_may_keep_its_connection_and_has_no_codings(intake):
    line = LINE.replace("1.1", "1.0")
    assert_served(intake, lambda host: message(host, [TYPE, LENGTH, "Connection: keep-alive"], BODY, line))
    assert_refused(intake, lambda host: message(host, [TYPE, CODING, "Connection: keep-alive"], CHUNKED, line))


@cases([TYPE, TYPE, LENGTH], [TYPE, LENGTH, "Authorization: Bearer a", "Authorization: Bearer b"])
def test_what_may_be_there_once_is_refused_twice(intake, case):
    assert_refused(intake, lambda host: message(host, case, BODY))


# --- too much, and nothing at all ---

@cases(["X: " + "y" * 9000], ["X: " + "y" * 100_000], [f"X-{i}: y" for i in range(1000)], ["X" * 9000 + ": y"])
def test_a_head_of_more_than_8_kib_is_refused(intake, case):
    assert_refused(intake, lambda host: message(host, [TYPE, LENGTH, *case], BODY), (431,), ours=False)


@cases(b"\x00" * 2000 + b"\r\n\r\n", b"GET\r\n\r\n", b"\r\n" * 50 + b"x\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 20, b"POST " + b"/" * 40000 + b" HTTP/1.1\r\n\r\n",
       b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x04\x04\x00\x00\x00\x00\x00", b"\xff" * 100_000, b"*3\r\n$3\r\nSET\r\n", b"EHLO a\r\n")
def test_garbage_neither_crashes_nor_stalls_it(intake, case):
    with Connection(intake.env["PAYBUF_HTTP_URL"], timeout_s=0.7) as connection:
        try:
            connection.send(case)
            answer = connection.answer()
            assert answer is None or answer[0] >= 400
        except (socket.timeout, ConnectionError):
            pass
    with Connection(intake.env["PAYBUF_HTTP_URL"]) as connection:
        assert connection.post(order("after-garbage"))[0] == 202


def test_garbage_behind_a_good_message_is_no_part_of_it(intake):
    for garbage in (b"garbage\r\n\r\n", b"\x00\x00\r\n\r\n", b"POST /v1/payments HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n"):
        with Connection(intake.env["PAYBUF_HTTP_URL"]) as connection:
            connection.send(message(connection.host, [TYPE, LENGTH], BODY) + garbage)
            assert connection.answer()[0] == 202
            connection.socket.settimeout(0.7)
            try:
                answer = connection.answer()
                assert answer is None or answer[0] == 400 and connection.answer() is None
            except socket.timeout:
                pass        # it waits for a message that begins otherwise


@cases(([LENGTH], BODY), ([CODING], CHUNKED))
def test_a_body_where_none_is_wanted_is_refused_and_passed_over(intake, case):
    lines, body = case
    assert_served(intake, lambda host: message(host, [TYPE, *lines], body, "GET /openapi.json HTTP/1.1"), 413)


# --- JSON ---

def payment(member):
    return b'{"order_id":"json-1","account_id":"alice","amount_minor":1,"currency":"EUR",' + member + b"}"


@cases(b'"metadata":{"a":' + b"[" * 31 + b"]" * 31 + b"}", b'"metadata":{"a":1,"a":2}', b'"metadata":{"\\u0061":1,"a":2}', b'"order_id":"json-2"', b'"\\u006frder_id":"json-2"', b'"metadata":{"a":"\\ud800"}',
       b'"metadata":{"a":"\\udc00\\ud800"}', b'"metadata":{"a":"\\u0000"}', b'"metadata":{"\\u0000":1}', b'"metadata":{"a":"\xed\xa0\x80"}', b'"metadata":{"a":"\xc0\xaf"}', b'"metadata":{"a":"\xf8\x88\x80\x80\x80"}',
       b'"metadata":{"a":"\xf4\x90\x80\x80"}', b'"metadata":{"a":"\xe2\x82"}', b'"metadata":{"a":"\x09"}', b'"metadata":{"a":"\x00"}', b'"metadata":{"a":Infinity}', b'"metadata":{"a":-}', b'"metadata":{"a":+1}',
       b'"metadata":{"a":.5}', b'"metadata":{"a":1.}', b'"metadata":{"a":0x1}', b'"metadata":{"a":1e}', b'"metadata":{"a":"\\x41"}', b'"metadata":{"a":"\\u12"}', b'"metadata":{"a":tru}', b'"metadata":{/**/}',
       b'"metadata":{"a":1}}{', b'"metadata":{"a" 1}', b'"metadata":{,}', b'metadata:{}', b'"metadata":{"a":\xef\xbb\xbf1}', b'"metadata":{"a":\xc2\xa01}')
def test_json_that_readers_disagree_about_is_malformed(connection, case):
    problem(connection.post(payment(case)), 400, "malformed_json")


@cases(b'"metadata":{"a":' + b"9" * 2000 + b"}", b'"metadata":{"a":1e999999}', b'"metadata":{"a":-1E+400}', b'"metadata":{"a":0.' + b"1" * 1000 + b"}", b'"metadata":{"a":"\\ud83d\\ude00\xf0\x9f\x98\x80\xef\xbf\xbf"}',
       b'"metadata":{"a":"\\u000a\\"\\\\\\/"}', b'"metadata":{"":""}', b'"metadata":{"a":' + b"[" * 20 + b"]" * 20 + b"}", b'"metadata":{"__proto__":{"a":1}}')
def test_json_that_is_only_odd_is_accepted(connection, case):
    status, _, body = connection.post(payment(case))
    assert status == 202, body


@cases(b"[" * 8192, b'{"a":' * 1638, b'{"order_id":"' + b"a" * 8170 + b'"}', b'"' + b"\\u0000" * 1360 + b'"', b"-" * 8192, b"1" * 8192, b" " * 8192, b"{" + b'"a":1,' * 1000 + b'"b":1}')
def test_json_bombs_are_refused_as_anything_else(connection, case):
    status, headers, body = connection.post(case)
    assert status == 400 and headers["content-type"] == "application/problem+json", body
    assert connection.post(order("after-bomb"))[0] == 202


# --- all of its connections ---

def test_an_intake_that_was_full_until_all_hung_up_at_once_serves_the_next(new_ledger):
    """Full, libmicrohttpd stops listening, and listens again only when it is run with room: once nobody is left nothing would run it."""
    full = new_ledger(workers=())
    full.start("producer", **PATIENT, PAYBUF_PRODUCER_CONNECTIONS_MAX="2")
    clients = [Connection(full.env["PAYBUF_HTTP_URL"]) for _ in range(2)]
    for client in clients:
        client.post(order("full"))
    full.freeze("producer")
    for client in clients:
        client.close()
    full.thaw("producer")
    with Connection(full.env["PAYBUF_HTTP_URL"], timeout_s=50) as connection:
        assert connection.post(order("next"))[0] == 202
