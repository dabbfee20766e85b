"""A small client of Valkey's protocol (RESP2): one command at a time, or a list in one go."""

import socket


class ErrorAnswer(Exception):
    """Valkey answered with an error."""


def answers(data):
    """How many whole answers stand in these bytes."""
    count, at = 0, 0

    def past(at):
        end = data.index(b"\r\n", at)
        kind, number = data[at : at + 1], data[at + 1 : end]
        at = end + 2
        if kind == b"$" and number != b"-1":
            at += int(number) + 2
        elif kind == b"*":
            for _ in range(max(0, int(number))):
                at = past(at)
        if at > len(data):
            raise ValueError
        return at

    try:
        while at < len(data):
            at = past(at)
            count += 1
    except ValueError:
        pass
    return count


class Client:
    def __init__(self, address, username=None, password=None, db=0, timeout=10):
        """address: a path of a unix socket, or a port on the loopback address."""
        if isinstance(address, int):
            self._socket = socket.create_connection(("127.0.0.1", address), timeout=timeout)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        else:
            self._socket = socket.socket(socket.AF_UNIX)
            self._socket.settimeout(timeout)
            try:
                self._socket.connect(address)
            except OSError:
                self._socket.close()
                raise
        self._file = self._socket.makefile("rb")
        if password is not None:
            self(*(["AUTH", username, password] if username else ["AUTH", password]))
        if db:
            self("SELECT", db)

    def __call__(self, *command):
        """Bytes, int, list or None; raises ErrorAnswer."""
        answer = self.pipeline([command])[0]
        if isinstance(answer, ErrorAnswer):
            raise answer
        return answer

    def pipeline(self, commands):
        """All answers in order; an error is an ErrorAnswer in the list."""
        self._socket.sendall(b"".join(self._encode(c) for c in commands))
        return [self._answer() for _ in commands]

    def text(self, *command):
        """As calling, with bytes decoded."""
        answer = self(*command)
        return answer.decode() if isinstance(answer, bytes) else answer

    def keys(self, pattern="*"):
        return sorted(key.decode() for key in self("KEYS", pattern))

    def info(self, section):
        lines = self("INFO", section).decode().splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)

    def close(self):
        self._file.close()
        self._socket.close()

    @staticmethod
    def _encode(command):
        out = [b"*%d\r\n" % len(command)]
        for word in command:
            data = word if isinstance(word, bytes) else str(word).encode()
            out.append(b"$%d\r\n%s\r\n" % (len(data), data))
        return b"".join(out)

    def _answer(self):
        line = self._file.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("closed by Valkey")
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest
        if kind == b"-":
            return ErrorAnswer(rest.decode())
        if kind == b":":
            return int(rest)
        if kind == b"$":
            length = int(rest)
            if length < 0:
                return None
            data = self._file.read(length + 2)
            if len(data) != length + 2:
                raise ConnectionError("closed by Valkey")
            return data[:-2]
        if kind == b"*":
            return None if int(rest) < 0 else [self._answer() for _ in range(int(rest))]
        raise ValueError(f"not RESP2: {line!r}")
