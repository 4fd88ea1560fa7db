"""The streaming protocols as machines without I/O: bytes in, events out, bytes to send back.

Each machine has `receive_data(bytes)`, `next_event()` (an event, or `NEED_DATA`) and methods that return the bytes to
write. After a RemoteProtocolError a machine gives nothing else; its `farewell` is the last thing to write. Nothing here
may own a socket, a clock, a thread or a task, or know of containers, tokens and the CRI; that is the server's.

From the bottom: `machine`, `receive_buffer` → `http1`, `upgrade` → `spdy` (`spdy_headers`, `spdy_frames`,
`spdy_reader`, `spdy_flow`, `spdy_streams`, `spdy_events`) and `websocket` (`channels`, `tunnel`) → `remotecommand`
(`resize`, `remotecommand_spdy`, `remotecommand_websocket`), `portforward` (`portforward_spdy`,
`portforward_websocket`).
"""
