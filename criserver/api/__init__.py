"""The CRI's gRPC face: thin handlers that convert, ask the lifecycle, and convert back. The only place that knows gRPC."""
