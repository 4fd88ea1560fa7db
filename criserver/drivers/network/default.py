"""The pod network of a node that has no CNI configuration yet: a bridge with masquerading and host ports.

Only standard plugins (Debian's containernetworking-plugins), so that a first pod runs on a fresh machine. As soon as
`network.conf_dir` holds a configuration, that one counts.
"""

from __future__ import annotations

import json

BRIDGE = "criserver0"
SUBNET = "10.86.0.0/16"

CONFLIST = json.dumps(
    {
        "cniVersion": "1.0.0",
        "name": "criserver",
        "plugins": [
            {
                "type": "bridge",
                "bridge": BRIDGE,
                "isGateway": True,
                "ipMasq": True,
                "hairpinMode": True,
                "ipam": {"type": "host-local", "ranges": [[{"subnet": SUBNET}]], "routes": [{"dst": "0.0.0.0/0"}]},
            },
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ],
    }
)
