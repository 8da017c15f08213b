"""Pushes lines over gRPC with a client made of proto/timberyard/v1/push.proto, ten a batch, without waiting between batches.

Arguments: HOST:PORT, folder of the .proto files, how many lines, and a key if one is needed. Prints the numbers of the batches that
were acknowledged, in the order in which they were.
"""

import sys
import tempfile
import time

import grpc
from grpc_tools import protoc

address, protos, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
metadata = (("authorization", f"Bearer {sys.argv[4]}"),) if len(sys.argv) > 4 else ()
made = tempfile.mkdtemp()
file = "timberyard/v1/push.proto"
if protoc.main(["protoc", f"-I{protos}", f"--python_out={made}", f"--grpc_python_out={made}", file]) != 0:
    sys.exit(f"{file} cannot be used")
sys.path.insert(0, made)
from timberyard.v1 import push_pb2, push_pb2_grpc  # noqa: E402


def batches():
    now = time.time_ns()
    for start in range(0, count, 10):
        entries = [
            push_pb2.Entry(
                timestamp=push_pb2.Timestamp(seconds=(now + n) // 10**9, nanos=(now + n) % 10**9),
                line=f'order {n} é "quoted"'.encode(),
                metadata=[push_pb2.Pair(name="order", value=str(n).encode())],
            )
            for n in range(start, min(start + 10, count))
        ]
        stream = push_pb2.Stream(labels='{sender="python-push"}', entries=entries)
        yield push_pb2.PushRequest(streams=[stream], sequence=start // 10 + 1)


with grpc.insecure_channel(address) as channel:
    service = push_pb2_grpc.PushServiceStub(channel)
    for answer in service.Push(batches(), metadata=metadata, compression=grpc.Compression.Gzip, timeout=60):
        if answer.code != 0 or answer.rejected_entries != 0:
            sys.exit(f"refused: {answer}")
        print(answer.sequence)
