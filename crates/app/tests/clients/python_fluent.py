"""Sends events with fluent-logger.

Arguments: host, port, how many events.
"""

import sys

from fluent import sender

host, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
fluent = sender.FluentSender("shop.web", host=host, port=port, nanosecond_precision=True)
for number in range(count):
    assert fluent.emit("orders", {"message": f'order {number} é "quoted"', "user": {"id": number}, "app": "shop"})
fluent.close()
