"""Generated messages and services of the CRI v1 interface: `from criserver.api.pb import api_pb2, api_pb2_grpc`.

Made from proto/cri/runtime/v1/api.proto by hack/gen-proto and committed, so that running needs no compiler. Nothing in
here but this file is written by hand; what a message means is told by the comments of api.proto, which the `.pyi`
files repeat as docstrings. Only `criserver.api` may import it: the layers below speak `criserver.model`.
"""
