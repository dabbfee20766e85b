"""The little of MQTT 3.1.1 that the simulator, the viewer and the tests of the deployment need, over
a plain socket, so that they ask for nothing but Python itself."""

import select
import socket
import struct
import time


class MqttError(Exception):
    """The connection is of no use any more."""


def _text(value):
    raw = value.encode() if isinstance(value, str) else value
    return struct.pack("!H", len(raw)) + raw


def _packet(first, body):
    length, size = len(body), bytearray()
    while True:
        length, low = divmod(length, 128)
        size.append(low | (0x80 if length else 0))
        if not length:
            return bytes([first]) + bytes(size) + body


class Client:
    """One connection. Not for use by several threads at once."""

    def __init__(self, host, port, client_id, keep_alive=30, username=None, password=None,
                 timeout=5.0, will=None):
        """will: (topic, payload, retain) or None."""
        self.keep_alive = keep_alive
        self.packet_id = 0
        self.unacknowledged = set()
        self.received = []
        self.buffer = bytearray()
        try:
            self.socket = socket.create_connection((host, port), timeout)
        except OSError as e:
            raise MqttError(f"{host}:{port}: {e}") from e
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sent_at = time.monotonic()
        flags, payload = 0x02, _text(client_id)
        if will:
            flags |= 0x04 | (0x20 if will[2] else 0)
            payload += _text(will[0]) + _text(will[1])
        if username is not None:
            flags |= 0x80
            payload += _text(username)
        if password is not None:
            flags |= 0x40
            payload += _text(password)
        self._send(_packet(0x10, _text("MQTT") + bytes([4, flags])
                           + struct.pack("!H", keep_alive) + payload))
        code = self._expect(0x20, timeout)[1]
        if code:
            raise MqttError(f"{host}:{port}: the broker refused the connection (code {code})")

    def publish(self, topic, payload, qos=0, retain=False):
        """QoS 1 does not wait for the acknowledgement: see flush()."""
        body, first = _text(topic), 0x30 | (qos << 1) | (1 if retain else 0)
        if qos:
            self.packet_id = self.packet_id % 0xFFFF + 1
            self.unacknowledged.add(self.packet_id)
            body += struct.pack("!H", self.packet_id)
        raw = payload.encode() if isinstance(payload, str) else payload
        self._send(_packet(first, body + raw))

    def subscribe(self, topics, qos=1, timeout=5.0):
        self.packet_id = self.packet_id % 0xFFFF + 1
        body = struct.pack("!H", self.packet_id)
        for topic in topics:
            body += _text(topic) + bytes([qos])
        self._send(_packet(0x82, body))
        if any(code > 2 for code in self._expect(0x90, timeout)[2:]):
            raise MqttError(f"the broker refused a subscription of {topics}")

    def flush(self, timeout=5.0):
        """Waits until everything published at QoS 1 is acknowledged."""
        deadline = time.monotonic() + timeout
        while self.unacknowledged:
            if time.monotonic() > deadline:
                raise MqttError("no acknowledgement in time")
            self._read(0.1)

    def wait(self, seconds):
        """Messages that come within the time, as (topic, payload, retained): returns at the first."""
        deadline = time.monotonic() + seconds
        while not self.received:
            left = deadline - time.monotonic()
            self._read(max(0.0, min(left, 1.0)))
            if left <= 0:
                break
        messages, self.received = self.received, []
        return messages

    def idle(self):
        """To be called every now and then where nothing else is: acknowledgements and keep-alive."""
        self._read(0.0)

    def close(self):
        try:
            self._send(_packet(0xE0, b""))
        except MqttError:
            pass
        self.socket.close()

    def _send(self, data):
        try:
            self.socket.sendall(data)
        except OSError as e:
            raise MqttError(f"sending failed: {e}") from e
        self.sent_at = time.monotonic()

    def _expect(self, kind, timeout):
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            for first, body in self._read(0.1):
                if first & 0xF0 == kind:
                    return body
        raise MqttError("no answer from the broker in time")

    def _read(self, seconds):
        """Reads what is there or comes in time. What concerns nobody else is dealt with here."""
        if self.keep_alive and time.monotonic() - self.sent_at > self.keep_alive / 2:
            self._send(_packet(0xC0, b""))
        if not select.select([self.socket], [], [], seconds)[0]:
            return []
        try:
            data = self.socket.recv(65536)
        except OSError as e:
            raise MqttError(f"receiving failed: {e}") from e
        if not data:
            raise MqttError("the broker closed the connection")
        self.buffer += data
        others = []
        while True:
            packet = self._cut()
            if packet is None:
                return others
            first, body = packet
            if first & 0xF0 == 0x30:
                self._message(first, body)
            elif first & 0xF0 == 0x40:
                self.unacknowledged.discard(struct.unpack("!H", body[:2])[0])
            else:
                others.append(packet)

    def _message(self, first, body):
        size = struct.unpack("!H", body[:2])[0]
        topic, at = body[2:2 + size].decode(errors="replace"), 2 + size
        if first & 0x06:
            self._send(_packet(0x40, body[at:at + 2]))
            at += 2
        self.received.append((topic, bytes(body[at:]), bool(first & 1)))

    def _cut(self):
        """The first whole packet of the buffer, as (first byte, body); None: not whole yet."""
        length, shift, at = 0, 0, 1
        while True:
            if at >= len(self.buffer):
                return None
            byte = self.buffer[at]
            length |= (byte & 0x7F) << shift
            shift, at = shift + 7, at + 1
            if not byte & 0x80:
                break
            if shift > 21:
                raise MqttError("a packet of impossible length")
        if len(self.buffer) < at + length:
            return None
        packet = self.buffer[0], bytes(self.buffer[at:at + length])
        del self.buffer[:at + length]
        return packet


def parse_address(text, default_port=1883):
    """HOST, HOST:PORT, [HOST]:PORT or mqtt://..., as (host, port)."""
    text = text.split("://", 1)[-1].rstrip("/")
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        return host, int(rest[1:] or default_port)
    host, _, port = text.partition(":")
    return host, int(port or default_port)
