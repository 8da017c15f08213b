"""Sends lines with splunk-hec-handler, a logging handler for Splunk's HTTP event collector.

Arguments: host, port, how many lines, and the token.
"""

import logging
import sys

from splunk_hec_handler import SplunkHecHandler

host, port, count, token = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
handler = SplunkHecHandler(host, token, port=port, proto="http", source="orders.py", sourcetype="shop", hostname="h-1")
logger = logging.getLogger("shop.orders")
logger.setLevel(logging.INFO)
logger.propagate = False
logger.addHandler(handler)
for number in range(count):
    fields = {"user_id": f"u-{number}"}
    logger.error({"message": f'order {number} é "quoted"', "order": number, "fields": fields})
