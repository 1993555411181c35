#!/usr/bin/env python3
"""Sends requests, most of them bad, to a running endpoint and checks each answer.

usage: bad_requests.py --port N --key K

Every row of the table is one connection: the bytes that are sent, and the exact
statuses that must come back, in order.  Afterwards the headers and bodies of some
answers are compared word for word, and the server must still be there.
"""
import argparse
import base64
import re
import socket
import sys
import time

PATIENCE_S = 30  # only bounds how long a failure takes to show
PPROF = "/debug/pprof/"
NO_ANSWER = ()  # the connection ends without a word


class Answer:
    """One response, or the head of one."""

    def __init__(self, head, body, whole):
        lines = head.decode("latin-1").split("\r\n")
        self.version, self.status, self.reason = (lines[0].split(" ", 2) + ["", ""])[:3]
        self.status = int(self.status)
        self.headers = [tuple(line.split(": ", 1)) for line in lines[1:] if line]
        self.body = body
        self.whole = whole

    def all(self, name):
        return [h[1] for h in self.headers if h[0].lower() == name.lower()]

    def get(self, name):
        return (self.all(name) or [None])[0]


class Connection:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE_S)
        self.held = b""

    def say(self, data):
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it may have heard enough; the answer tells

    def end(self):
        self.socket.shutdown(socket.SHUT_WR)

    def close(self):
        self.socket.close()

    def _more(self):
        try:
            data = self.socket.recv(65536)
        except ConnectionResetError:
            data = b""
        self.held += data
        return bool(data)

    def _take(self, count):
        taken, self.held = self.held[:count], self.held[count:]
        return taken

    def until(self, end):
        """The bytes up to and with `end`; all there are if it does not come."""
        while end not in self.held:
            if not self._more():
                return self._take(len(self.held))
        return self._take(self.held.index(end) + len(end))

    def exactly(self, count):
        while len(self.held) < count and self._more():
            pass
        return self._take(count)

    def is_closed(self):
        return not self.held and not self._more()

    def _chunks(self):
        body = b""
        while True:
            line = self.until(b"\r\n")
            size = int(line, 16) if line.endswith(b"\r\n") else -1
            data = self.exactly(size + 2) if size >= 0 else b""
            if not data.endswith(b"\r\n"):
                return body, False
            body += data[:size]
            if size == 0:
                return body, True

    def hear(self, head_only=False):
        """The next answer, or None when the connection ends instead."""
        head = self.until(b"\r\n\r\n")
        if not head.endswith(b"\r\n\r\n"):
            return None
        answer = Answer(head, b"", True)
        if head_only or answer.status == 100:
            return answer
        length = answer.get("Content-Length")
        if length is not None:
            answer.body = self.exactly(int(length))
            answer.whole = len(answer.body) == int(length)
        elif answer.get("Transfer-Encoding") == "chunked":
            answer.body, answer.whole = self._chunks()
        else:
            answer.body = self.until(b"\0never\0")
        return answer


class Row:
    """What is sent on one connection, and what must come back."""

    def __init__(self, name, data, *statuses, head_only=False, ends=False):
        self.name = name
        self.data = data
        self.statuses = statuses
        self.head_only = head_only  # an answer without a body, or one we do not wait for
        self.ends = ends  # our side is shut behind the last byte


def basic(user, password):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


