"""ports - free ones on the loopback, each given to one test only."""
import random
import socket

RESERVED = []       # what we gave away stays ours until we end, also while nobody listens on it yet


def free_port():
    """Below the ephemeral range, so that no outgoing connection takes it meanwhile."""
    while True:
        port = random.SystemRandom().randint(20000, 31999)
        mark = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            mark.bind(f"\0paybuf-test-port-{port}")
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
        except OSError:
            mark.close()
            continue
        RESERVED.append(mark)
        return port
