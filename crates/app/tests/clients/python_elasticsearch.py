"""Sends lines with Elasticsearch's own client for Python: bulk requests, and one document by itself.

Arguments: URL of the server, how many lines, and a key if one is needed.
"""

import datetime
import sys

from elasticsearch import Elasticsearch, helpers

url, count = sys.argv[1], int(sys.argv[2])
client = Elasticsearch(url, api_key=sys.argv[3] if len(sys.argv) > 3 else None)
assert client.info()["version"]["number"]
assert client.cluster.health()["status"] == "green"
client.indices.put_index_template(name="orders", index_patterns=["orders*"], template={})
now = datetime.datetime.now(datetime.timezone.utc)
documents = (
    {
        "_op_type": "create",
        "_index": "orders",
        "@timestamp": (now + datetime.timedelta(milliseconds=number)).isoformat(),
        "message": f'order {number} é "quoted"',
        "service": {"name": "shop"},
        "log": {"level": "error" if number % 10 == 9 else "info"},
        "order": {"id": number},
    }
    for number in range(count - 1)
)
stored, errors = helpers.bulk(client, documents, chunk_size=7)
if stored != count - 1 or errors:
    sys.exit(f"{stored} stored, {errors}")
one = {"@timestamp": now.isoformat(), "message": "the last one", "service": {"name": "shop"}}
if client.index(index="orders", id="last", document=one)["result"] != "created":
    sys.exit("not created")
