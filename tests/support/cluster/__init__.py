"""Kubernetes clusters of this host's own programs: etcd, control plane, kubelets and kube-proxies around criserver.

`hack/cluster` is the command, tests use `up` and `down`. Nodes are network and mount namespaces, not machines: they
share the host's kernel, cgroups and clock.
"""

from tests.support.cluster.lifecycle import down as down
from tests.support.cluster.lifecycle import up as up