class Table:
    def __init__(self, key):
        self.key = key
        self.rows = []
        for add in (self.keys, self.hosts, self.pages, self.methods, self.paths, self.parameters,
                    self.syntax, self.sizes, self.bodies, self.sequences, self.order):
            add()

    def head(self, line, *headers, host="localhost", auth=True):
        lines = [line]
        if host is not None:
            lines.append(f"Host: {host}")
        if auth:
            lines.append(f"Authorization: Bearer {self.key}")
        return ("\r\n".join(lines + list(headers)) + "\r\n\r\n").encode("latin-1")

    def get(self, path=PPROF, *headers, **more):
        return self.head(f"GET {path} HTTP/1.1", *headers, **more)

    def post(self, path, body, *headers, **more):
        length = f"Content-Length: {len(body)}"
        return self.head(f"POST {path} HTTP/1.1", length, *headers, **more) + body

    def add(self, name, data, *statuses, **more):
        self.rows.append(Row(name, data, *statuses, **more))

    def keys(self):
        def try_key(name, value, status):
            self.add(name, self.get(PPROF, f"Authorization: {value}", auth=False), status)

        key = self.key
        self.add("no key", self.get(auth=False), 401)
        try_key("bearer", f"Bearer {key}", 200)
        try_key("bearer in small letters", f"bearer {key}", 200)
        try_key("bearer and blanks", f"BEARER   {key}  ", 200)
        try_key("basic", basic("pprof", key), 200)
        try_key("basic without user", basic("", key), 200)
        try_key("basic in odd letters", basic("", key).replace("Basic", "bASIC"), 200)
        try_key("basic without padding", basic("pp", key).rstrip("="), 200)
        try_key("empty", "", 401)
        try_key("scheme alone", "Bearer", 401)
        try_key("scheme without blank", f"Bearer{key}", 401)
        try_key("key alone", key, 401)
        try_key("other scheme", f"Token {key}", 401)
        try_key("key cut short", f"Bearer {key[:-1]}", 401)
        try_key("key and more", f"Bearer {key}x", 401)
        try_key("key twice", f"Bearer {key} {key}", 401)
        try_key("other key", "Bearer wrong", 401)
        try_key("very long key", "Bearer " + "k" * 4000, 401)
        try_key("basic with other key", basic("pprof", "wrong"), 401)
        try_key("basic with key as user", basic(key, ""), 401)
        try_key("basic without colon", "Basic " + base64.b64encode(b"nocolon").decode(), 401)
        try_key("basic that is no base64", "Basic !!!!", 401)
        try_key("basic, very long", basic("u" * 3000, key), 401)
        self.add("two keys", self.get(PPROF, f"Authorization: Bearer {key}"), 401)
        self.add("right and wrong key", self.get(PPROF, "Authorization: Bearer wrong"), 401)
        for path in ("profile", "cmdline", "symbol", "shim", "trace", "nothing"):
            self.add(f"{path} without key", self.get(PPROF + path, auth=False), 401)
        self.add("root without key", self.get("/", auth=False), 401)
        self.add("key in the query", self.get(f"{PPROF}?token={key}", auth=False), 401)
        self.add("key in a cookie", self.get(PPROF, f"Cookie: key={key}", auth=False), 401)
        self.add("key for a proxy", self.get(PPROF, f"Proxy-Authorization: Bearer {key}", auth=False), 401)

    def hosts(self):
        for host in ("127.0.0.1", "127.0.0.1:1", "localhost:65535", "LOCALHOST", "[::1]", "[::1]:80"):
            self.add(f"host {host}", self.get(host=host), 200)
        for host in ("evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "127.0.0.2",
                     "0.0.0.0", "::1", "localhost:", "localhost:http", "a@localhost",
                     "localhost,evil.example", ""):
            self.add(f"host '{host}'", self.get(host=host), 403)
        self.add("no host", self.get(host=None), 400)
        self.add("two hosts", self.get(PPROF, "Host: localhost"), 400)
        self.add("HTTP/1.0 without host", self.head(f"GET {PPROF} HTTP/1.0", host=None), 200)
        self.add("HTTP/1.0, foreign host", self.head(f"GET {PPROF} HTTP/1.0", host="evil.example"), 403)
        self.add("absolute target", self.get(f"http://localhost:1{PPROF}"), 200)
        self.add("absolute target, foreign host", self.get(f"http://evil.example{PPROF}"), 403)

    def pages(self):
        def try_page(header, status):
            self.add(header, self.get(PPROF, header, host="localhost:8080"), status)

        try_page("Origin: http://localhost:8080", 200)
        try_page("Origin: http://localhost:8081", 403)
        try_page("Origin: http://localhost", 403)
        try_page("Origin: https://localhost:8080", 403)
        try_page("Origin: http://evil.example", 403)
        try_page("Origin: null", 403)
        try_page("Sec-Fetch-Site: none", 200)
        try_page("Sec-Fetch-Site: same-origin", 200)
        try_page("Sec-Fetch-Site: same-site", 403)
        try_page("Sec-Fetch-Site: cross-site", 403)

    def methods(self):
        for method in ("PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "get", "GETX"):
            self.add(f"{method} index", self.head(f"{method} {PPROF} HTTP/1.1"), 405)
        self.add("POST index", self.post(PPROF, b""), 405)
        self.add("POST profile", self.post(PPROF + "profile", b"seconds=1"), 405)
        self.add("PUT symbol", self.head(f"PUT {PPROF}symbol HTTP/1.1"), 405)
        for path in ("", "profile", "profile?seconds=3600", "cmdline", "symbol", "shim"):
            self.add(f"HEAD {path}", self.head(f"HEAD {PPROF}{path} HTTP/1.1"), 200, head_only=True)
        self.add("HEAD unknown", self.head(f"HEAD {PPROF}nothing HTTP/1.1"), 404, head_only=True)
        self.add("CONNECT", self.head("CONNECT localhost:80 HTTP/1.1"), 400)
        self.add("OPTIONS *", self.head("OPTIONS * HTTP/1.1"), 400)

    def paths(self):
        for path, status in (
                ("/", 302), ("/debug/pprof", 301), ("/debug/pprof?a=b", 301), ("//debug/pprof/", 301),
                ("/debug//pprof/cmdline", 301), ("/debug/./pprof/cmdline", 301),
                ("/x/../debug/pprof/cmdline", 301), ("/../../debug/pprof/cmdline", 301),
                ("/debug/pprof/cmdline", 200), ("/debug/pprof/%63mdline", 200),
                ("/debug/pprof/cmdline/", 404), ("/debug/pprof/nothing", 404), ("/debug/pprof/%00", 404),
                ("/debug/pprof/" + "a" * 5000, 404), ("/debug/pprof/..%2f..%2fetc%2fpasswd", 404),
                ("/debug/pprof/../../etc/passwd", 404), ("/favicon.ico", 404), ("/debug", 404),
                ("/DEBUG/PPROF/", 404), ("//evil.example/", 404), ("/debug/pprof/trace", 501)):
            self.add(f"path {path[:60]}", self.get(path), status)

    def parameters(self):
        for query in ("", "?seconds=", "?seconds=0", "?seconds=3600&hz=1000", "?debug=1", "?gc=1",
                      "?%zz", "?&&&=", "?seconds=30&seconds=junk", "?" + "a=b&" * 500,
                      "?rate=1&fgprof=1&timeout=15s"):
            self.add(f"profile{query[:60]}", self.get(PPROF + "profile" + query), 200, head_only=True)
        for query in ("seconds=-1", "seconds=abc", "seconds=1.5", "seconds=3601", "second=3", "SECONDS=3",
                      "seconds=99999999999999999999", "seconds=5%00", "hz=0", "hz=junk", "hz=5000",
                      "debug=abc", "lines=2", "gc=x", "format=svg", "duration=3", "hzz=&secs=1"):
            for page in ("profile", "heap", "goroutine"):
                self.add(f"{page}?{query}", self.get(PPROF + page + "?" + query), 400)
        self.add("heap?seconds=0", self.get(PPROF + "heap?seconds=0"), 400)
        self.add("symbol?seconds=abc", self.get(PPROF + "symbol?seconds=abc"), 200)
        self.add("profile of a second", self.get(PPROF + "profile?seconds=1"), 200)
        for query in ("", "?0x0", "?junk", "?0xffffffffffffffffff", "?1+2+3", "?++++"):
            self.add(f"symbol{query}", self.get(PPROF + "symbol" + query), 200)

    def syntax(self):
        get = f"GET {PPROF} HTTP/1.1"
        for name, data in (
                ("bare LF everywhere", self.get().replace(b"\r\n", b"\n")),
                ("bare LF behind a header", self.get(PPROF, "A: b\nC: d")),
                ("bare CR in a header", self.get(PPROF, "A: b\rC: d")),
                ("NUL in a header", self.get(PPROF, "A: b\0c")),
                ("control byte in a header", self.get(PPROF, "A: \x1b[0m")),
                ("header without colon", self.get(PPROF, "A")),
                ("header without name", self.get(PPROF, ": b")),
                ("blank before the colon", self.get(PPROF, "A : b")),
                ("folded header", self.get(PPROF, "A: b", " c")),
                ("empty line first", b"\r\n" + self.get()),
                ("two blanks", self.head(f"GET  {PPROF} HTTP/1.1")),
                ("tab for a blank", self.head(f"GET\t{PPROF} HTTP/1.1")),
                ("no version", self.head(f"GET {PPROF}")),
                ("HTTP/0.9", self.head(f"GET {PPROF} HTTP/0.9")),
                ("HTTP/1.2", self.head(f"GET {PPROF} HTTP/1.2")),
                ("HTTP/2.0", self.head(f"GET {PPROF} HTTP/2.0")),
                ("http/1.1", self.head(f"GET {PPROF} http/1.1")),
                ("blank behind the version", self.head(get + " ")),
                ("HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
                ("TLS hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 32),
                ("target without slash", self.get("debug/pprof/")),
                ("target with fragment", self.get(PPROF + "#top")),
                ("target with high byte", self.get(PPROF + "\xe9")),
                ("https target", self.get("https://localhost/")),
                ("rubbish", b"\0" * 64)):
            self.add(name, data, 400)
        whole = self.get()
        for cut in (1, 10, len(get) + 1, len(whole) - 3, len(whole) - 1):
            self.add(f"cut after {cut} bytes", whole[:cut], *NO_ANSWER, ends=True)
        self.add("nothing at all", b"", *NO_ANSWER, ends=True)

    def sizes(self):
        def padded(size):
            empty = len(self.get(PPROF, "X: "))
            return self.get(PPROF, "X: " + "x" * (size - empty))

        self.add("head of 8192 bytes", padded(8192), 200)
        self.add("head of 8193 bytes", padded(8193), 431)
        self.add("head of a million bytes", padded(1000000), 431)
        self.add("target of a million bytes", self.get("/" + "a" * 1000000), 431)
        self.add("64 headers", self.get(PPROF, *["A: b"] * 62), 200)
        self.add("65 headers", self.get(PPROF, *["A: b"] * 63), 400)

    def chunked(self, body, *headers):
        return self.head(f"POST {PPROF}symbol HTTP/1.1", "Transfer-Encoding: chunked", *headers) + body

    def with_length(self, length, body=b""):
        return self.head(f"POST {PPROF}symbol HTTP/1.1", f"Content-Length: {length}") + body

    def bodies(self):
        symbol = PPROF + "symbol"
        tokens = b"+".join(b"0x%x" % pc for pc in range(1, 100001))
        self.add("symbol", self.post(symbol, b"0x1+0x2"), 200)
        self.add("symbol of 100,000 addresses", self.post(symbol, tokens), 200)
        self.add("symbol of 4 MiB", self.post(symbol, b"+" * (4 << 20)), 200)
        self.add("symbol of 4 MiB and a byte", self.with_length((4 << 20) + 1), 413)
        self.add("length without end", self.with_length("9" * 40), 413)
        for length in ("-1", "+1", "0x1", "1, 1", "1 1", "", "abc"):
            self.add(f"length '{length}'", self.with_length(length), 400)
        self.add("two lengths", self.post(symbol, b"0x1", "Content-Length: 3"), 400)
        self.add("length and chunks", self.chunked(b"0\r\n\r\n", "Content-Length: 5"), 400)
        self.add("chunks", self.chunked(b"3\r\n0x1\r\n4;x=y\r\n+0x2\r\n0\r\nA: b\r\n\r\n"), 200)
        self.add("no chunks", self.chunked(b"0\r\n\r\n"), 200)
        self.add("chunk without size", self.chunked(b"\r\n"), 400)
        self.add("chunk with bare LF", self.chunked(b"3\n0x1\n0\n\n"), 400)
        self.add("chunk longer than it says", self.chunked(b"2\r\n0x1\r\n0\r\n\r\n"), 400)
        self.add("chunk size overflows", self.chunked(b"fffffffffffffffff\r\n"), 400)
        self.add("chunk of 4 GiB", self.chunked(b"ffffffff\r\nx"), 413)
        self.add("chunk size line without end", self.chunked(b"1;" + b"x" * 5000), 400)
        self.add("gzip encoding", self.head(f"POST {symbol} HTTP/1.1", "Transfer-Encoding: gzip"), 501)
        self.add("chunks in HTTP/1.0", self.head(f"POST {symbol} HTTP/1.0", "Transfer-Encoding: chunked"), 400)
        self.add("other expectation", self.post(symbol, b"", "Expect: 200-ok"), 417)
        self.add("body cut short", self.with_length(10, b"0x1"), *NO_ANSWER, ends=True)
        self.add("chunks cut short", self.chunked(b"3\r\n0x"), *NO_ANSWER, ends=True)
        self.add("body without key", self.post(symbol, b"0x1", auth=False), 401)
        self.add("large body without key", self.head(f"POST {symbol} HTTP/1.1", "Content-Length: 9999999",
                                                     auth=False), 401)

    def sequences(self):
        cmdline = PPROF + "cmdline"
        unknown = PPROF + "nothing"
        self.add("pipeline", self.get(cmdline) + self.get(unknown) + self.get(cmdline), 200, 404, 200)
        self.add("pipeline of 100", self.get(cmdline) * 100, *[200] * 100)
        self.add("pipeline behind a body", self.post(PPROF + "symbol", b"0x1") + self.get(unknown), 200, 404)
        self.add("pipeline behind chunks", self.chunked(b"0\r\n\r\n") + self.get(unknown), 200, 404)
        self.add("pipeline behind a dropped body", self.get(cmdline, "Content-Length: 3") + b"abc"
                 + self.get(unknown), 200, 404)
        self.add("pipeline behind close", self.get(cmdline, "Connection: close") + self.get(unknown), 200)
        self.add("pipeline behind bad syntax", b"BAD\r\n\r\n" + self.get(cmdline), 400)
        self.add("pipeline behind a missing key", self.get(auth=False) + self.get(cmdline), 401, 200)
        self.add("pipeline behind a profile", self.get(PPROF + "profile?seconds=1") + self.get(unknown), 200, 404)
        self.add("HTTP/1.0 twice", self.head(f"GET {cmdline} HTTP/1.0") * 2, 200)
        self.add("HTTP/1.0 twice, kept", self.head(f"GET {cmdline} HTTP/1.0", "Connection: keep-alive") * 2,
                 200, 200)
        self.add("half closed", self.get(cmdline) * 2, 200, 200, ends=True)
        self.add("smuggled by a body", self.get(cmdline, "Content-Length: 70000") + self.get(unknown) * 3, 200)

    def order(self):
        """What is looked at first decides."""
        self.add("foreign host, no key", self.get(host="evil.example", auth=False), 403)
        self.add("foreign page, no key", self.get(PPROF, "Origin: null", auth=False), 403)
        self.add("no key, bad method", self.head(f"PUT {PPROF} HTTP/1.1", auth=False), 401)
        self.add("no key, unknown path", self.get("/nothing", auth=False), 401)
        self.add("no key, bad length", self.get(PPROF, "Content-Length: x", auth=False), 401)
        self.add("bad method, unknown path", self.head("PUT /nothing HTTP/1.1"), 405)
        self.add("bad syntax, no key", b"GET / HTTP/1.1\r\nbad\r\n\r\n", 400)


class Checks:
    def __init__(self, port, key):
        self.port = port
        self.table = Table(key)
        self.passed = 0
        self.failed = 0

    def check(self, name, got, expected):
        if got == expected:
            self.passed += 1
        else:
            self.failed += 1
            print(f"FAILED {name}: {got!r}, not {expected!r}")

    def ask(self, data, head_only=False):
        connection = Connection(self.port)
        connection.say(data)
        answer = connection.hear(head_only)
        connection.close()
        return answer

    def statuses(self, row):
        connection = Connection(self.port)
        connection.say(row.data)
        if row.ends:
            connection.end()
        got = []
        answer = None
        for _ in row.statuses:
            answer = connection.hear(row.head_only)
            got.append(answer.status if answer and answer.whole else None)
        ends = answer.get("Connection") == "close" if answer else not row.statuses
        if ends and not connection.is_closed():
            got.append("more")
        connection.close()
        return tuple(got)

    def run_row(self, row):
        got = self.statuses(row)
        if 429 in got and 429 not in row.statuses:  # our wrong keys came too fast
            time.sleep(1.1)
            got = self.statuses(row)
        self.check(row.name, got, row.statuses)

    def error_form(self, name, data, status, body):
        answer = self.ask(data)
        self.check(f"{name}: status", answer.status, status)
        self.check(f"{name}: type", answer.all("Content-Type"), ["text/plain; charset=utf-8"])
        self.check(f"{name}: X-Go-Pprof", answer.all("X-Go-Pprof"), ["1"])
        self.check(f"{name}: nosniff", answer.all("X-Content-Type-Options"), ["nosniff"])
        self.check(f"{name}: no attachment", answer.all("Content-Disposition"), [])
        self.check(f"{name}: ends with newline", answer.body.endswith(b"\n"), True)
        if body is not None:
            self.check(f"{name}: body", answer.body, body)
        return answer

    def errors(self):
        t = self.table
        answer = self.error_form("no key", t.get(auth=False), 401, None)
        self.check("challenges", answer.all("WWW-Authenticate"),
                   ['Basic realm="pprof"', 'Bearer realm="pprof"'])
        self.check("401 says how", b"Authorization: Bearer" in answer.body, True)
        self.error_form("unknown", t.get(PPROF + "nothing"), 404, b"Unknown profile\n")
        self.error_form("elsewhere", t.get("/x"), 404,
                        b"Nothing is here; the profiles are at /debug/pprof/\n")
        self.error_form("foreign host", t.get(host="evil.example"), 403, None)
        self.error_form("foreign page", t.get(PPROF, "Origin: null"), 403, None)
        self.error_form("bad syntax", b"BAD\r\n\r\n", 400, b"Malformed request.\n")
        self.error_form("trace", t.get(PPROF + "trace"), 501, None)
        answer = self.error_form("method", t.head(f"PUT {PPROF} HTTP/1.1"), 405, None)
        self.check("allowed methods", answer.get("Allow"), "GET, HEAD")
        answer = self.error_form("symbol's method", t.head(f"PUT {PPROF}symbol HTTP/1.1"), 405, None)
        self.check("allowed methods of symbol", answer.get("Allow"), "GET, HEAD, POST")

    @staticmethod
    def of_a_file(answer):
        """The headers, with what is different each time taken out of the name."""
        return [(name, re.sub(r'"[\w.-]+-\d+-cpu-\d{8}T\d{4}Z\.pb\.gz"', '"PROGRAM-PID-cpu-TIME.pb.gz"', value))
                for name, value in answer.headers]

    def headers(self):
        t = self.table
        profile = [("Content-Type", "application/octet-stream"),
                   ("Content-Disposition", 'attachment; filename="PROGRAM-PID-cpu-TIME.pb.gz"'),
                   ("X-Content-Type-Options", "nosniff"), ("Cache-Control", "no-store"),
                   ("Server", "pprofshim"), ("Transfer-Encoding", "chunked")]
        answer = self.ask(t.get(PPROF + "profile?seconds=1"))
        self.check("profile: headers", self.of_a_file(answer), profile)
        self.check("profile: is a gzip file", answer.body[:2], b"\x1f\x8b")
        answer = self.ask(t.head(f"HEAD {PPROF}profile HTTP/1.1"), head_only=True)
        self.check("HEAD profile: the same headers", self.of_a_file(answer), profile)
        answer = self.ask(t.head(f"GET {PPROF}profile?seconds=1 HTTP/1.0"))
        self.check("HTTP/1.0 profile: version", answer.version, "HTTP/1.0")
        self.check("HTTP/1.0 profile: headers", self.of_a_file(answer),
                   profile[:-1] + [("Connection", "close")])
        self.check("HTTP/1.0 profile: is a gzip file", answer.body[:2], b"\x1f\x8b")
        answer = self.ask(t.get())
        self.check("index: type", answer.get("Content-Type"), "text/html; charset=utf-8")
        self.check("index: links", b'<a href="profile?seconds=5">profile</a>' in answer.body, True)
        answer = self.ask(t.get(PPROF + "symbol"))
        self.check("symbol: body", answer.body, b"num_symbols: 1\n")
        self.check("symbol: type", answer.get("Content-Type"), "text/plain; charset=utf-8")
        answer = self.ask(t.get("/debug/pprof?a=b"))
        self.check("redirect", answer.get("Location"), "/debug/pprof/?a=b")
        answer = self.ask(t.get("//debug/pprof/cmdline"))
        self.check("redirect to the clean path", answer.get("Location"), "/debug/pprof/cmdline")

    def invitation(self):
        t = self.table
        head = t.head(f"POST {PPROF}symbol HTTP/1.1", "Content-Length: 3", "Expect: 100-continue")
        connection = Connection(self.port)
        connection.say(head)
        self.check("invited", connection.hear().status, 100)
        connection.say(b"0x1")
        self.check("answered behind the invitation", connection.hear().status, 200)
        connection.close()

    def closing(self):
        t = self.table
        for name, data in (("close", t.get(PPROF, "Connection: close")), ("HTTP/1.0", t.head("GET / HTTP/1.0")),
                           ("bad syntax", b"BAD\r\n\r\n"), ("too large", t.with_length(9999999))):
            connection = Connection(self.port)
            connection.say(data)
            answer = connection.hear()
            self.check(f"{name}: says that it closes", answer.get("Connection"), "close")
            self.check(f"{name}: closes", connection.is_closed(), True)
            connection.close()

    def flood(self):
        """Many wrong keys at once: some are sent away, the right one never is."""
        t = self.table
        wrong = t.get(PPROF, "Authorization: Bearer wrong", auth=False)
        got = [self.ask(wrong).status for _ in range(40)]
        self.check("wrong keys", set(got), {401, 429})
        self.check("right key meanwhile", self.ask(t.get()).status, 200)
        self.check("no key meanwhile", self.ask(t.get(auth=False)).status, 401)

    def slow(self, connection):
        answer = connection.hear()
        self.check("slow head", answer and answer.status, 408)
        connection.close()

    def still_there(self):
        answer = self.ask(self.table.get(PPROF + "shim"))
        self.check("still there", answer.status, 200)
        self.check("counts what it refused", b"http_bad_requests " in answer.body, True)

    def run(self):
        slow = Connection(self.port)
        slow.say(b"GET /slow")
        for row in self.table.rows:
            self.run_row(row)
        self.errors()
        self.headers()
        self.invitation()
        self.closing()
        self.flood()
        self.slow(slow)
        self.still_there()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--key", required=True)
    args = parser.parse_args()
    checks = Checks(args.port, args.key)
    try:
        checks.run()
    except (OSError, AttributeError, ValueError) as error:
        checks.check("the run", f"{type(error).__name__}: {error}", "no exception")
    print(f"{checks.passed} passed, {checks.failed} failed")
    return 1 if checks.failed else 0


if __name__ == "__main__":
    sys.exit(main())
