"""A small MQTT client, 3.1.1 and 5, QoS 0 to 2: what the tests need and no more.

One thread reads; calls may come from any thread. Nothing reconnects by itself: a test that cuts a
connection wants to see it cut.
"""

import os
import socket
import struct
import threading
import time

CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP = 1, 2, 3, 4, 5, 6, 7
SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, DISCONNECT = 8, 9, 10, 11, 14

# MQTT 5 property identifiers by the kind of their value.
_BYTE = {0x01, 0x17, 0x19, 0x24, 0x25, 0x28, 0x29, 0x2A}
_TWO = {0x13, 0x21, 0x22, 0x23}
_FOUR = {0x02, 0x11, 0x18, 0x27}
_TEXT = {0x03, 0x08, 0x09, 0x12, 0x15, 0x16, 0x1A, 0x1C, 0x1F}
CONTENT_TYPE = 0x03


class Refused(Exception):
    """The broker answered with a failure code."""


class Message:
    def __init__(self, topic, payload, qos, retain, properties):
        self.topic, self.payload, self.qos = topic, payload, qos
        self.retain, self.properties = retain, properties
        self.arrived = time.monotonic()

    def __repr__(self):
        return f"<{self.topic} qos={self.qos} retain={self.retain} {self.payload[:200]!r}>"


def _text(value):
    data = value.encode() if isinstance(value, str) else value
    return struct.pack(">H", len(data)) + data


def _number(n):
    out = bytearray()
    while True:
        n, low = divmod(n, 128)
        out.append(low | (0x80 if n else 0))
        if not n:
            return bytes(out)


