"""Each rank notices within a minute when another one is gone, instead of waiting for it.

Rank 0 holds a connection to every other rank, over which both ends send a byte every few seconds.
A killed process closes its connection, a lost machine goes silent; a rank that waits inside a
collective operation would notice neither before the timeout of that operation.
"""

import os
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import torch.distributed as td

from vidrec.engine.distributed import Distributed

INTERVAL = 5.0  # seconds between two bytes
SILENCE = 40.0  # seconds without one after which a rank counts as lost
GRACE = 10.0  # seconds in which the rank's own error may end it with a better message
_BEAT, _GOODBYE = b".", b"q"
LOST = 4  # exit status of a rank that ends because another is gone


class Heartbeat:
    """Watches the other ranks until `stop`, in threads that are idle almost all the time.

    tell: called with one sentence when a rank is gone, before this process exits with status LOST.
    """

    def __init__(
        self,
        dist: Distributed,
        tell: Callable[[str], None],
        interval: float = INTERVAL,
        silence: float = SILENCE,
        grace: float = GRACE,
    ) -> None:
        self.dist = dist
        self.tell = tell
        self.interval, self.silence, self.grace = interval, silence, grace
        self.lost: str | None = None  # which rank is gone, and why
        self._stopped = threading.Event()
        self._peers: list[socket.socket] = []
        if dist.world > 1:
            self._connect()
        for peer in self._peers:
            threading.Thread(target=self._listen, args=(peer,), daemon=True).start()
        if self._peers:
            threading.Thread(target=self._beat, daemon=True).start()

    def stop(self, clean: bool) -> None:
        """Stop watching. If not `clean`, leave without a goodbye: the other ranks then exit too."""
        if self._stopped.is_set():
            return
        self._stopped.set()
        for peer in self._peers:
            with suppress(OSError):
                if clean:
                    peer.sendall(_GOODBYE)
                peer.close()

    def wait_for_loss(self, seconds: float = 2.0) -> str | None:
        """Which rank is gone, for an error that may be only its consequence; None if none is."""
        end = time.monotonic() + seconds if self._peers else 0
        while self.lost is None and time.monotonic() < end:
            time.sleep(0.05)
        return self.lost

    def _connect(self) -> None:
        """Rank 0 accepts every other rank; the first line that each end sends is its name."""
        name = f"{self.dist.rank} {socket.gethostname()}"
        place = [0]
        if self.dist.rank == 0:
            server = socket.create_server(("", 0), backlog=self.dist.world)
            place = [server.getsockname()[1]]
        td.broadcast_object_list(place, src=0)
        if self.dist.rank == 0:
            server.settimeout(self.silence)
            with server:
                self._peers = [server.accept()[0] for _ in range(self.dist.world - 1)]
        else:
            address = (os.environ.get("MASTER_ADDR", "127.0.0.1"), place[0])
            self._peers = [socket.create_connection(address, timeout=self.silence)]
        for peer in self._peers:
            peer.settimeout(self.silence)
            peer.sendall(f"{name}\n".encode())

    def _beat(self) -> None:
        while not self._stopped.wait(self.interval):
            for peer in self._peers:
                with suppress(OSError):  # whoever listens to it notices
                    peer.sendall(_BEAT)

    def _listen(self, peer: socket.socket) -> None:
        who = "another rank"
        try:
            with peer.makefile("rb") as stream:
                rank, host = stream.readline().decode().split()
                who = f"rank {rank} on {host}"
                while (byte := stream.read(1)) == _BEAT:
                    pass
            reason = None if byte == _GOODBYE else "has ended"
        except TimeoutError:
            reason = f"has been silent for {self.silence:.0f} s"
        except (OSError, ValueError):
            reason = "has ended"
        if reason is None or self._stopped.is_set():
            return
        self.lost = f"{who} {reason}"
        if not self._stopped.wait(self.grace):
            self.tell(self.lost)
            os._exit(LOST)
