"""Images on disk and from registries: skopeo, manifests, layers and their unpacking, archives."""
