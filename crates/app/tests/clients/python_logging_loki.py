"""Sends lines with python-logging-loki: URL of the push endpoint, how many lines, and a key if one is needed."""

import logging
import sys

import logging_loki

url, count = sys.argv[1], int(sys.argv[2])
auth = ("user", sys.argv[3]) if len(sys.argv) > 3 else None
handler = logging_loki.LokiHandler(url=url, tags={"sender": "python"}, version="1", auth=auth)
failed = []
handler.handleError = lambda record: failed.append(sys.exc_info()[1])

logger = logging.getLogger("shop")
logger.setLevel(logging.INFO)
logger.addHandler(handler)
for number in range(count):
    if number % 10 == 9:
        logger.error("order %d failed", number, extra={"tags": {"extra": "tag"}})
    else:
        logger.info('order %d é "quoted"', number)
if failed:
    sys.exit(f"not sent: {failed[0]}")