def _read_number(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at


def _read_properties(data, at):
    length, at = _read_number(data, at)
    end, found = at + length, {}
    while at < end:
        kind, at = _read_number(data, at)
        if kind in _BYTE:
            found[kind], at = data[at], at + 1
        elif kind in _TWO:
            found[kind], at = struct.unpack_from(">H", data, at)[0], at + 2
        elif kind in _FOUR:
            found[kind], at = struct.unpack_from(">I", data, at)[0], at + 4
        elif kind in _TEXT:
            n = struct.unpack_from(">H", data, at)[0]
            found[kind], at = data[at + 2 : at + 2 + n], at + 2 + n
        elif kind == 0x0B:
            found[kind], at = _read_number(data, at)
        elif kind == 0x26:
            pair = []
            for _ in range(2):
                n = struct.unpack_from(">H", data, at)[0]
                pair.append(data[at + 2 : at + 2 + n])
                at += 2 + n
            found.setdefault(kind, []).append(tuple(pair))
        else:
            raise ValueError(f"unknown MQTT 5 property {kind}")
    return found, end


def kinds(data):
    """Of the packets that begin in these bytes, which begin with one."""
    found, at = [], 0
    while at + 1 < len(data):
        found.append(data[at] >> 4)
        try:
            length, at = _read_number(data, at + 1)
        except IndexError:
            break
        at += length
    return found


class Client:
    """A connection. `messages` grows as they come; `changed` is notified at each packet."""

    def __init__(self, port, host="127.0.0.1", version=5, client_id=None, clean=True, expiry=0,
                 username=None, password=None, tls=None, in_flight=20, timeout=10):
        self.version, self.in_flight = version, in_flight
        self.client_id = client_id if client_id is not None else "test-" + os.urandom(6).hex()
        self.messages, self.changed = [], threading.Condition()
        self.closed, self.session_present = None, False
        self._next_id, self._waiting, self._answers, self._received = 0, set(), {}, set()
        self._send_lock = threading.Lock()
        self._socket = socket.create_connection((host, port), timeout=timeout)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self._open(host, version, clean, expiry, username, password, tls)
        except Exception:
            self._socket.close()
            raise
        self._socket.settimeout(None)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _open(self, host, version, clean, expiry, username, password, tls):
        if tls is not None:
            self._socket = tls.wrap_socket(self._socket, server_hostname=host)
        flags = 2 if clean else 0
        flags |= (0x80 if username is not None else 0) | (0x40 if password is not None else 0)
        body = _text("MQTT") + bytes([version if version == 5 else 4, flags]) + b"\0\0"
        if version == 5:
            properties = b"\x11" + struct.pack(">I", expiry) if expiry else b""
            body += _number(len(properties)) + properties
        body += _text(self.client_id)
        body += _text(username) if username is not None else b""
        body += _text(password) if password is not None else b""
        self._send(CONNECT, 0, body)
        kind, _, answer = self._receive()
        if kind != CONNACK or answer[1] != 0:
            raise Refused(f"packet {kind}, code {answer[1]}")
        self.session_present = bool(answer[0] & 1)

    def subscribe(self, pattern, qos=1, timeout=10):
        n = self._take_id()
        body = struct.pack(">H", n) + (b"\0" if self.version == 5 else b"")
        self._send(SUBSCRIBE, 2, body + _text(pattern) + bytes([qos]))
        self._until(lambda: n in self._answers, timeout, "an answer to SUBSCRIBE")
        if self._answers.pop(n) > 2:
            raise Refused(f"subscription to {pattern}")

    def publish(self, topic, payload, qos=1, retain=False, timeout=20):
        """Returns when the broker has taken it over (QoS 0: when it was written)."""
        self.publish_soon(topic, payload, qos, retain, timeout)
        self.flush(timeout)

    def publish_soon(self, topic, payload, qos=1, retain=False, timeout=20):
        """Leaves up to `in_flight` unacknowledged; flush() waits for the rest."""
        data = payload.encode() if isinstance(payload, str) else payload
        body, n = _text(topic), 0
        if qos:
            self._until(lambda: len(self._waiting) < self.in_flight, timeout, "PUBACK")
            n = self._take_id()
            body += struct.pack(">H", n)
        body += (b"\0" if self.version == 5 else b"") + data
        self._send(PUBLISH, (qos << 1) | (1 if retain else 0), body)

    def flush(self, timeout=20):
        self._until(lambda: not self._waiting, timeout, "all acknowledgements")

    def wait(self, wanted, timeout=10):
        """The first message that `wanted` is true of; None after `timeout`."""
        end, seen = time.monotonic() + timeout, 0
        with self.changed:
            while True:
                for seen in range(seen, len(self.messages)):
                    if wanted(self.messages[seen]):
                        return self.messages[seen]
                seen = len(self.messages)
                if not self.changed.wait(max(0, end - time.monotonic())):
                    if time.monotonic() >= end:
                        return None

    def close(self, gracefully=True):
        if self.closed is None and gracefully:
            try:
                self._send(DISCONNECT, 0, b"")
            except OSError:
                pass
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._socket.close()
        self._thread.join(5)

    def join(self):
        """After the broker's end: takes what it had still written, then closes."""
        self._thread.join(5)
        self.close(gracefully=False)

    # --- below: packets ---

    def _take_id(self):
        with self.changed:
            while True:
                self._next_id = self._next_id % 65535 + 1
                if self._next_id not in self._waiting:
                    self._waiting.add(self._next_id)
                    return self._next_id

    def _until(self, true, timeout, what):
        with self.changed:
            if not self.changed.wait_for(lambda: true() or self.closed, timeout) or not true():
                raise TimeoutError(f"{self.client_id}: no {what} ({self.closed or 'still open'})")

    def _send(self, kind, flags, body):
        with self._send_lock:
            self._socket.sendall(bytes([kind << 4 | flags]) + _number(len(body)) + body)

    def _exactly(self, n):
        parts = bytearray()
        while len(parts) < n:
            part = self._socket.recv(n - len(parts))
            if not part:
                raise ConnectionError("closed by the broker")
            parts += part
        return bytes(parts)

    def _receive(self):
        head = self._exactly(1)[0]
        length = shift = 0
        while True:
            byte = self._exactly(1)[0]
            length |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return head >> 4, head & 15, self._exactly(length)

    def _read(self):
        try:
            while True:
                self._take(*self._receive())
        except (OSError, ValueError, IndexError) as error:
            with self.changed:
                self.closed = error
                self.changed.notify_all()

    def _take(self, kind, flags, body):
        if kind == PUBLISH:
            self._take_message(flags, body)
            return
        n = struct.unpack_from(">H", body)[0] if len(body) >= 2 else 0
        if kind == PUBREC:
            self._send(PUBREL, 2, struct.pack(">H", n))
            return
        if kind == PUBREL:
            self._send(PUBCOMP, 0, struct.pack(">H", n))
            self._received.discard(n)
            return
        with self.changed:
            if kind == DISCONNECT:
                self.closed = f"DISCONNECT {body[:1].hex()}"
            elif kind == SUBACK:
                self._answers[n] = body[-1]
                self._waiting.discard(n)
            elif kind in (PUBACK, PUBCOMP):
                self._waiting.discard(n)
            self.changed.notify_all()

    def _take_message(self, flags, body):
        qos, length = flags >> 1 & 3, struct.unpack_from(">H", body)[0]
        topic, at, n = body[2 : 2 + length].decode(), 2 + length, 0
        if qos:
            n, at = struct.unpack_from(">H", body, at)[0], at + 2
        properties = {}
        if self.version == 5:
            properties, at = _read_properties(body, at)
        if qos < 2 or n not in self._received:
            with self.changed:
                self.messages.append(Message(topic, body[at:], qos, bool(flags & 1), properties))
                self.changed.notify_all()
        if qos == 1:
            self._send(PUBACK, 0, struct.pack(">H", n))
        elif qos == 2:
            self._received.add(n)
            self._send(PUBREC, 0, struct.pack(">H", n))
