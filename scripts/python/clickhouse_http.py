"""ClickHouse's own engine (chdb) behind the part of its HTTP interface that clients use, for tests.

usage: clickhouse_http.py FOLDER PORT

Keeps its data in FOLDER/data. When standard input ends, whoever started it is gone: it ends too, and removes FOLDER.

Listens on 127.0.0.1 alone. Queries come as the body, as `query` in the address, or as a field of a form, with parameters as
`param_NAME` in either; what is inserted comes behind the query, whole or in ClickHouse's LZ4 blocks. Every request has a
connection of its own to the engine, so that its database and settings end with it. Answers are made whole before they are sent.
"""

import os
import re
import shutil
import struct
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

import chdb
import lz4.block

FOLDER, PORT = os.path.join(sys.argv[1], "data"), int(sys.argv[2])
# While this connection is open, so is the engine.
ENGINE = chdb.connect(FOLDER)
CONNECTING = threading.Lock()

# Fields of a request that are no settings of the engine.
NOT_SETTINGS = {
    "query", "database", "default_format", "user", "password", "quota_key", "session_id", "query_id", "compress",
    "decompress", "wait_end_of_query", "role", "enable_http_compression", "send_progress_in_http_headers",
    "cancel_http_readonly_queries_on_client_close",
}
INSERT = re.compile(rb"\s*INSERT\s+INTO\s", re.I)
INSERT_DATA = re.compile(rb"(.*?)\sFORMAT\s+(\w+)\s?", re.I | re.S)
STATUS_BY_CODE = {60: 404, 81: 404, 159: 408, 192: 403, 193: 403, 252: 500, 241: 500, 516: 403}


def inflated(data):
    """The content of ClickHouse's compressed blocks: checksum (16), method (1), packed size with 9 of head (4), size (4)."""
    parts, at = [], 0
    while at < len(data):
        method, packed, size = struct.unpack_from("<BII", data, at + 16)
        body = data[at + 25:at + 16 + packed]
        if len(body) != packed - 9:
            raise ValueError("Code: 33. block is cut off")
        parts.append(body if method == 0x02 else lz4.block.decompress(body, uncompressed_size=size))
        at += 16 + packed
    return b"".join(parts)


def form_fields(content_type, body):
    """Names and values of a form, cut at its boundary: a parser of mail takes up to 0.4 ms, which no ClickHouse does."""
    boundary = b"\r\n--" + content_type.partition("boundary=")[2].strip('"').encode()
    for part in (b"\r\n" + body).split(boundary)[1:-1]:
        head, _, value = part.partition(b"\r\n\r\n")
        yield re.search(rb'name="([^"]*)"', head)[1].decode(), value.decode()


class Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def read_body(self):
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while True:
            line = self.rfile.readline()
            if not line.strip():
                raise ConnectionError("body is cut off")
            size = int(line.split(b";")[0], 16)
            parts.append(self.rfile.read(size))
            if len(parts[-1]) != size:
                raise ConnectionError("body is cut off")
            self.rfile.readline()
            if size == 0:
                return b"".join(parts)

    def reply(self, status, body, **headers):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        address = urlsplit(self.path)
        if address.path == "/ping":
            return self.reply(200, b"Ok.\n")
        fields = dict(parse_qsl(address.query, keep_blank_values=True))
        try:
            body = self.read_body()
        except ConnectionError:
            self.close_connection = True
            return None
        content_type = self.headers.get("Content-Type", "")
        if content_type.startswith("multipart/form-data"):
            fields.update(form_fields(content_type, body))
            body = b""
        try:
            if fields.get("decompress") == "1":
                body = inflated(body)
            result = self.run(fields, body)
        except Exception as error:  # the engine's errors have no class of their own
            text = str(error).strip()
            code = re.search(r"Code: (\d+)", text)
            code = int(code[1]) if code else 1002
            return self.reply(STATUS_BY_CODE.get(code, 400), text.encode() + b"\n", X_ClickHouse_Exception_Code=str(code))
        return self.reply(200, result, X_ClickHouse_Server_Display_Name="chdb")

    do_POST = do_GET

    def run(self, fields, body):
        with CONNECTING:
            connection = chdb.connect(FOLDER)
        try:
            if fields.get("database"):
                connection.query("USE `" + fields["database"].replace("`", "") + "`")
            settings = {name: value for name, value in fields.items()
                        if name not in NOT_SETTINGS and not name.startswith("param_")}
            if settings:
                def text(value):
                    return value.replace("\\", "\\\\").replace("'", "\\'")
                connection.query("SET " + ", ".join(f"{name} = '{text(value)}'" for name, value in settings.items()))
            query = fields.get("query", "").encode()
            query = query + b"\n" + body if query and body else query or body
            if INSERT.match(query):
                matched = INSERT_DATA.match(query)
                if matched:
                    return self.insert(connection, matched[1], matched[2], query[matched.end():])
            parameters = {name[6:]: value for name, value in fields.items() if name.startswith("param_")}
            answer = connection.query(query.decode("utf-8", "surrogateescape"),
                                      fields.get("default_format", "TabSeparated"), params=parameters)
            return answer.bytes()
        finally:
            connection.close()

    @staticmethod
    def insert(connection, query, form, data):
        inserter = connection.send_insert(query.decode(), form.decode())
        try:
            inserter.append(data)
            inserter.finish()
        except BaseException:
            inserter.cancel()
            raise
        return b""


def end_with_parent():
    sys.stdin.read()
    shutil.rmtree(sys.argv[1], ignore_errors=True)
    os._exit(0)


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


threading.Thread(target=end_with_parent, daemon=True).start()
Server(("127.0.0.1", PORT), Answer).serve_forever()
