"""The CRI's gRPC face: thin handlers that convert, ask the lifecycle, and convert back. Only here is gRPC known."""
