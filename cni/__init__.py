"""A CNI runtime: attaches containers to networks through standard CNI plugins (specification 0.1.0 to 1.1.0).

Stands alone: it imports the standard library only. `ConfDir` finds configurations, `Plugins` runs programs, `Cache`
remembers attachments, and a `Network` made of these attaches, detaches, checks and collects. `python -m cni` does the
same by hand.

    plugins, cache, gate = Plugins(["/opt/cni/bin"]), Cache("/var/lib/cni/attachments"), Gate()
    network = Network(ConfDir("/etc/cni/net.d").current().network(), plugins, cache, gate)
    result = await network.add(Attachment("some-id", "/run/netns/some", "eth0"))
"""

from .aio import Gate
from .attachment import Attachment, pod_args
from .cache import Cache, Cached
from .capabilities import Bandwidth, PortMapping, capability_args
from .confdir import Broken, ConfDir, Loaded
from .config import NetworkConfig, PluginConfig
from .errors import (
    AlreadyAttached,
    CniError,
    DecodeFailure,
    IncompatibleVersion,
    InvalidNetworkConfig,
    InvalidParameter,
    IOFailure,
    LimitedConnectivity,
    NetworkNotFound,
    NotAttached,
    PluginCrashed,
    PluginError,
    PluginNotAvailable,
    PluginNotFound,
    PluginTimeout,
    SeveralErrors,
    TryAgainLater,
    UnknownContainer,
    UnsupportedField,
)
from .execute import Completed, Exec
from .network import Network, delete_all
from .plugins import LIMITS, Plugins
from .result import Dns, Interface, IpConfig, Result, Route

__all__ = [
    "LIMITS",
    "AlreadyAttached",
    "Attachment",
    "Bandwidth",
    "Broken",
    "Cache",
    "Cached",
    "CniError",
    "Completed",
    "ConfDir",
    "DecodeFailure",
    "Dns",
    "Exec",
    "Gate",
    "IOFailure",
    "IncompatibleVersion",
    "Interface",
    "InvalidNetworkConfig",
    "InvalidParameter",
    "IpConfig",
    "LimitedConnectivity",
    "Loaded",
    "Network",
    "NetworkConfig",
    "NetworkNotFound",
    "NotAttached",
    "PluginConfig",
    "PluginCrashed",
    "PluginError",
    "PluginNotAvailable",
    "PluginNotFound",
    "PluginTimeout",
    "Plugins",
    "PortMapping",
    "Result",
    "Route",
    "SeveralErrors",
    "TryAgainLater",
    "UnknownContainer",
    "UnsupportedField",
    "capability_args",
    "delete_all",
    "pod_args",
]
