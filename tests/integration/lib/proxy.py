"""A TCP proxy for faults: it passes bytes on until it is told to stall, cut, refuse or delay."""

import select
import socket
import threading
import time


class Proxy:
    """Listens on `port`, connects to `target` (a port on the loopback address, or a unix socket).

    stall()   bytes stop in both directions, connections stay open
    refuse()  open connections are reset, new ones are closed at once
    delay(s)  every piece waits s seconds
    trickle(s, of_server)  bytes go on one by one, s seconds apart: of both sides, or of the server
    block(b)  connections whose first bytes have b in them are reset, now and from now on; None: no more
    cut(n)    connections are reset after n more bytes from the server, or from the client (0: now)
    cut_before(f)  the connection is reset in place of the first piece for which f(piece) is true, once
    alter(f, of_server)  pieces for which f(piece) is bytes go on as those: of both sides, or of the server
    heal()    as at the start
    """

    def __init__(self, target, port=0):
        self.target = target
        self._stalled = threading.Event()
        self._refusing, self._delay, self._left, self._stop = False, 0.0, None, False
        self._left_of_client = False
        self._blocked, self._first, self._before = None, {}, None
        self._alter, self._alter_server = None, False
        self._trickle, self._trickle_server = 0.0, False
        self._pairs, self._lock = set(), threading.Lock()
        self.accepted = 0
        self._listener = socket.create_server(("127.0.0.1", port), backlog=64)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def stall(self):
        self._stalled.set()

    def refuse(self):
        self._refusing = True
        self._cut_all()

    def block(self, pattern):
        self._blocked = pattern
        if pattern is not None:
            with self._lock:
                pairs = [p for p in self._pairs if pattern in self._first.get(p, b"")]
            for pair in pairs:
                self._reset(pair)

    def delay(self, seconds):
        self._delay = seconds

    def trickle(self, seconds, of_server=False):
        self._trickle, self._trickle_server = seconds, of_server

    def cut(self, after=0, of_client=False):
        if after:
            self._left, self._left_of_client = after, of_client
        else:
            self._cut_all()

    def cut_before(self, true_of):
        self._before = true_of

    def alter(self, to, of_server=False):
        self._alter, self._alter_server = to, of_server

    def heal(self):
        self._refusing, self._delay, self._left, self._blocked = False, 0.0, None, None
        self._trickle = 0.0
        self._before = self._alter = None
        self._stalled.clear()

    def close(self):
        self._stop = True
        self._listener.close()
        self._cut_all()

    def _cut_all(self):
        with self._lock:
            pairs, self._pairs = self._pairs, set()
        for pair in pairs:
            self._reset(pair)

    @staticmethod
    def _reset(pair):
        for s in pair:
            try:
                if s.family == socket.AF_INET:  # a reset, not an orderly end
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            s.close()

    def _accept(self):
        while not self._stop:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.accepted += 1
            if self._refusing:
                self._reset((client,))
                continue
            try:
                if isinstance(self.target, int):
                    server = socket.create_connection(("127.0.0.1", self.target), timeout=5)
                    server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                else:
                    server = socket.socket(socket.AF_UNIX)
                    server.connect(self.target)
            except OSError:
                self._reset((client,))
                continue
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            pair = (client, server)
            with self._lock:
                self._pairs.add(pair)
            threading.Thread(target=self._pass, args=(pair,), daemon=True).start()

    def _pass(self, pair):
        client, server = pair
        waiting = {client: b"", server: b""}  # of each side: read, and to go on byte by byte
        try:
            while True:
                if self._stalled.is_set():
                    time.sleep(0.005)
                    if client.fileno() < 0:
                        return
                    continue
                if any(waiting.values()):
                    for source, to in ((client, server), (server, client)):
                        n = 1 if self._trickle and (source is server or not self._trickle_server) else len(waiting[source])
                        to.sendall(waiting[source][:n])
                        waiting[source] = waiting[source][n:]
                    time.sleep(self._trickle)
                free = [side for side in pair if not waiting[side]]
                ready, _, _ = select.select(free, [], [], 0 if any(waiting.values()) else 0.05)
                for source in ready:
                    data = source.recv(65536)
                    if not data:
                        raise ConnectionError
                    if source is client and pair not in self._first:
                        self._first[pair] = data
                        if self._blocked is not None and self._blocked in data:
                            raise ConnectionError
                    if self._before is not None and self._before(data):
                        self._before = None
                        raise ConnectionError
                    if self._alter is not None and (source is server or not self._alter_server):
                        altered = self._alter(data)
                        data = data if altered is None else altered
                    if self._trickle:
                        waiting[source] = data
                        continue
                    if self._delay:
                        time.sleep(self._delay)
                    while self._stalled.is_set():  # read already, not yet passed on
                        time.sleep(0.005)
                    if (source is client) == self._left_of_client and self._left is not None:
                        data, self._left = data[: self._left], self._left - len(data)
                    (server if source is client else client).sendall(data)
                    if self._left is not None and self._left <= 0:
                        self._left = None
                        raise ConnectionError
        except (OSError, ValueError):
            pass
        with self._lock:
            self._pairs.discard(pair)
        self._reset(pair)
