"""The pod network, through CNI plugins."""
