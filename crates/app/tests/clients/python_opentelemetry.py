"""Sends lines with OpenTelemetry's SDK and one of its OTLP exporters, in protobuf with gzip.

Arguments: URL of the logs endpoint, or grpc://HOST:PORT for the exporter over gRPC; how many lines; and a key if one is needed.
"""

import logging
import sys

from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource

url, count = sys.argv[1], int(sys.argv[2])
key = sys.argv[3] if len(sys.argv) > 3 else None
results = []

if url.startswith("grpc://"):
    from grpc import Compression
    from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter

    settings = {"endpoint": url.removeprefix("grpc://"), "insecure": True}
    headers = (("x-api-key", key),) if key else None
else:
    from opentelemetry.exporter.otlp.proto.http import Compression
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter

    settings = {"endpoint": url}
    headers = {"X-API-Key": key} if key else None


class Exporter(OTLPLogExporter):
    """Remembers what became of each batch: the SDK only logs it."""

    def export(self, batch):
        results.append(super().export(batch))
        return results[-1]


resource = Resource.create({"service.name": "otel-shop", "deployment.environment": "test", "host.name": "h-1"})
provider = LoggerProvider(resource=resource)
exporter = Exporter(headers=headers, compression=Compression.Gzip, **settings)
provider.add_log_record_processor(BatchLogRecordProcessor(exporter))
logger = logging.getLogger("shop.orders")
logger.setLevel(logging.INFO)
logger.propagate = False
logger.addHandler(LoggingHandler(logger_provider=provider))
for number in range(count):
    if number % 10 == 9:
        logger.error("order %d failed", number, extra={"user.id": f"u-{number}"})
    else:
        logger.info('order %d é "quoted"', number)
provider.shutdown()
if not results or any(result.name != "SUCCESS" for result in results):
    sys.exit(f"not sent: {results}")
