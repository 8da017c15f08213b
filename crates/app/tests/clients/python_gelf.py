"""Logs with pygelf, over UDP in parts and over TCP.

Arguments: host, port.
"""

import logging
import sys

from pygelf import GelfTcpHandler, GelfUdpHandler

host, port = sys.argv[1], int(sys.argv[2])
logger = logging.getLogger("shop")
logger.setLevel(logging.INFO)
logger.propagate = False
logger.addHandler(GelfUdpHandler(host, port, chunk_size=300, _app="udp", include_extra_fields=True))
logger.addHandler(GelfTcpHandler(host, port, _app="tcp", include_extra_fields=True))
# What hardly compresses comes in several parts.
logger.error("order 7 é " + "".join(f"{number * 7919 % 99991:05d}" for number in range(400)), extra={"order": 7})
try:
    raise ValueError("no such order")
except ValueError:
    logger.exception("broken")
