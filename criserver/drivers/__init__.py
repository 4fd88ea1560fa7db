"""One module per outside power: each implements a Protocol of `ports/` over `kernel/` or a stand-alone library.

Drivers do what lifecycle decides. They know no gRPC, no database and no other driver; what they own on the host is
named after ids, so that it can be found again without a table.
"""
