"""What a pod and its containers stand on: pinned namespaces, root file systems, files of the pod."""
