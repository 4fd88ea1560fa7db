"""The OCI runtimes: which there are, what they are asked, and the bundles that they get."""
