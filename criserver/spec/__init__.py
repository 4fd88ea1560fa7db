"""From a resolved wish to an OCI config.json: pure decisions, no I/O, no kernel, no gRPC.

`assemble.build(SpecWish) -> dict` is all that CreateContainer needs, `process.exec_process` what Exec and ExecSync do;
the other modules each own one part of the document and may be used alone (`user` and `signals` before the wish is
complete, `sysctls` when a sandbox is made, `resources` when a container is updated). Whatever must be read from the
host, the image or the configuration comes in through `wish.py`. The same wish gives the same document, byte for byte.
"""
