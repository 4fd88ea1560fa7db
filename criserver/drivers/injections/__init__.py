"""What an operator's directories add to containers: CDI devices and OCI hooks."""
